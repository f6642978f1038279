"""Clients that were cut off, or whose node is gone, come back elsewhere: nothing is missing, nothing comes twice."""

import asyncio
import itertools
from collections.abc import AsyncGenerator

import pytest
from websockets.exceptions import ConnectionClosed

from tests.cluster.test_holes import BACK_WITHIN, HISTORY, listen, read, say, says
from tests.support.client import Client, Frame
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.node import PATIENT
from tests.support.waiting import eventually

_rooms = itertools.count(1)


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=3, transport=Transport.FAST, times=PATIENT, **HISTORY) as running:
        yield running


@pytest.fixture
def room() -> str:
    return f"room.{next(_rooms)}"


async def test_a_client_that_was_cut_off_recovers_through_another_node(cluster: Cluster, room: str) -> None:
    client = await cluster.nodes[0].connect(f"/ws/chat/{room}")
    await say(cluster.nodes[1], room, range(1, 11))
    heard = read(await listen(client, says(5)))
    client.vanish()
    await say(cluster.nodes[1], room, range(11, 501))

    back = await cluster.nodes[2].connect("/ws", wire="msgpack")
    recover = {"epoch": client.welcome["epoch"], "offset": heard[-1][0]}
    assert (await back.ok("join", room=room, recover=recover))["recovered"] is True
    await say(cluster.nodes[0], room, range(501, 502))

    heard += read(await listen(back, says(501)))
    assert heard == [(number, number) for number in range(1, 502)]
    await back.close()


async def test_clients_of_a_node_that_was_killed_recover_elsewhere_while_messages_pour_in(
    cluster: Cluster, room: str
) -> None:
    victim, other, third = cluster.nodes
    clients = [await victim.connect(f"/ws/chat/{room}", wire=wire) for wire in ("json", "msgpack")]
    pouring = Pouring(third, room)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pouring.run())
            surviving = [tasks.create_task(survive(client)) for client in clients]
            await eventually(pouring.is_under_way, within=BACK_WITHIN, what="some messages were said")
            await victim.kill()
            heard = [await one for one in surviving]
            backs = [await node.connect("/ws") for node in (other, third)]
            for frames, back in zip(heard, backs, strict=True):
                recover = {"epoch": clients[0].welcome["epoch"], "offset": frames[-1]["offset"]}
                assert (await back.ok("join", room=room, recover=recover))["recovered"] is True
            pouring.stop()
    finally:
        if not victim.is_alive:
            await victim.start()

    assert pouring.said > len(heard[0])
    await say(other, room, range(pouring.said + 1, pouring.said + 2))
    for frames, back in zip(heard, backs, strict=True):
        frames += await listen(back, says(pouring.said + 1))
        assert read(frames) == [(number, number) for number in range(1, pouring.said + 2)]
        await back.close()


class Pouring:
    """Messages 1, 2, 3 … are said in a room until `stop`."""

    def __init__(self, node: NodeProcess, room: str) -> None:
        self.said = 0
        self._node = node
        self._room = room
        self._goes_on = True

    async def run(self) -> None:
        while self._goes_on:
            results = await say(self._node, self._room, range(self.said + 1, self.said + 11))
            assert [result["offset"] for result in results] == list(range(self.said + 1, self.said + 11))
            self.said += 10

    def stop(self) -> None:
        self._goes_on = False

    async def is_under_way(self) -> bool:
        return self.said >= 200


async def survive(client: Client) -> list[Frame]:
    """All messages that come until the connection is lost."""
    heard: list[Frame] = []
    try:
        while True:
            heard.append(await client.expect("message"))
    except ConnectionClosed:
        return heard
