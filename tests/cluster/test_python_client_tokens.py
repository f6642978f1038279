"""The Python client and its token: replaced ahead of its end, or expired, refused, or of another user."""

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest
from tannoy.client import Client, connect, token_refresh
from tannoy.client.errors import ClientError, CommandRefused, TokenExpired, TokenRefused
from tannoy.client.event_queue import EventQueue
from tannoy.client.events import Connected, Event, NodeError, PrivateMessage, Reconnecting
from tannoy.node.auth.signing import sign_token

from tests.support.client_events import find
from tests.support.cluster import Cluster, NodeProcess
from tests.support.waiting import PATIENCE, eventually

SECRET = "a-secret-that-only-the-back-end-and-the-nodes-know"
EXPIRES_SOON = 3


@pytest.fixture(scope="module")
async def node(anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    async with Cluster(nodes=1, AUTH="jwt", JWT_SECRET=SECRET) as cluster:
        yield cluster.nodes[0]


SOON, LATER = 600, 3600
"""Seconds that a token holds. In these tests one that ends soon is replaced at once, and one that ends later never."""


@pytest.fixture
def replaces_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds_until_refresh(expires_at: float, now: float, uniform: object) -> float | None:
        return 0.0 if expires_at - now <= SOON else None

    monkeypatch.setattr(token_refresh, "seconds_until_refresh", seconds_until_refresh)


def token_of(seconds: float, user: str = "ada", rooms: tuple[str, ...] = ("*",)) -> str:
    return sign_token(SECRET, subject=user, expires_at=time.time() + seconds, agents=["*"], rooms=list(rooms))


async def wait_until_allowed(client: Client, room: str) -> None:
    """Until the token of the session allows to join this room."""

    async def is_allowed() -> bool:
        try:
            await client.join(room)
        except CommandRefused as refused:
            if refused.code != "forbidden":
                raise
            return False
        return True

    await eventually(is_allowed, what=f"a token that allows {room}")


async def kinds_until_private(events: EventQueue[Event]) -> set[type[Event]]:
    """The kinds of the events before the next private message."""
    kinds: set[type[Event]] = set()
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            if isinstance(event, PrivateMessage):
                break
            kinds.add(type(event))
    return kinds


# ---- ahead of its end


@pytest.mark.usefixtures("replaces_at_once")
async def test_a_token_is_replaced_ahead_once_for_all_connections_and_they_stay(node: NodeProcess) -> None:
    tokens = [token_of(LATER), token_of(SOON, rooms=("lobby",))]
    async with connect(node.ws_url, token=tokens.pop) as client:
        events, agent = client.events(), await client.agent("42")
        others = agent.events()
        await wait_until_allowed(client, "garden")
        await client.private("ada", "behind what was there before")

        assert tokens == []
        for seen in (events, others):
            assert not {Connected, Reconnecting} & await kinds_until_private(seen)


@pytest.mark.usefixtures("replaces_at_once")
async def test_a_token_that_could_not_be_fetched_is_asked_for_again(node: NodeProcess) -> None:
    given = [token_of(LATER), "", token_of(SOON, rooms=("lobby",))]

    def provide() -> str:
        token = given.pop()
        if not token:
            raise TimeoutError("the back end is away")
        return token

    async with connect(node.ws_url, token=provide) as client:
        await wait_until_allowed(client, "garden")


@pytest.mark.usefixtures("replaces_at_once")
async def test_a_new_token_that_the_node_refuses_is_told_and_the_session_goes_on(node: NodeProcess) -> None:
    tokens = [token_of(LATER, "bob"), token_of(SOON)]
    async with connect(node.ws_url, token=tokens.pop) as client:
        events, room = client.events(), await client.join("lobby")

        assert (await find(events, NodeError)).code == "forbidden"
        assert await room.send("still here") is not None


# ---- at its end


async def test_a_token_that_expires_is_asked_for_again_once_for_all_connections(node: NodeProcess) -> None:
    tokens = [token_of(600), token_of(EXPIRES_SOON)]

    async def provide() -> str:
        return tokens.pop()

    async with connect(node.ws_url, token=provide) as client:
        room, agent, events = await client.join("lobby"), await client.agent("42"), client.events()
        others = agent.events()
        assert (await find(events, Reconnecting)).code == 4401
        assert (await find(others, Reconnecting)).code == 4401
        await find(events, Connected)
        await find(others, Connected)
        await room.send("with the second token", timeout=PATIENCE)
        await agent.send("with the second token", timeout=PATIENCE)
        assert tokens == []


async def test_a_token_that_was_given_as_a_string_ends_the_client_when_it_expires(node: NodeProcess) -> None:
    async with connect(node.ws_url, token=token_of(EXPIRES_SOON)) as client:
        room = await client.join("lobby")
        with pytest.raises(TokenExpired):
            await anext(room)


async def test_a_bad_token_ends_the_client_and_says_what_is_wrong(node: NodeProcess) -> None:
    with pytest.raises(TokenRefused, match="4501 bad token: ") as refused:
        async with connect(node.ws_url, token="no-token"):
            pass
    assert refused.value.code == 4501


async def test_a_token_of_another_user_ends_the_client(node: NodeProcess) -> None:
    tokens = [token_of(600, "bob"), token_of(EXPIRES_SOON, "ada")]
    async with connect(node.ws_url, token=tokens.pop) as client:
        room = await client.join("lobby")
        with pytest.raises(ClientError, match="the session was of user 'ada', the new token is of 'bob'"):
            await anext(room)


async def test_a_room_that_the_token_does_not_allow_is_refused(node: NodeProcess) -> None:
    token = sign_token(SECRET, subject="ada", expires_at=time.time() + 600, rooms=["lobby"])
    async with connect(node.ws_url, token=token) as client:
        with pytest.raises(CommandRefused) as refused:
            await client.join("garden")
        assert refused.value.code == "forbidden"
        await client.join("lobby")
