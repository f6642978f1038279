"""`Presence` of one process on a real Valkey: it states its sessions to Redis again, and Redis agrees."""

import asyncio
import itertools

import pytest
from tannoy.fanout.presence.present import PresentSession
from tannoy.shared.channels import Channel
from tannoy.shared.errors import Unavailable
from tannoy.shared.names import RoomName, UserId

from tests.support.presence_process import negated, opened, sweeping
from tests.support.presence_room import PresenceRoom
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

OUTAGE_SECONDS = 2.0
"""The command timeout of tests in which Redis stays away: as short as leaves it time to answer before and after."""
ADA, BOB = UserId("ada"), UserId("bob")


async def test_restate_adds_missing_sessions_and_removes_surplus_ones(valkey: Valkey) -> None:
    async with opened(valkey) as (presence, room, _):
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


async def test_restate_of_the_current_sessions_changes_nothing(valkey: Valkey) -> None:
    async with opened(valkey) as (presence, room, _):
        await presence.join(room.channel, 1, ADA, "Ada")
        before = await room.counts()
        await presence.restate(room.part)
        assert await room.counts() == before
        assert presence.statistics().restated == 0


async def test_restate_does_not_bring_back_a_session_that_has_left(valkey: Valkey) -> None:
    async with opened(valkey) as (presence, room, _):
        await presence.join(room.channel, 1, ADA, "Ada")
        await presence.join(room.channel, 2, BOB, "Bob")
        presence.leave(room.channel, 1)
        await presence.restate(room.part)
        assert await room.leave("n1", 1) == 0
        assert presence.statistics().restated == 0


async def test_restate_after_data_loss_restores_all_sessions(valkey: Valkey) -> None:
    async with opened(valkey) as (presence, room, _):
        sessions = {number: (UserId(f"u{number % 70}"), "U") for number in range(1, 1301)}
        await asyncio.gather(*(presence.join(room.channel, n, *who) for n, who in sessions.items()))
        before = await room.counts()
        await valkey.run("FLUSHALL")
        with pytest.raises(Unavailable, match="heartbeat"):
            await presence.restate(room.part)
        await room.send_heartbeats("n1")
        await presence.restate(room.part)
        version, *counts = await room.counts()
        assert counts == [70, 1300]
        assert version > before[0]


async def test_restate_after_data_loss_announces_a_version_gap(valkey: Valkey) -> None:
    async with opened(valkey) as (presence, room, _):
        sessions = {number: (UserId(f"u{number}"), "U") for number in range(1, 21)}
        await asyncio.gather(*(presence.join(room.channel, n, *who) for n, who in sessions.items()))
        last = (await room.events())[-1]
        await valkey.run("FLUSHALL")
        await room.send_heartbeats("n1")
        await presence.restate(room.part)
        (count,) = await room.events()
        assert count["type"] == "presence"
        assert count["version"] > last["version"] + 1
        await presence.join(room.channel, 99, UserId("new"), "New")
        joined = (await room.events())[-1]
        assert (joined["type"], joined["user_id"]) == ("user_joined", "new")
        assert joined["version"] > count["version"] + 1, "a gap again, now that single events tell of changes"


async def test_restate_leaves_concurrent_joins_and_leaves_in_effect(valkey: Valkey) -> None:
    async with opened(valkey) as (presence, room, _):
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
        await eventually(negated(pipeline.connected.is_set), what="the connection is given up")
        own_valkey.thaw()
        await pipeline.connected.wait()
        await presence.restate(room.part)
        async with sweeping(presence):
            await eventually(negated(lambda: presence.statistics().leaves_pending > 0), what="nothing is owed")
        assert await room.event_summaries() == [("user_joined", "ada", 1), ("user_left", "ada", 0)]


def _room_of_same_partition(room: PresenceRoom, name: str) -> Channel:
    """A room of the same partition, whose name begins with `name`."""
    names = (RoomName(f"{name}{number}") for number in itertools.count())
    return next(c for c in map(room.keyspace.room, names) if c.partition == room.part)
