"""A node that a signal stops."""

import asyncio
import signal

import pytest

from tests.support.cluster import Cluster, Transport


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
