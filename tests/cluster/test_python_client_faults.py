"""The Python client while nodes and Redis fail."""

import asyncio
import signal
from typing import Literal

import pytest
from tannoy.client import Gap, Message, Room, connect
from tannoy.client.errors import (
    ClientError,
    ClientMisused,
    CommandRefused,
    NoAnswer,
    Unconfirmed,
)
from tannoy.client.events import BusStatus, Connected, Reconnecting

from tests.support.client_events import find
from tests.support.clock import turns
from tests.support.cluster import Cluster, NodeProcess
from tests.support.node import PRODUCT
from tests.support.waiting import PATIENCE

LAST = "the last one"


async def read_until_last(room: Room) -> list[Message | Gap]:
    """All items before the message LAST."""
    items: list[Message | Gap] = []
    async with asyncio.timeout(PATIENCE):
        async for item in room.items():
            if isinstance(item, Message) and item.content == LAST:
                break
            items.append(item)
    return items


def contents(items: list[Message | Gap]) -> list[object]:
    """Of messages; a gap is itself."""
    return [item.content if isinstance(item, Message) else item for item in items]


async def publish(node: NodeProcess, room: str, *contents: object) -> None:
    for content in contents:
        (await node.http.post(f"/api/v1/rooms/{room}/messages", json={"content": content})).raise_for_status()


# ---- nodes


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_messages_are_sent_and_received_once_while_the_node_is_killed(
    encoding: Literal["json", "msgpack"],
) -> None:
    async with (
        Cluster(nodes=1, HISTORY_SIZE="10000") as cluster,
        connect(cluster.nodes[0].ws_url, user_id="ada", encoding=encoding, timeout=PATIENCE) as client,
    ):
        room, node = await client.join("lobby"), cluster.nodes[0]

        async def send_all() -> None:
            for number in range(200):
                await room.send(number)
            await room.send(LAST)

        sending = asyncio.create_task(send_all())
        first = [await anext(room) for _ in range(50)]
        await node.kill()
        await node.start()
        items = first + await read_until_last(room)
        await sending
        assert contents(items) == list(range(200))


async def test_a_client_that_was_away_gets_what_was_said_meanwhile() -> None:
    async with Cluster(nodes=2) as cluster, connect(cluster.nodes[0].ws_url, user_id="ada") as client:
        room, agent = await client.join("lobby"), await client.agent("42")
        await cluster.nodes[0].kill()
        await publish(cluster.nodes[1], "lobby", *range(20), LAST)
        (await cluster.nodes[1].http.post("/api/v1/agents/42/messages", json={"content": "step"})).raise_for_status()
        await cluster.nodes[0].start()
        assert contents(await read_until_last(room)) == list(range(20))
        async with asyncio.timeout(PATIENCE):
            item = await anext(agent)
        assert isinstance(item, Message)
        assert item.content == "step"


async def test_what_is_no_longer_kept_is_a_gap_that_names_its_offsets() -> None:
    async with Cluster(nodes=2, HISTORY_SIZE="5") as cluster, connect(cluster.nodes[0].ws_url) as client:
        room = await client.join("lobby")
        position = await room.send("before")
        assert position is not None
        assert contents([await anext(room)]) == ["before"]  # which may come behind its `ok`
        await cluster.nodes[0].kill()
        await publish(cluster.nodes[1], "lobby", *range(20), LAST)
        await cluster.nodes[0].start()
        epoch = position.epoch
        gap = Gap("lobby", position, type(position)(epoch, 17))
        assert contents(await read_until_last(room)) == [gap, 16, 17, 18, 19]


async def test_without_history_a_reconnect_is_a_gap_without_an_end() -> None:
    async with Cluster(nodes=1, HISTORY_SIZE="0") as cluster, connect(cluster.nodes[0].ws_url) as client:
        room, events = await client.join("lobby"), client.events()
        await room.send("before")
        await cluster.nodes[0].kill()
        await cluster.nodes[0].start()
        await find(events, Connected)
        await room.send(LAST)
        assert contents(await read_until_last(room)) == ["before", Gap("lobby", None, None)]


async def test_an_iteration_over_a_room_has_messages_only_and_a_gap_is_an_event() -> None:
    async with Cluster(nodes=1, HISTORY_SIZE="0") as cluster, connect(cluster.nodes[0].ws_url) as client:
        room, events = await client.join("lobby"), client.events()
        await room.send("before")
        await cluster.nodes[0].kill()
        await cluster.nodes[0].start()
        await find(events, Connected)
        await room.send(LAST)
        async with asyncio.timeout(PATIENCE):
            assert [(await anext(room)).content for _ in range(2)] == ["before", LAST]
        assert await find(events, Gap) == Gap("lobby", None, None)


async def test_a_node_that_stops_says_so_and_the_client_comes_back_when_it_may() -> None:
    async with Cluster(nodes=1) as cluster, connect(cluster.nodes[0].ws_url, user_id="ada") as client:
        room, events = await client.join("lobby"), client.events()
        await cluster.nodes[0].stop()
        lost = await find(events, Reconnecting)
        assert (lost.code, lost.reason) == (4001, "4001 node is draining")
        await cluster.nodes[0].start()
        back = await find(events, Connected)
        assert not back.is_first
        assert await room.send("back", timeout=PATIENCE) is not None


async def test_a_message_that_can_not_be_sent_in_time_was_not_sent() -> None:
    async with Cluster(nodes=1) as cluster, connect(cluster.nodes[0].ws_url) as client:
        room, events = await client.join("lobby"), client.events()
        await cluster.nodes[0].kill()
        await find(events, Reconnecting)
        with pytest.raises(NoAnswer, match="not sent"):
            await room.send("lost", timeout=0.1)


async def test_a_client_is_closed_while_it_is_away(anyio_backend: str) -> None:
    async with Cluster(nodes=1) as cluster:
        async with connect(cluster.nodes[0].ws_url) as client:
            room, events = await client.join("lobby"), client.events()
            await cluster.nodes[0].kill()
            await find(events, Reconnecting)
        assert [item async for item in room] == []


async def test_a_message_that_waits_for_its_answer_fails_when_the_client_is_closed() -> None:
    async with Cluster(nodes=1) as cluster:
        async with connect(cluster.nodes[0].ws_url) as client:
            room = await client.join("lobby")
            cluster.nodes[0].signal(signal.SIGSTOP)
            sending = asyncio.create_task(room.send("lost", timeout=3600))
            await turns()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(ClientMisused, match="closed"):
                await sending


async def test_a_client_that_gives_up_says_why_to_its_readers() -> None:
    async with Cluster(nodes=1) as cluster, connect(cluster.nodes[0].ws_url, max_attempts=1) as client:
        room = await client.join("lobby")
        await cluster.nodes[0].kill()
        with pytest.raises(ClientError, match="1006 no close frame"):
            await anext(room)


# ---- Redis


async def test_a_message_is_published_once_although_redis_was_away() -> None:
    async with (
        Cluster(nodes=1, times=PRODUCT) as cluster,
        connect(cluster.nodes[0].ws_url, user_id="ada", timeout=PATIENCE) as client,
    ):
        room, events = await client.join("lobby"), client.events()
        cluster.valkey.freeze()
        sending = asyncio.create_task(room.send("once"))
        assert (await find(events, BusStatus)).bus == "down"
        cluster.valkey.thaw()
        assert await sending is not None
        await room.send(LAST)
        assert contents(await read_until_last(room)) == ["once"]


async def test_a_message_that_redis_does_not_confirm_in_time_is_refused() -> None:
    async with (
        Cluster(nodes=1, times=PRODUCT) as cluster,
        connect(cluster.nodes[0].ws_url, user_id="ada") as client,
    ):
        room = await client.join("lobby")
        cluster.valkey.freeze()
        with pytest.raises((CommandRefused, Unconfirmed)):
            await room.send("perhaps", timeout=1.5)
        cluster.valkey.thaw()
