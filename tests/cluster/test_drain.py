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


async def _gets_bye(client: Client) -> None:
    bye, code = await client.bye()
    assert (bye["code"], bye["reason"], bye["reconnect"], code) == (4001, "node is draining", True, 4001)


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
