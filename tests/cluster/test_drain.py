"""A node that gets a signal: it closes every session with `bye` before it ends, or goes on."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.cluster import Cluster, Transport
from tests.support.waiting import eventually


@pytest.mark.parametrize(
    ("transport", "exit_code"),
    # uvicorn raises the signal again once it has shut down. hypercorn can't be held back: it closes at once.
    [(Transport.FAST, 0), (Transport.PORTABLE, -signal.SIGTERM)],
    ids=str,
)
async def test_sigterm_sends_bye_to_every_socket(transport: Transport, exit_code: int) -> None:
    async with Cluster(nodes=1, transport=transport) as cluster:
        clients = [await cluster.nodes[0].connect(f"/ws/chat/{number}") for number in range(20)]

        stopping = asyncio.create_task(cluster.nodes[0].stop())

        for client in clients:
            bye, code = await client.bye()
            assert (bye["code"], bye["reason"], bye["reconnect"], code) == (4001, "node is draining", True, 4001)
        assert await stopping == exit_code


async def test_a_client_that_does_not_answer_does_not_delay_the_exit_for_ever() -> None:
    async with Cluster(nodes=1, transport=Transport.FAST) as cluster:
        client = await cluster.nodes[0].connect("/ws")
        client.stop_reading()

        assert await cluster.nodes[0].stop() == 0
        client.vanish()


async def test_until_balancers_have_noticed_a_node_serves_and_a_second_signal_ends_it_at_once() -> None:
    async with Cluster(nodes=1, transport=Transport.FAST, DRAIN_DELAY="3600") as cluster:
        node = cluster.nodes[0]
        before = await node.connect("/ws/chat/lobby")
        node.signal(signal.SIGTERM)

        async def is_announced() -> bool:
            ready = await node.http.get("/health/ready")
            return (ready.status_code, ready.json().get("reason")) == (503, "the node is draining")

        await eventually(is_announced, what="the node is not ready")
        newcomer = await node.connect("/ws/chat/lobby")
        await newcomer.ok("message", content="hello")
        assert await before.contents(1) == ["hello"]
        node.signal(signal.SIGTERM)

        for client in (before, newcomer):
            await _gets_bye(client)
        assert await node.wait() == 0


@pytest.mark.parametrize("transport", [Transport.FAST, Transport.PORTABLE, Transport.EMBEDDED], ids=str)
async def test_ctrl_c_waits_for_no_balancer(transport: Transport) -> None:
    async with Cluster(nodes=1, transport=transport, DRAIN_DELAY="3600") as cluster:
        client = await cluster.nodes[0].connect("/ws")
        cluster.nodes[0].signal(signal.SIGINT)

        await _gets_bye(client)
        assert await cluster.nodes[0].wait() in (0, -signal.SIGINT)


async def _gets_bye(client: Client) -> None:
    bye, code = await client.bye()
    assert (bye["code"], bye["reason"], bye["reconnect"], code) == (4001, "node is draining", True, 4001)


@pytest.mark.parametrize(
    ("transport", "exit_code"), [(Transport.FAST, 0), (Transport.PORTABLE, -signal.SIGTERM)], ids=str
)
async def test_a_node_is_drained_from_another_one_as_on_sigterm(transport: Transport, exit_code: int) -> None:
    async with Cluster(nodes=2, transport=transport) as cluster:
        asked, leaving = cluster.nodes
        clients = [await leaving.connect(f"/ws/chat/{number}") for number in range(20)]
        drained = await asked.http.post("/api/v1/nodes/n2/drain")
        assert (drained.status_code, drained.json()["node"], drained.json()["draining"]) == (200, "n2", True)
        for client in clients:
            await _gets_bye(client)
        assert await leaving.wait() == exit_code

        async def is_gone() -> bool:
            return (await asked.http.post("/api/v1/nodes/n2/drain")).status_code == 404

        await eventually(is_gone, what="a node that is gone is not found")
        assert (await asked.http.get("/health/ready")).status_code == 200


async def test_a_second_drain_is_answered_as_the_first_one() -> None:
    async with Cluster(nodes=2) as cluster:
        asked, leaving = cluster.nodes
        slow = await leaving.connect("/ws")
        slow.stop_reading()  # it does not answer the close frame, so the node drains for two seconds
        answers = [await asked.http.post("/api/v1/nodes/n2/drain") for _ in range(2)]
        by_incarnation = await asked.http.post(f"/api/v1/nodes/{answers[0].json()['incarnation']}/drain")
        assert [answer.status_code for answer in (*answers, by_incarnation)] == [200, 200, 200]
        assert answers[0].json() == answers[1].json() == by_incarnation.json()
        assert await leaving.wait() == 0
        slow.vanish()


async def test_a_node_drains_itself() -> None:
    async with Cluster(nodes=1) as cluster:
        client = await cluster.nodes[0].connect("/ws")
        assert (await cluster.nodes[0].http.post("/api/v1/nodes/n1/drain", json={})).status_code == 200
        await _gets_bye(client)
        assert await cluster.nodes[0].wait() == 0


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("nodes/nowhere/drain", b"", 404), ("nodes/a%20b/drain", b"", 400), ("nodes/n1/drain", b'{"now": true}', 400)],
)
async def test_a_drain_of_what_is_no_node_is_refused(one_node: Cluster, path: str, body: bytes, status: int) -> None:
    answer = await one_node.nodes[0].http.post(f"/api/v1/{path}", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert await one_node.nodes[0].is_ready()


async def test_a_name_of_two_nodes_does_not_say_which_is_to_drain() -> None:
    async with Cluster(nodes=2) as cluster:
        first, second = cluster.nodes
        await second.stop()
        second.rename("n1")
        await second.start()
        answer = await first.http.post("/api/v1/nodes/n1/drain")
        assert answer.status_code == 409
        assert [await node.is_ready() for node in cluster.nodes] == [True, True]


ENDING = [signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM, signal.SIGXCPU, signal.SIGPWR, signal.SIGRTMIN]


@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
async def test_whatever_signal_would_end_a_node_stops_it_with_bye(number: signal.Signals) -> None:
    async with Cluster(nodes=1, transport=Transport.FAST) as cluster:
        client = await cluster.nodes[0].connect("/ws")
        cluster.nodes[0].signal(number)

        await _gets_bye(client)
        assert await cluster.nodes[0].wait() == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2], ids=lambda number: number.name)
async def test_under_another_server_a_signal_ends_the_process_after_bye(number: signal.Signals) -> None:
    async with Cluster(nodes=1, transport=Transport.PORTABLE) as cluster:
        client = await cluster.nodes[0].connect("/ws")
        cluster.nodes[0].signal(number)

        await _gets_bye(client)
        assert await cluster.nodes[0].wait() == -number


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2], ids=lambda number: number.name)
async def test_a_signal_of_the_user_is_logged_and_does_nothing(number: signal.Signals) -> None:
    async with Cluster(nodes=1, transport=Transport.FAST) as cluster:
        node = cluster.nodes[0]
        client = await node.connect("/ws/chat/lobby")
        node.signal(number)

        async def has_logged_it() -> bool:
            return f"signal={number.name}" in node.log()

        await eventually(has_logged_it, what="the node has logged the signal")
        await client.ok("message", content="still here")


async def test_sighup_opens_the_log_file_anew_and_keeps_the_sessions(tmp_path: Path) -> None:
    path = tmp_path / "log"
    async with Cluster(nodes=1, transport=Transport.FAST, LOG_FILE=str(path)) as cluster:
        client = await cluster.nodes[0].connect("/ws/chat/lobby")
        path.rename(tmp_path / "log.1")
        cluster.nodes[0].signal(signal.SIGHUP)

        await eventually(lambda: _exists(path), what="there is a new log file")
        await client.ok("message", content="still here")
        assert await _contains(tmp_path / "log.1", "node is ready")


async def test_a_log_file_that_was_moved_is_created_anew_with_the_next_record(tmp_path: Path) -> None:
    path = tmp_path / "log"
    async with Cluster(nodes=1, transport=Transport.FAST, LOG_FILE=str(path)) as cluster:
        path.rename(tmp_path / "log.1")
        cluster.nodes[0].signal(signal.SIGUSR1)

        await eventually(lambda: _contains(path, "SIGUSR1"), what="the record is in a new file")


async def _exists(path: Path) -> bool:
    return await asyncio.to_thread(path.exists)


async def _contains(path: Path, text: str) -> bool:
    return await _exists(path) and text in await asyncio.to_thread(path.read_text)


async def test_a_node_that_stops_does_not_report_its_link_as_lost() -> None:
    async with Cluster(nodes=1, transport=Transport.FAST) as cluster:
        assert await cluster.nodes[0].stop() == 0

        assert "link to Redis was lost" not in cluster.nodes[0].log()
