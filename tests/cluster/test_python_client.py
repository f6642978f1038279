"""The Python client against real nodes, in both wire formats: rooms, agents, private messages, presence, events."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Literal

import pytest
from tannoy.client import Gap, Message, Room, connect
from tannoy.client.errors import (
    ClientError,
    ClientMisused,
    CommandRefused,
    Disconnected,
    Evicted,
    NoAnswer,
    Replaced,
    SessionEnded,
)
from tannoy.client.events import PrivateMessage, Typing, UserJoined
from tannoy.shared.errors import BadName
from tannoy.shared.publication import Position

from tests.support.cluster import Cluster, NodeProcess
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE

Encoding = Literal["json", "msgpack"]


@pytest.fixture(scope="module")
async def node(anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    async with Cluster(nodes=1, MESSAGE_MAX_BYTES="4096") as cluster:
        yield cluster.nodes[0]


@pytest.fixture(params=["json", "msgpack"])
def encoding(request: pytest.FixtureRequest) -> Encoding:
    value: Encoding = request.param
    return value


async def next_item(room: Room) -> Message | Gap:
    async with asyncio.timeout(PATIENCE):
        return await room.next_item()


async def next_content(room: Room) -> object:
    item = await next_item(room)
    assert isinstance(item, Message), item
    return item.content


# ---- rooms


async def test_a_message_reaches_its_author_and_the_others_of_the_room(node: NodeProcess, encoding: Encoding) -> None:
    async with (
        connect(node.ws_url, user_id="ada", username="Ada", encoding=encoding) as ada,
        connect(node.ws_url, user_id="bob") as bob,
    ):
        there, here = await bob.join("talk"), await ada.join("talk")
        position = await here.send({"text": "hi", "emoji": "\U0001f600"})
        item = await next_item(there)
        assert isinstance(item, Message)
        assert (item.content, item.user_id, item.username) == ({"text": "hi", "emoji": "\U0001f600"}, "ada", "Ada")
        assert isinstance(position, Position)
        assert item.offset == position.offset
        assert item == await next_item(here)


async def test_a_room_that_is_joined_twice_is_the_same(node: NodeProcess) -> None:
    async with connect(node.ws_url) as client:
        assert await client.join("twice") is await client.join("twice")


async def test_the_iteration_ends_when_the_room_is_left(node: NodeProcess) -> None:
    async with connect(node.ws_url) as client:
        room = await client.join("left")
        await room.send("the last one")
        received = await anext(room)  # which may come behind its `ok`
        assert isinstance(received, Message)
        assert received.content == "the last one"
        await room.leave()
        assert [item async for item in room] == []
        with pytest.raises(ClientMisused, match="was left"):
            await room.send("too late")


async def test_a_room_can_be_joined_again_after_it_was_left(node: NodeProcess) -> None:
    async with connect(node.ws_url) as client:
        await (await client.join("again")).leave()
        room = await client.join("again")
        await room.send("back")
        assert await next_content(room) == "back"


async def test_the_history_has_what_was_said_before(node: NodeProcess, encoding: Encoding) -> None:
    async with connect(node.ws_url, encoding=encoding) as client:
        room = await client.join(f"before-{encoding}")
        for number in range(5):
            await room.send(number)
        assert [message.content for message in await room.history(limit=2)] == [3, 4]
        assert [message.content for message in await room.history(since=1, limit=2)] == [1, 2]


async def test_a_message_with_a_known_key_is_published_once(node: NodeProcess) -> None:
    async with connect(node.ws_url, user_id="ada") as client:
        room = await client.join("keys")
        assert await room.send("once", key="order-1") == await room.send("twice", key="order-1")
        assert len(await room.history()) == 1


async def test_the_presence_of_a_room_is_kept_current(node: NodeProcess) -> None:
    async with connect(node.ws_url, user_id="ada") as ada:
        events, room = ada.events(), await ada.join("people")
        assert list(room.presence.users) == ["ada"]
        async with connect(node.ws_url, user_id="bob") as bob:
            await bob.join("people")
            async with asyncio.timeout(PATIENCE):
                assert await anext(events) == UserJoined("people", "bob", "bob", 2)
            assert sorted(room.presence.users) == ["ada", "bob"]


async def test_an_observer_hears_the_room_and_is_not_listed(node: NodeProcess) -> None:
    async with connect(node.ws_url, user_id="ada") as ada, connect(node.ws_url, user_id="eve") as eve:
        there, room = await eve.join("seen", observe=True), await ada.join("seen")
        await room.send("psst")
        assert await next_content(there) == "psst"
        assert list(room.presence.users) == ["ada"]
        with pytest.raises(CommandRefused) as refused:
            await there.send("not allowed")
        assert refused.value.code == "forbidden"


async def test_who_types_is_an_event_for_the_others(node: NodeProcess) -> None:
    async with connect(node.ws_url, user_id="ada") as ada, connect(node.ws_url, user_id="bob") as bob:
        here, _ = await ada.join("typing"), await bob.join("typing")
        events = bob.events()
        here.typing()
        async with asyncio.timeout(PATIENCE):
            assert await anext(events) == Typing("typing", "ada", "ada")


# ---- private messages and agents


async def test_a_private_message_reaches_each_session_of_its_user(node: NodeProcess) -> None:
    async with connect(node.ws_url, user_id="ada") as ada, connect(node.ws_url, user_id="private-bob") as bob:
        events = bob.events()
        assert await ada.private("private-bob", {"psst": 1}) == 1
        async with asyncio.timeout(PATIENCE):
            event = await anext(events)
        assert isinstance(event, PrivateMessage)
        assert (event.from_user_id, event.content) == ("ada", {"psst": 1})


async def test_a_private_message_to_nobody_reaches_no_session(node: NodeProcess) -> None:
    async with connect(node.ws_url) as client:
        assert await client.private("nobody", "hello?") == 0


async def test_every_session_of_an_agent_hears_what_is_said_to_it(node: NodeProcess, encoding: Encoding) -> None:
    async with connect(node.ws_url, encoding=encoding) as client:
        tab, laptop = await client.agent(f"a-{encoding}", session_id="tab"), await client.agent(f"a-{encoding}")
        await tab.send({"step": 1})
        for session in (tab, laptop):
            async with asyncio.timeout(PATIENCE):
                item = await anext(session)
            assert isinstance(item, Message)
            assert (item.content, item.session_id) == ({"step": 1}, "tab")
        assert len(await tab.sessions()) == 2


async def test_an_agent_that_is_closed_ends_its_iteration(node: NodeProcess) -> None:
    async with connect(node.ws_url) as client:
        agent = await client.agent("closed")
        await agent.close()
        assert [item async for item in agent] == []


# ---- what is refused, and what ends a session


async def test_a_bad_name_is_refused_before_it_is_sent(node: NodeProcess) -> None:
    async with connect(node.ws_url) as client:
        with pytest.raises(BadName, match="' '"):
            await client.join("no spaces")


async def test_a_message_that_is_too_large_is_refused_and_the_session_goes_on(node: NodeProcess) -> None:
    async with connect(node.ws_url) as client:
        room = await client.join("large")
        with pytest.raises(CommandRefused, match="4096 are allowed") as refused:
            await room.send("x" * 5000)
        assert refused.value.code == "too_large"
        assert await room.send("small") is not None


async def test_a_client_that_nobody_answers_says_where(anyio_backend: str) -> None:
    port = free_port()
    with pytest.raises(NoAnswer, match=f"no session at ws://127.0.0.1:{port}"):
        async with connect(f"ws://127.0.0.1:{port}", connect_timeout=0.2):
            pass


async def test_a_client_gives_up_after_its_last_attempt(anyio_backend: str) -> None:
    with pytest.raises(ClientError, match="failed 1 time in a row"):
        async with connect(f"ws://127.0.0.1:{free_port()}", max_attempts=1):
            pass


async def test_an_address_that_is_no_cluster_ends_at_once(node: NodeProcess) -> None:
    with pytest.raises(SessionEnded, match="HTTP 404"):
        async with connect(node.ws_url + "/not-here"):
            pass


async def test_a_session_that_an_operator_ends_is_not_opened_again(node: NodeProcess) -> None:
    async with connect(node.ws_url, user_id="kicked") as client:
        room = await client.join("kicked")
        await node.http.delete("/api/v1/users/kicked/sessions")
        with pytest.raises(Disconnected) as ended:
            await next_item(room)
        assert ended.value.code == 4504
        with pytest.raises(Disconnected):
            await room.send("too late")


async def test_a_newer_session_of_a_full_agent_evicts_the_oldest(node: NodeProcess) -> None:
    limit = {"max_sessions": 1, "policy": "evict_oldest"}
    (await node.http.put("/api/v1/agents/full/limit", json=limit)).raise_for_status()
    async with connect(node.ws_url) as client:
        oldest = await client.agent("full")
        await client.agent("full")
        with pytest.raises(Evicted) as ended:
            await anext(oldest)
        assert ended.value.code == 4500


async def test_a_session_that_connects_again_under_its_name_replaces_the_first(node: NodeProcess) -> None:
    async with connect(node.ws_url) as client:
        first = await client.agent("replaced", session_id="tab")
        second = await client.agent("replaced", session_id="tab")
        with pytest.raises(Replaced):
            await anext(first)
        assert await second.send("here") is not None
