"""`Presence` of one process on a real Valkey: snapshots, unconfirmed joins and leaves, sweeping of dead processes."""

import asyncio
import itertools

import pytest
from tannoy.fanout.presence.calls import PresenceRules
from tannoy.fanout.presence.presence import Presence
from tannoy.shared.errors import Unavailable
from tannoy.shared.names import RoomName, UserId
from tannoy.shared.protocol.presence_frames import PresentUser

from tests.support.presence_process import negated, opened, sweeping
from tests.support.presence_room import RULES, PresenceRoom
from tests.support.valkey import Valkey
from tests.support.waiting import eventually, value_becomes

OUTAGE_SECONDS = 2.0
"""The command timeout of tests in which Redis stays away: as short as leaves it time to answer before and after."""
ADA, BOB = UserId("ada"), UserId("bob")


# ---- joins and snapshots


async def test_join_returns_the_snapshot(valkey: Valkey) -> None:
    async with opened(valkey) as (presence, room, _):
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


async def test_snapshot_of_a_large_room_lists_no_users(valkey: Valkey) -> None:
    async with opened(valkey, PresenceRules(inline_max=1, events_max=1000, grace=0)) as (presence, room, _):
        await presence.join(room.channel, 1, ADA, "Ada")
        assert (await presence.join(room.channel, 2, BOB, "Bob")).snapshot.users is None
        assert len((await presence.snapshot(room.channel, 1)).users or ()) == 1


async def test_join_by_a_process_without_a_heartbeat_raises_unavailable(valkey: Valkey) -> None:
    async with opened(valkey) as (presence, room, _):
        await room.expire_heartbeat("n1")
        with pytest.raises(Unavailable, match="heartbeat"):
            await presence.join(room.channel, 1, ADA, "Ada")


async def test_rooms_are_listed_by_descending_user_count(valkey: Valkey) -> None:
    async with opened(valkey) as (presence, room, _):
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
        await eventually(negated(lambda: presence.statistics().leaves_pending > 0), what="nothing is owed")


async def test_cancelled_join_is_undone(valkey: Valkey) -> None:
    async with opened(valkey) as (presence, room, _):
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
        await eventually(negated(pipeline.connected.is_set), what="the connection is given up")
        for number in range(600, 1200):
            presence.leave(room.channel, number)  # there is no connection
        assert presence.statistics().leaves_pending == 1199
        own_valkey.thaw()
        await value_becomes(room.user_and_session_counts, (1, 1))
        await eventually(negated(lambda: presence.statistics().leaves_pending > 0), what="nothing is owed")


async def _next_events(room: PresenceRoom, count: int) -> list[tuple[str, str | None, int]]:
    """The next `count` events."""
    events: list[tuple[str, str | None, int]] = []

    async def enough() -> bool:
        events.extend(await room.event_summaries())
        return len(events) >= count

    await eventually(enough, what=f"{count} events")
    return events


# ---- sweeping


async def test_users_of_a_dead_process_leave_all_its_rooms_once(valkey: Valkey) -> None:
    async with opened(valkey) as (presence, room, pipeline):
        dead = Presence(pipeline, room.keyspace, incarnation="n2", rules=RULES)
        channels = [room.channel, *(room.keyspace.room(RoomName(f"r{number}")) for number in range(200))]
        await asyncio.gather(*(dead.join(channel, n, ADA, "Ada") for n, channel in enumerate(channels)))
        await presence.join(room.channel, 1, BOB, "Bob")
        await room.events()
        await room.expire_heartbeat("n2", ago_ms=5000)
        third = Presence(pipeline, room.keyspace, incarnation="n3", rules=RULES)
        async with sweeping(presence, third):
            await value_becomes(lambda: presence.fullest_rooms(10), ([("lobby", 1)], 1))
            await value_becomes(lambda: _processes(valkey, room), {b"n1"})
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
        await eventually(negated(pipeline.connected.is_set), what="the sweep fails")
        own_valkey.thaw()
        await pipeline.connected.wait()
        presence.leave(room.channel, 1)
        await value_becomes(room.user_and_session_counts, (0, 0))
        assert await room.remaining_keys() == set()
