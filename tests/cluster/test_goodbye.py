"""A node that is told to stop."""

import asyncio

from tests.support.cluster import Carrier, Cluster


async def test_sigterm_says_bye_to_every_socket_and_exits_with_0() -> None:
    async with Cluster(nodes=1, carrier=Carrier.FAST) as cluster:
        clients = [await cluster.nodes[0].connect(f"/ws/chat/{number}") for number in range(20)]

        stopping = asyncio.create_task(cluster.nodes[0].stop())

        for client in clients:
            bye, code = await client.bye()
            assert (bye["code"], bye["reason"], bye["reconnect"], code) == (4001, "node is draining", True, 4001)
        assert await stopping == 0


async def test_a_client_that_never_answers_does_not_hold_the_node_up() -> None:
    async with Cluster(nodes=1, carrier=Carrier.FAST) as cluster:
        client = await cluster.nodes[0].connect("/ws")
        client.stop_reading()

        assert await asyncio.wait_for(cluster.nodes[0].stop(), 10) == 0
        client.vanish()
