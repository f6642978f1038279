"""A real Valkey refuses a presence script half-way, for want of a right: soon all see who is in the room again."""

import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from tannoy.fanout.presence.calls import PresenceRules
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import UserId

from tests.support.checked_room import CheckedRoom
from tests.support.valkey import Valkey

_prefixes = itertools.count(1)
WRITES = ("expire", "hdel", "hincrby", "hset", "hsetnx", "publish", "sadd", "srem", "zadd", "zrem")
"""The commands by which the scripts of presence change or show something, but DEL: it ends a room without users."""


class FollowedRoom(CheckedRoom):
    """Ada is in the room, and a client of hers follows at each step who else is shown to be there."""

    async def begin(self) -> None:
        self._is_refused = True
        await self.age_heartbeats()
        await self.join("n1", 1, "ada")
        await self.events()
        self._is_refused = False
        await self._look()

    @asynccontextmanager
    async def without(self, right: str) -> AsyncGenerator[None]:
        """What is done meanwhile may be refused."""
        self._is_refused = True
        async with self._valkey.refusing(right):
            with suppress(Unavailable):
                yield
        self._is_refused = False
        await self._follow()

    async def _look(self) -> None:
        self._version = (await self.counts())[0]
        self.shown = set(await self.users())

    async def _follow(self) -> None:
        """As a client that requests who is there where an event says so, or where a version was left out."""
        for event in [] if self._is_refused else await self.events():
            if event["version"] == self._version + 1 and "user_id" in event:
                self._version += 1
                (self.shown.add if event["type"] == "user_joined" else self.shown.discard)(event["user_id"])
            elif event["version"] > self._version:
                await self._look()

    async def join(self, process: str, number: int, user: str, username: str | None = None) -> Any:
        answer = await super().join(process, number, user, username)
        await self._follow()
        return answer

    async def leave(self, process: str, number: int) -> int:
        answer = await super().leave(process, number)
        await self._follow()
        return answer

    async def sweep(self) -> int:
        answer = await super().sweep()
        await self._follow()
        return answer

    async def check(self, process: str = "n2", *, seen: int = 0, due: int = 0) -> int:
        answer = await super().check(process, seen=seen, due=due)
        await self._follow()
        return answer

    async def check_twice(self) -> None:
        """As anti-entropy does, with the time between in which processes state their sessions."""
        await self.check()
        await self.let_processes_state()
        assert await self.check() == 1

    async def let_leaves_be_due(self) -> None:
        leaving = self.keyspace.presence(self.channel).leaving
        for user in await self._valkey.run("ZRANGE", leaving, "0", "-1"):
            await self._valkey.run("ZADD", leaving, "1", user)

    async def let_count_be_due(self) -> None:
        """The second is over within which the number of users is not published again."""
        await self._valkey.run("HSET", self.keyspace.presence(self.channel).meta, "counted", "1")

    async def restate(self, process: str, number: int, user: str) -> None:
        """Add a session that Redis has lost: that is shown by a count."""
        await self._calls.join(self.channel, process, number, UserId(user), user.title(), is_restated=True)
        await self._follow()

    async def numbers_of(self, process: str) -> set[bytes]:
        """The sessions of a process that Redis has in the room."""
        return set(await self._valkey.run("HKEYS", self.keyspace.sessions_of_node(self.channel, process)))

    async def rooms_of(self, process: str) -> set[bytes]:
        return set(await self._valkey.run("SMEMBERS", self.keyspace.rooms_of_node(self.part, process)))


@pytest.fixture(params=[0.0, 60.0], ids=["leaves at once", "grace"])
async def room(valkey: Valkey, pipeline: Pipeline, request: pytest.FixtureRequest) -> AsyncGenerator[FollowedRoom]:
    rules = PresenceRules(inline_max=50, events_max=1000, grace=request.param)
    async with FollowedRoom.open(valkey, pipeline, Keyspace(f"refused-{next(_prefixes)}"), rules) as room:
        await room.begin()
        yield room


@pytest.mark.parametrize("right", WRITES)
async def test_a_session_whose_join_was_refused_is_not_in_the_room(room: FollowedRoom, right: str) -> None:
    async with room.without(right):
        await room.join("n2", 5, "bob")
    await room.leave("n2", 5)  # as a node does that does not know whether it has joined
    await room.check_twice()
    await room.let_leaves_be_due()
    await room.sweep()
    assert await room.sessions() == {"ada": 1}
    assert room.shown == {"ada"}


@pytest.mark.parametrize("right", WRITES)
async def test_a_user_who_joins_after_a_refusal_is_shown(room: FollowedRoom, right: str) -> None:
    async with room.without(right):
        await room.join("n2", 5, "bob")
    await room.leave("n2", 5)
    await room.join("n2", 6, "bob")
    await room.check_twice()
    assert await room.sessions() == {"ada": 1, "bob": 1}
    assert room.shown == {"ada", "bob"}


@pytest.mark.parametrize("right", WRITES)
async def test_a_session_that_was_restated_in_vain_is_counted(room: FollowedRoom, right: str) -> None:
    async with room.without(right):
        await room.join("n2", 5, "bob")
    if b"5" not in await room.numbers_of("n2"):  # anti-entropy adds those that Redis lacks
        await room.join("n2", 5, "bob")
    await room.check_twice()
    assert await room.sessions() == {"ada": 1, "bob": 1}
    assert room.shown == {"ada", "bob"}


@pytest.mark.parametrize("right", WRITES)
async def test_a_user_whose_leave_was_refused_leaves(room: FollowedRoom, right: str) -> None:
    await room.join("n2", 5, "bob")
    async with room.without(right):
        await room.leave("n2", 5)
    await room.leave("n2", 5)  # it is repeated until Redis confirms it
    await room.check_twice()
    await room.let_leaves_be_due()
    await room.sweep()
    assert await room.sessions() == {"ada": 1}
    assert room.shown == {"ada"}


@pytest.mark.parametrize("right", WRITES)
async def test_a_leave_whose_sweep_was_refused_is_shown(room: FollowedRoom, right: str) -> None:
    await room.join("n2", 5, "bob")
    await room.leave("n2", 5)
    await room.let_leaves_be_due()
    async with room.without(right):
        await room.sweep()
    await room.check_twice()
    await room.let_leaves_be_due()
    await room.sweep()
    assert await room.sessions() == {"ada": 1}
    assert room.shown == {"ada"}


@pytest.mark.parametrize("right", WRITES)
async def test_a_room_whose_rebuilding_was_refused_is_rebuilt_and_shown(room: FollowedRoom, right: str) -> None:
    async with room.without("publish"):
        await room.join("n2", 5, "bob")  # nobody is told
    await room.check()
    await room.let_processes_state()
    async with room.without(right):
        await room.check()
    await room.check_twice()
    await room.let_count_be_due()
    await room.sweep()
    assert await room.sessions() == {"ada": 1, "bob": 1}
    assert room.shown == {"ada", "bob"}


async def test_a_count_whose_publish_was_refused_is_published_by_the_next_sweep(room: FollowedRoom) -> None:
    for number, user in enumerate(("bob", "cyd", "dan", "eve")):  # the second of two counts within a second waits
        await room.restate("n2", number, user)
    await room.let_count_be_due()
    async with room.without("publish"):
        await room.sweep()
    await room.let_count_be_due()
    await room.sweep()
    assert room.shown == {"ada", "bob", "cyd", "dan", "eve"}


async def test_a_loss_is_not_noted_before_processes_were_asked_to_state_their_sessions(room: FollowedRoom) -> None:
    await room.delete("users")
    async with room.without("hincrby"):
        await room.check()
    await room.check()
    assert await room.losses() == 1


async def test_the_room_of_a_refused_join_is_known_when_its_process_dies(room: FollowedRoom) -> None:
    async with room.without("zadd"):
        await room.join("n2", 5, "bob")
    assert room.channel.name.encode() in await room.rooms_of("n2")
    await room.expire_heartbeat("n2")
    assert await room.remove_dead("n2") == 0
    assert await room.rooms_of("n2") == set()


async def test_a_room_that_was_joined_in_vain_is_not_noted_for_ever(room: FollowedRoom) -> None:
    await room.leave("n1", 1)
    await room.let_leaves_be_due()
    await room.sweep()
    async with room.without("hsetnx"):
        await room.join("n2", 5, "bob")
    await room.check("n2")
    assert await room.rooms_of("n2") == set()
