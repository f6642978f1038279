"""`Presence` of one process on a real Valkey: unconfirmed joins and leaves, sweeping of dead processes, restating."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from tannoy.fanout.presence.calls import PRESENCE_SCRIPTS, PresenceRules
from tannoy.fanout.presence.presence import Presence
from tannoy.fanout.presence.present import PresentSession
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.channels import Channel
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName, UserId
from tannoy.shared.protocol.presence_frames import PresentUser

from tests.support.presence_room import RULES, PresenceRoom
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, eventually, value_becomes

OUTAGE_SECONDS = 2.0
"""The command timeout of tests in which Redis stays away: as short as leaves it time to answer before and after."""
_prefixes = itertools.count(1)
ADA, BOB = UserId("ada"), UserId("bob")


@pytest.fixture(scope="module")
async def shared_valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        yield running


@pytest.fixture
async def own_valkey() -> AsyncGenerator[Valkey]:
    """For tests that freeze or kill it."""
    async with Valkey() as running:
        yield running


@asynccontextmanager
async def opened(
    valkey: Valkey, rules: PresenceRules = RULES, *, command_timeout: float = PATIENCE
) -> AsyncGenerator[tuple[Presence, PresenceRoom, Pipeline]]:
    """The presence of process n1, which is not sweeping, and its room."""
    keyspace = Keyspace(f"q{next(_prefixes)}")
    async with (
        open_pipeline(valkey, PRESENCE_SCRIPTS, command_timeout=command_timeout) as pipeline,
        PresenceRoom.open(valkey, pipeline, keyspace, rules) as room,
    ):
        yield Presence(pipeline, keyspace, incarnation="n1", rules=rules), room, pipeline


@asynccontextmanager
async def sweeping(*processes: Presence) -> AsyncGenerator[None]:
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(process.run()) for process in processes]
        yield
        for task in running:
            task.cancel()


# ---- joins and snapshots


async def test_join_returns_the_snapshot(shared_valkey: Valkey) -> None:
    async with opened(shared_valkey) as (presence, room, _):
        now = await room.now_ms()
        first, _ = await presence.join(room.channel, 1, BOB, "Bob | 🎉")
        second, _ = await presence.join(room.channel, 2, ADA, "Ada")
        assert second.version == first.version + 1
        assert second.users_count == 2
        assert second.users is not None
        bob, ada = sorted(second.users, key=lambda user: user.user_id, reverse=True)
        assert bob == PresentUser(BOB, "Bob | 🎉", bob.connected_at, 1)
        assert ada == PresentUser(ADA, "Ada", ada.connected_at, 1)
        assert now <= bob.connected_at <= ada.connected_at <= await room.now_ms()
        assert await presence.snapshot(room.channel, 50) == second
        assert await presence.count(room.channel) == (2, 2)


async def test_snapshot_of_a_large_room_lists_no_users(shared_valkey: Valkey) -> None:
    async with opened(shared_valkey, PresenceRules(inline_max=1, events_max=1000, grace=0)) as (presence, room, _):
        await presence.join(room.channel, 1, ADA, "Ada")
        assert (await presence.join(room.channel, 2, BOB, "Bob")).snapshot.users is None
        assert len((await presence.snapshot(room.channel, 1)).users or ()) == 1


async def test_join_by_a_process_without_a_heartbeat_raises_unavailable(shared_valkey: Valkey) -> None:
    async with opened(shared_valkey) as (presence, room, _):
        await room.expire_heartbeat("n1")
        with pytest.raises(Unavailable, match="heartbeat"):
            await presence.join(room.channel, 1, ADA, "Ada")


async def test_rooms_are_listed_by_descending_user_count(shared_valkey: Valkey) -> None:
    async with opened(shared_valkey) as (presence, room, _):
        numbers = itertools.count(1)
        for users in range(1, 11):
            channel = room.keyspace.room(RoomName(f"room{users}"))
            for user in range(users):
                await presence.join(channel, next(numbers), UserId(f"u{user}"), "U")
        assert await presence.fullest_rooms(3) == ([("room10", 10), ("room9", 9), ("room8", 8)], 10)
        rooms, total = await presence.fullest_rooms(100)
        assert (len(rooms), total) == (10, 10)


# ---- unconfirmed joins and leaves


async def test_unconfirmed_join_is_undone(own_valkey: Valkey) -> None:
    async with opened(own_valkey, command_timeout=OUTAGE_SECONDS) as (presence, room, pipeline), sweeping(presence):
        own_valkey.freeze()
        with pytest.raises(Unavailable):
            await presence.join(room.channel, 1, ADA, "Ada")
        own_valkey.thaw()  # and now it carries it out
        await pipeline.connected.wait()
        assert await _next_events(room, 2) == [("user_joined", "ada", 1), ("user_left", "ada", 0)]
        assert await room.remaining_keys() == set()
        await eventually(_not(lambda: presence.statistics().leaves_pending > 0), what="nothing is owed")


async def test_cancelled_join_is_undone(shared_valkey: Valkey) -> None:
    async with opened(shared_valkey) as (presence, room, _):
        presence.join(room.channel, 1, ADA, "Ada").cancel()
        assert await _next_events(room, 2) == [("user_joined", "ada", 1), ("user_left", "ada", 0)]


async def test_leaves_during_an_outage_are_retried_after_it(own_valkey: Valkey) -> None:
    async with opened(own_valkey, command_timeout=OUTAGE_SECONDS) as (presence, room, pipeline), sweeping(presence):
        for number in range(1, 1201):
            presence.join(room.channel, number, UserId(f"u{number % 100}"), "U")
        await value_becomes(room.user_and_session_counts, (100, 1200))
        own_valkey.freeze()
        for number in range(1, 600):
            presence.leave(room.channel, number)  # under way when it fails
        await eventually(_not(pipeline.connected.is_set), what="the connection is given up")
        for number in range(600, 1200):
            presence.leave(room.channel, number)  # there is no connection
        assert presence.statistics().leaves_pending == 1199
        own_valkey.thaw()
        await value_becomes(room.user_and_session_counts, (1, 1))
        await eventually(_not(lambda: presence.statistics().leaves_pending > 0), what="nothing is owed")


async def _next_events(room: PresenceRoom, count: int) -> list[tuple[str, str | None, int]]:
    """The next `count` events."""
    events: list[tuple[str, str | None, int]] = []

    async def enough() -> bool:
        events.extend(await room.event_summaries())
        return len(events) >= count

    await eventually(enough, what=f"{count} events")
    return events


def _not(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def negated() -> bool:
        return not condition()

    return negated


# ---- sweeping


async def test_users_of_a_dead_process_leave_all_its_rooms_once(shared_valkey: Valkey) -> None:
    async with opened(shared_valkey) as (presence, room, pipeline):
        dead = Presence(pipeline, room.keyspace, incarnation="n2", rules=RULES)
        channels = [room.channel, *(room.keyspace.room(RoomName(f"r{number}")) for number in range(200))]
        await asyncio.gather(*(dead.join(channel, n, ADA, "Ada") for n, channel in enumerate(channels)))
        await presence.join(room.channel, 1, BOB, "Bob")
        await room.events()
        await room.expire_heartbeat("n2", ago_ms=5000)
        third = Presence(pipeline, room.keyspace, incarnation="n3", rules=RULES)
        async with sweeping(presence, third):
            await value_becomes(lambda: presence.fullest_rooms(10), ([("lobby", 1)], 1))
            await value_becomes(lambda: _processes(shared_valkey, room), {b"n1"})
        assert await room.event_summaries() == [("user_left", "ada", 1)]
        forgotten = presence.statistics().dead_forgotten + third.statistics().dead_forgotten
        assert forgotten == 64


async def _processes(valkey: Valkey, room: PresenceRoom) -> set[bytes]:
    """Those that stand in any partition."""
    found: set[bytes] = set()
    for part in range(64):
        found |= set(await valkey.run("ZRANGE", room.keyspace.heartbeats(part), "0", "-1"))
    return found


async def test_sweeping_continues_after_an_outage(own_valkey: Valkey) -> None:
    rules = PresenceRules(inline_max=50, events_max=1000, grace=0.05)
    async with (
        opened(own_valkey, rules, command_timeout=OUTAGE_SECONDS) as (presence, room, pipeline),
        sweeping(presence),
    ):
        await presence.join(room.channel, 1, ADA, "Ada")
        own_valkey.freeze()
        await eventually(_not(pipeline.connected.is_set), what="the sweep fails")
        own_valkey.thaw()
        await pipeline.connected.wait()
        presence.leave(room.channel, 1)
        await value_becomes(room.user_and_session_counts, (0, 0))
        assert await room.remaining_keys() == set()


# ---- restating


async def test_restate_adds_missing_sessions_and_removes_surplus_ones(shared_valkey: Valkey) -> None:
    async with opened(shared_valkey) as (presence, room, _):
        kitchen = _room_of_same_partition(room, "kitchen")
        for number, channel in ((1, room.channel), (2, room.channel), (3, kitchen)):
            await presence.join(channel, number, ADA, "Ada")
        await asyncio.sleep(0)  # lets the answers of the joins be recorded
        presence.present.remove(room.channel, 1)
        presence.present.remove(kitchen, 3)
        presence.present.add(4, PresentSession(room.channel, BOB, "Bob"))
        await presence.restate(room.part)
        assert await presence.count(room.channel) == (2, 2)
        assert await presence.count(kitchen) == (0, 0)
        assert await room.leave("n1", 1) == 0
        assert await room.leave("n1", 4) == 1


async def test_restate_of_the_current_sessions_changes_nothing(shared_valkey: Valkey) -> None:
    async with opened(shared_valkey) as (presence, room, _):
        await presence.join(room.channel, 1, ADA, "Ada")
        before = await room.counts()
        await presence.restate(room.part)
        assert await room.counts() == before
        assert presence.statistics().restated == 0


async def test_restate_does_not_bring_back_a_session_that_has_left(shared_valkey: Valkey) -> None:
    async with opened(shared_valkey) as (presence, room, _):
        await presence.join(room.channel, 1, ADA, "Ada")
        await presence.join(room.channel, 2, BOB, "Bob")
        presence.leave(room.channel, 1)
        await presence.restate(room.part)
        assert await room.leave("n1", 1) == 0
        assert presence.statistics().restated == 0


async def test_restate_after_data_loss_restores_all_sessions(shared_valkey: Valkey) -> None:
    async with opened(shared_valkey) as (presence, room, _):
        sessions = {number: (UserId(f"u{number % 70}"), "U") for number in range(1, 1301)}
        await asyncio.gather(*(presence.join(room.channel, n, *who) for n, who in sessions.items()))
        before = await room.counts()
        await shared_valkey.run("FLUSHALL")
        with pytest.raises(Unavailable, match="heartbeat"):
            await presence.restate(room.part)
        await room.send_heartbeats("n1")
        await presence.restate(room.part)
        version, *counts = await room.counts()
        assert counts == [70, 1300]
        assert version > before[0]


async def test_restate_after_data_loss_announces_a_version_gap(shared_valkey: Valkey) -> None:
    async with opened(shared_valkey) as (presence, room, _):
        sessions = {number: (UserId(f"u{number}"), "U") for number in range(1, 21)}
        await asyncio.gather(*(presence.join(room.channel, n, *who) for n, who in sessions.items()))
        last = (await room.events())[-1]
        await shared_valkey.run("FLUSHALL")
        await room.send_heartbeats("n1")
        await presence.restate(room.part)
        (count,) = await room.events()
        assert count["type"] == "presence"
        assert count["version"] > last["version"] + 1
        await presence.join(room.channel, 99, UserId("new"), "New")
        joined = (await room.events())[-1]
        assert (joined["type"], joined["user_id"]) == ("user_joined", "new")
        assert joined["version"] > count["version"] + 1, "a gap again, now that single events tell of changes"


async def test_restate_leaves_concurrent_joins_and_leaves_in_effect(shared_valkey: Valkey) -> None:
    async with opened(shared_valkey) as (presence, room, _):
        await presence.join(room.channel, 1, ADA, "Ada")
        under_way = presence.join(room.channel, 2, BOB, "Bob")
        restated = asyncio.create_task(presence.restate(room.part))
        await asyncio.sleep(0)  # it has begun
        presence.leave(room.channel, 1)
        later = presence.join(room.channel, 0, UserId("cyd"), "Cyd")
        await asyncio.gather(under_way, later, restated)
        assert await presence.count(room.channel) == (2, 2)
        assert set(await room.users()) == {"bob", "cyd"}


async def test_restate_does_not_undo_an_owed_leave(own_valkey: Valkey) -> None:
    async with opened(own_valkey, command_timeout=OUTAGE_SECONDS) as (presence, room, pipeline):
        await presence.join(room.channel, 1, ADA, "Ada")
        own_valkey.freeze()
        presence.leave(room.channel, 1)
        await eventually(_not(pipeline.connected.is_set), what="the connection is given up")
        own_valkey.thaw()
        await pipeline.connected.wait()
        await presence.restate(room.part)
        async with sweeping(presence):
            await eventually(_not(lambda: presence.statistics().leaves_pending > 0), what="nothing is owed")
        assert await room.event_summaries() == [("user_joined", "ada", 1), ("user_left", "ada", 0)]


def _room_of_same_partition(room: PresenceRoom, name: str) -> Channel:
    """A room of the same partition, whose name begins with `name`."""
    names = (RoomName(f"{name}{number}") for number in itertools.count())
    return next(c for c in map(room.keyspace.room, names) if c.partition == room.part)
