"""`GET /users`: who is online on all nodes, in pages."""

import signal
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tannoy.fanout.timeouts import Timeouts

from tests.support.cluster import Cluster, NodeProcess
from tests.support.node import PATIENT, Times


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    """Three nodes with five users: bob has a session on each node, the others have one."""
    async with Cluster(nodes=3) as running:
        for user_id, number in [("ada", 0), ("bob", 0), ("bob", 1), ("bob", 2), ("cyd", 1), ("dan|x", 2), ("eve+y", 0)]:
            await running.nodes[number].connect(f"/ws?user_id={user_id.replace('+', '%2B').replace('|', '%7C')}")
        yield running


async def ask(node: NodeProcess, **query: object) -> dict[str, Any]:
    answer = await node.http.get("/api/v1/users", params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def test_all_users_of_all_nodes_are_listed_with_their_sessions(cluster: Cluster) -> None:
    for node in cluster.nodes:
        page = await ask(node)
        users = [(user["user_id"], user["sessions"]) for user in page["users"]]
        assert users == [("ada", 1), ("bob", 3), ("cyd", 1), ("dan|x", 1), ("eve+y", 1)]
        assert (page["cursor"], page["late_nodes"]) == (None, [])
        assert set(page["users"][0]) == {"user_id", "username", "connected_at", "sessions"}


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_pages_from_any_node_list_each_user_once(cluster: Cluster, limit: int) -> None:
    listed: list[str] = []
    query: dict[str, object] = {"limit": limit}
    for number in range(6):
        page = await ask(cluster.nodes[number % 3], **query)
        assert page == await ask(cluster.nodes[(number + 1) % 3], **query), "a page that is asked for again is the same"
        listed += [user["user_id"] for user in page["users"]]
        if page["cursor"] is None:
            break
        query["cursor"] = page["cursor"]
    assert listed == ["ada", "bob", "cyd", "dan|x", "eve+y"]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "cursor=!", "cursor=", "offset=1"])
async def test_a_bad_query_is_refused(cluster: Cluster, query: str) -> None:
    answer = await cluster.nodes[0].http.get(f"/api/v1/users?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


async def test_a_frozen_node_is_named_and_its_users_are_missing(anyio_backend: str) -> None:
    patient = PATIENT.timeouts
    times = Times(timeouts=Timeouts(patient.command, patient.response, 4.0, patient.subscribe, patient.start))
    async with Cluster(nodes=2, times=times) as two:
        await two.nodes[0].connect("/ws?user_id=ada")
        await two.nodes[1].connect("/ws?user_id=bob")
        two.nodes[1].signal(signal.SIGSTOP)
        try:
            page = await ask(two.nodes[0])
        finally:
            two.nodes[1].signal(signal.SIGCONT)
    assert ([user["user_id"] for user in page["users"]], page["late_nodes"]) == (["ada"], ["n2"])
