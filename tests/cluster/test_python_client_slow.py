"""Readers of the Python client that are too slow: each message once and in order, and nothing else stands still."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from tannoy.client import Gap, Message, Room, SlowReader, connect
from tannoy.client.events import Reconnecting

from tests.support.cluster import Cluster, NodeProcess
from tests.support.waiting import PATIENCE, eventually

QUEUE = 10
MESSAGES = 300
LARGE = "x" * 30_000


@pytest.fixture(scope="module")
async def node(anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    async with Cluster(nodes=1, HISTORY_SIZE="10000", OUTBOX_MAX_BYTES="200000") as cluster:
        yield cluster.nodes[0]


async def publish(node: NodeProcess, room: str, count: int, filling: str = "") -> None:
    for number in range(count):
        body = {"content": [number, filling]}
        (await node.http.post(f"/api/v1/rooms/{room}/messages", json=body)).raise_for_status()


async def read_numbers(room: Room, count: int) -> list[int | Gap]:
    numbers: list[int | Gap] = []
    async with asyncio.timeout(PATIENCE):
        async for item in room.items():
            numbers.append(item if isinstance(item, Gap) else item.content[0])
            if len(numbers) == count:
                break
    return numbers


async def begin_to_read(node: NodeProcess, room: Room) -> None:
    """Read one message: only a channel that is read holds up others for as long as it takes."""
    await publish(node, room.name, 1)
    assert await read_numbers(room, 1) == [0]


async def test_a_paused_reader_gets_all_messages_in_order_although_the_node_closed_the_connection(
    node: NodeProcess,
) -> None:
    async with connect(node.ws_url, queue_size=QUEUE) as client:
        room, events = await client.join("paused"), client.events()
        await begin_to_read(node, room)
        await publish(node, "paused", MESSAGES, LARGE)  # more than the kernel and the node keep
        assert len(room.state.inbox) == QUEUE
        assert await read_numbers(room, MESSAGES) == list(range(MESSAGES))
        async with asyncio.timeout(PATIENCE):
            assert isinstance(await anext(events), Reconnecting)
        assert await node.count("outbox", "overflowed") == 1


async def test_a_recovering_reader_gets_all_messages_from_the_history_and_stops_nobody(node: NodeProcess) -> None:
    async with connect(node.ws_url, queue_size=QUEUE, slow_reader=SlowReader.RECOVER) as client:
        slow, other = await client.join("recovering"), await client.join("other")
        await begin_to_read(node, slow)
        await publish(node, "recovering", MESSAGES, LARGE)
        await publish(node, "other", 3)
        assert await read_numbers(other, 3) == [0, 1, 2]
        assert len(slow.state.inbox) == QUEUE + 1
        assert await read_numbers(slow, MESSAGES) == list(range(MESSAGES))


async def test_a_reader_that_answers_each_message_does_not_wait_for_itself(node: NodeProcess) -> None:
    async with connect(node.ws_url, queue_size=1, user_id="echo") as client:
        room = await client.join("echo")
        publishing = asyncio.create_task(publish(node, "echo", 50))
        numbers: list[int] = []
        async with asyncio.timeout(PATIENCE):
            async for item in room.items():
                assert isinstance(item, Message), item
                if item.user_id == "echo":
                    continue
                numbers.append(item.content[0])
                await room.send({"heard": item.content[0]})
                if len(numbers) == 50:
                    break
        await publishing
        assert numbers == list(range(50))


async def test_a_room_that_nobody_reads_holds_up_the_others_for_a_while_only(node: NodeProcess) -> None:
    async with connect(node.ws_url, queue_size=QUEUE) as client:
        unread, room = await client.join("unread"), await client.join("read")
        await publish(node, "unread", 2 * QUEUE)
        await publish(node, "read", 1)
        assert await read_numbers(room, 1) == [0]
        assert await read_numbers(unread, 2 * QUEUE) == list(range(2 * QUEUE))


async def test_presence_is_answered_while_a_reader_is_slow(node: NodeProcess) -> None:
    async with connect(node.ws_url, queue_size=QUEUE, user_id="ada") as client:
        room = await client.join("busy")
        await begin_to_read(node, room)
        await publish(node, "busy", 2 * QUEUE)

        async def is_full() -> bool:
            return room.state.inbox.is_full

        await eventually(is_full, what="the reader is too slow")
        assert len(await room.history(limit=5)) == 5
        assert await read_numbers(room, 2 * QUEUE) == list(range(2 * QUEUE))
