"""`report: true`: what became of a message at the sockets of all nodes, with real readers and a frozen node."""

import signal
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tannoy.fanout.timeouts import Timeouts

from tests.support.cluster import Cluster, NodeProcess
from tests.support.node import PATIENT, Times
from tests.support.raw_socket import RawSocket
from tests.support.waiting import PATIENCE, eventually

ALL_WRITTEN: dict[str, Any] = {"nodes": 3, "written": 3, "slow": 0, "closed": [], "late_nodes": []}


@pytest.fixture(scope="module", params=["100", "0"], ids=["history", "no history"])
async def cluster(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=3, HISTORY_SIZE=request.param, OUTBOX_MAX_BYTES="1000000") as running:
        yield running


async def publish(node: NodeProcess, path: str, **fields: object) -> dict[str, Any]:
    answer = await node.http.post(f"/api/v1/{path}/messages", json={"content": 1, "report": True, **fields})
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def report_of(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer without the message's position."""
    return {name: value for name, value in answer.items() if name not in ("epoch", "offset")}


async def test_a_message_to_a_room_is_reported_by_the_nodes_of_all_its_sessions(cluster: Cluster) -> None:
    for node in cluster.nodes:
        await node.connect("/ws/chat/written")
    assert report_of(await publish(cluster.nodes[0], "rooms/written")) == ALL_WRITTEN
    excluded = (await cluster.nodes[1].connect("/ws/chat/written")).session_id
    report = await publish(cluster.nodes[0], "rooms/written", content=2, exclude_session=excluded)
    assert report_of(report) == ALL_WRITTEN
    assert (await publish(cluster.nodes[2], "rooms/written", content=3))["written"] == 4


async def test_a_message_to_an_empty_room_reaches_nobody(cluster: Cluster) -> None:
    assert report_of(await publish(cluster.nodes[0], "rooms/empty")) == {**ALL_WRITTEN, "written": 0}


async def test_a_repeated_key_publishes_nothing_and_reports_nothing(cluster: Cluster) -> None:
    await cluster.nodes[1].connect("/ws/chat/keys")
    first = await publish(cluster.nodes[0], "rooms/keys", key="k")
    again = await publish(cluster.nodes[0], "rooms/keys", key="k")
    assert (first["nodes"], first["written"]) == (3, 1)
    assert report_of(again) == {**ALL_WRITTEN, "nodes": 0, "written": 0}
    assert again.get("offset") == first.get("offset")


async def test_a_message_to_a_user_an_agent_or_a_session_is_reported_too(cluster: Cluster) -> None:
    for number, node in enumerate(cluster.nodes):
        await node.connect(f"/ws/agents/reported?user_id=rita&session_id=r{number}")
    assert report_of(await publish(cluster.nodes[0], "agents/reported")) == ALL_WRITTEN
    assert await publish(cluster.nodes[0], "users/rita") == {**ALL_WRITTEN, "sessions": 3}
    to_one = await publish(cluster.nodes[0], "agents/reported/sessions/r2")
    assert to_one == {**ALL_WRITTEN, "sessions": 1, "written": 1}


async def test_a_report_that_is_no_boolean_is_refused(cluster: Cluster) -> None:
    for path in ("rooms/a", "agents/a", "agents/a/sessions/s", "users/a"):
        answer = await cluster.nodes[0].http.post(f"/api/v1/{path}/messages", json={"content": 1, "report": 1})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


async def test_a_reader_that_does_not_read_is_slow_and_then_closed(cluster: Cluster) -> None:
    reports: list[dict[str, Any]] = []
    async with RawSocket.to(cluster.nodes[1].port, receive_buffer=4096) as reader:
        assert await reader.handshake("/ws/agents/slow?user_id=ada&session_id=sloth") == 101

        async def is_closed() -> bool:
            reports.append(report_of(await publish(cluster.nodes[2], "agents/slow", content="x" * 60_000)))
            return bool(reports[-1]["closed"])

        await eventually(is_closed, what="the reader is closed as too slow")
    one_slow, none = {**ALL_WRITTEN, "written": 0, "slow": 1}, {**ALL_WRITTEN, "written": 0}
    assert reports[-1] == {**none, "closed": ["sloth"]}
    assert reports[-2] == one_slow
    assert all(report in ({**ALL_WRITTEN, "written": 1}, one_slow, none) for report in reports[:-1])


async def test_a_frozen_node_is_named_and_never_counted(anyio_backend: str) -> None:
    """Its deadline is longer than the product's, so that a busy machine is not taken for a frozen node."""
    patient = PATIENT.timeouts
    times = Times(timeouts=Timeouts(patient.command, patient.response, 4.0, patient.subscribe, PATIENCE))
    async with Cluster(nodes=3, times=times) as cluster:
        for node in cluster.nodes:
            await node.connect("/ws/chat/frozen?user_id=ada")
        cluster.nodes[2].signal(signal.SIGSTOP)
        try:
            to_room = await publish(cluster.nodes[0], "rooms/frozen")
        finally:
            cluster.nodes[2].signal(signal.SIGCONT)
        assert report_of(to_room) == {**ALL_WRITTEN, "nodes": 2, "written": 2, "late_nodes": ["n3"]}
