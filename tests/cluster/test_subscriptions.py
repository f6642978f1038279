"""Subscriptions under many concurrent joins and leaves: exact in the end, on the nodes and in Redis."""

import asyncio
import random
from collections.abc import AsyncGenerator

import pytest
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.support.client import Client
from tests.support.cluster import Cluster, Transport
from tests.support.node import PATIENT
from tests.support.waiting import value_becomes

ROOM = RoomName("crowded")
CLIENTS = 1000


@pytest.fixture(params=[Transport.FAST, Transport.PORTABLE], ids=str)
async def cluster(request: pytest.FixtureRequest) -> AsyncGenerator[Cluster]:
    # Each of a thousand joins would be announced to a thousand others: a million frames that no test here is about.
    settings = {"PING_INTERVAL": "3600", "PRESENCE_INLINE_MAX": "0", "PRESENCE_EVENTS_MAX": "0"}
    async with Cluster(nodes=3, transport=request.param, times=PATIENT, **settings) as running:
        yield running


async def _subscriptions(cluster: Cluster) -> list[int]:
    """Room subscriptions of each node, then the links that Redis has subscribed to the room."""
    on_nodes = [await node.count("subscriptions", "channels") for node in cluster.nodes]
    return [*on_nodes, await cluster.valkey.subscribers(Keyspace("tannoy").room(ROOM).address)]


async def test_a_thousand_concurrent_joins_and_leaves_end_with_the_exact_subscriptions(cluster: Cluster) -> None:
    chance = random.Random(7)
    clients = [await cluster.nodes[n % 3].connect("/ws") for n in range(CLIENTS)]

    async def join_leave_join(client: Client) -> None:
        await client.ok("join", room=ROOM)
        if chance.random() < 0.5:
            await client.call("ping")
        await client.ok("leave", room=ROOM)
        await client.ok("join", room=ROOM)

    await asyncio.gather(*map(join_leave_join, clients))

    await value_becomes(lambda: _subscriptions(cluster), [1, 1, 1, 1 * 3])
    await clients[0].ok("message", room=ROOM, content="all of you")
    for client in clients:
        assert await client.contents(1) == ["all of you"]
        assert not [frame for frame in client.inbox if frame["type"] == "message"]

    await asyncio.gather(*(client.ok("leave", room=ROOM) for client in clients if client is not clients[0]))
    await value_becomes(lambda: _subscriptions(cluster), [1, 0, 0, 1])
    await asyncio.gather(*(client.close() for client in clients))
    await value_becomes(lambda: _subscriptions(cluster), [0, 0, 0, 0])


async def test_a_leave_and_a_join_within_the_linger_send_no_command_to_redis(cluster: Cluster) -> None:
    """Leave and join within the linger: Redis gets no command."""
    client = await cluster.nodes[0].connect("/ws")
    await client.ok("join", room=ROOM)
    calls_before = await cluster.valkey.calls("subscribe", "unsubscribe")

    for _ in range(20):
        await client.ok("leave", room=ROOM)
        await client.ok("join", room=ROOM)

    assert await cluster.valkey.calls("subscribe", "unsubscribe") == calls_before
    await client.close()
