"""Clients whose connection or node was lost recover on another node: nothing is missing, nothing comes twice."""

import asyncio
import itertools
from collections.abc import AsyncGenerator

import pytest
from websockets.exceptions import ConnectionClosed

from tests.cluster.conftest import LONG_HISTORY, READY_AGAIN_SECONDS
from tests.support.client import Client, Frame
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.node import PATIENT
from tests.support.room_messages import has_content, offsets_and_contents, publish_batch, receive_until
from tests.support.waiting import eventually

_rooms = itertools.count(1)


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=3, transport=Transport.FAST, times=PATIENT, **LONG_HISTORY) as running:
        yield running


@pytest.fixture
def room() -> str:
    return f"room.{next(_rooms)}"


async def test_a_client_that_was_cut_off_recovers_through_another_node(cluster: Cluster, room: str) -> None:
    client = await cluster.nodes[0].connect(f"/ws/chat/{room}")
    await publish_batch(cluster.nodes[1], room, *range(1, 11))
    received = offsets_and_contents(await receive_until(client, has_content(5)))
    client.vanish()
    await publish_batch(cluster.nodes[1], room, *range(11, 501))

    back = await cluster.nodes[2].connect("/ws", wire="msgpack")
    recover = {"epoch": client.welcome["epoch"], "offset": received[-1][0]}
    assert (await back.ok("join", room=room, recover=recover))["recovered"] is True
    await publish_batch(cluster.nodes[0], room, *range(501, 502))

    received += offsets_and_contents(await receive_until(back, has_content(501)))
    assert received == [(number, number) for number in range(1, 502)]
    await back.close()


async def test_clients_of_a_killed_node_recover_on_another_one_under_load(cluster: Cluster, room: str) -> None:
    victim, other, third = cluster.nodes
    clients = [await victim.connect(f"/ws/chat/{room}", wire=wire) for wire in ("json", "msgpack")]
    publishing = Publishing(third, room)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(publishing.run())
            receiving = [tasks.create_task(receive_until_lost(client)) for client in clients]
            await eventually(publishing.is_under_way, within=READY_AGAIN_SECONDS, what="some messages are published")
            await victim.kill()
            received = [await one for one in receiving]
            backs = [await node.connect("/ws") for node in (other, third)]
            for frames, back in zip(received, backs, strict=True):
                recover = {"epoch": clients[0].welcome["epoch"], "offset": frames[-1]["offset"]}
                assert (await back.ok("join", room=room, recover=recover))["recovered"] is True
            publishing.stop()
    finally:
        if not victim.is_alive:
            await victim.start()

    assert publishing.published > len(received[0])
    await publish_batch(other, room, *range(publishing.published + 1, publishing.published + 2))
    for frames, back in zip(received, backs, strict=True):
        frames += await receive_until(back, has_content(publishing.published + 1))
        assert offsets_and_contents(frames) == [(number, number) for number in range(1, publishing.published + 2)]
        await back.close()


class Publishing:
    """Publishes messages 1, 2, 3 … in a room until `stop`."""

    def __init__(self, node: NodeProcess, room: str) -> None:
        self.published = 0
        self._node = node
        self._room = room
        self._is_running = True

    async def run(self) -> None:
        while self._is_running:
            results = await publish_batch(self._node, self._room, *range(self.published + 1, self.published + 11))
            assert [result["offset"] for result in results] == list(range(self.published + 1, self.published + 11))
            self.published += 10

    def stop(self) -> None:
        self._is_running = False

    async def is_under_way(self) -> bool:
        return self.published >= 200


async def receive_until_lost(client: Client) -> list[Frame]:
    """All messages until the connection is lost."""
    received: list[Frame] = []
    try:
        while True:
            received.append(await client.expect("message"))
    except ConnectionClosed:
        return received
