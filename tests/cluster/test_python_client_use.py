"""The Python client used in a way that it can't be used, and readers that give up."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from tannoy.client import Message, connect
from tannoy.client.errors import ClientMisused

from tests.support.cluster import Cluster, NodeProcess
from tests.support.waiting import PATIENCE, eventually


@pytest.fixture(scope="module")
async def node(anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    async with Cluster(nodes=1) as cluster:
        yield cluster.nodes[0]


async def test_a_client_that_is_not_open_can_not_be_used(anyio_backend: str) -> None:
    with pytest.raises(ClientMisused, match="not open"):
        await connect("ws://127.0.0.1:1").join("lobby")


async def test_a_closed_client_can_not_be_used(node: NodeProcess) -> None:
    async with connect(node.ws_url) as client:
        room = await client.join("closed")
    assert [item async for item in room] == []
    for use in (client.join("lobby"), room.send("too late"), client.private("ada", 1)):
        with pytest.raises(ClientMisused, match="closed"):
            await use


async def test_a_client_can_not_be_opened_twice(node: NodeProcess) -> None:
    async with connect(node.ws_url) as client:
        with pytest.raises(ClientMisused, match="opened before"):
            await client.__aenter__()


async def test_a_room_is_read_by_one_at_a_time(node: NodeProcess) -> None:
    async with connect(node.ws_url) as client:
        room = await client.join("alone")
        reading = asyncio.ensure_future(anext(room))

        async def is_reading() -> bool:
            return room.state.is_read

        await eventually(is_reading, what="the first one reads")
        with pytest.raises(ClientMisused, match="one at a time"):
            await anext(room)
        await room.send("for the first")
        item = await reading
        assert isinstance(item, Message)
        assert item.content == "for the first"


async def test_a_reader_that_gives_up_loses_no_message(node: NodeProcess) -> None:
    async with connect(node.ws_url) as client:
        room = await client.join("impatient")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(room), 0.05)
        await room.send("still there")
        async with asyncio.timeout(PATIENCE):
            item = await anext(room)
        assert isinstance(item, Message)
        assert item.content == "still there"


async def test_a_client_of_another_event_loop_is_refused(node: NodeProcess) -> None:
    async with connect(node.ws_url) as client:
        room = await client.join("loops")

        def use_elsewhere() -> str:
            with pytest.raises(ClientMisused) as misused:
                asyncio.run(room.send("from another loop"))
            return str(misused.value)

        assert "another event loop" in await asyncio.to_thread(use_elsewhere)
