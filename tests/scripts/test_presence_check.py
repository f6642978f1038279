"""presence_check.lua on a real Valkey: a room whose keys vanish is rebuilt from the sessions of all processes."""

import asyncio
import itertools
from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.presence.calls import PresenceRules
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.keyspace import Keyspace

from tests.support.checked_room import CheckedRoom
from tests.support.valkey import Valkey

_prefixes = itertools.count(1)
RULES = PresenceRules(inline_max=50, events_max=1000, grace=60.0)
COUNTED = ["users", "leaving", "presence"]
"""Of these it is counted how many members they have; without one of them the room is rebuilt."""
ALL = {"ada": 2, "bob": 1, "cyd": 0}


@pytest.fixture
async def room(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[CheckedRoom]:
    async with CheckedRoom.open(valkey, pipeline, Keyspace(f"check-{next(_prefixes)}"), RULES) as room:
        await room.fill()
        yield room


async def test_a_room_that_lost_nothing_is_left_alone(room: CheckedRoom) -> None:
    before = await room.users()
    await room.events()
    assert (await room.check(), await room.losses()) == (1, 0)
    assert (await room.users(), await room.events()) == (before, [])


@pytest.mark.parametrize("kind", [*COUNTED, "in"])
async def test_a_loss_is_told_to_all_processes_once_and_the_room_left_until_they_have_stated_their_sessions(
    room: CheckedRoom, kind: str
) -> None:
    await room.delete(kind)
    before = await room.sessions()
    assert [await room.check(), await room.check("n1")] == [0, 0]
    assert (await room.losses(), await room.sessions()) == (1, before)


@pytest.mark.parametrize("kind", COUNTED)
async def test_a_room_is_rebuilt_from_its_sessions(room: CheckedRoom, kind: str) -> None:
    await room.delete(kind)
    await room.check()
    await room.let_processes_state()
    assert await room.check() == 1
    assert {user: count for user, count in (await room.sessions()).items() if count} == {"ada": 2, "bob": 1}
    assert (await room.counts())[1:] == (len(await room.sessions()), 3)


async def test_since_and_names_of_users_that_were_lost_are_those_of_their_sessions(room: CheckedRoom) -> None:
    before = await room.users()
    await room.delete("users")
    await room.check()
    await room.let_processes_state()
    await room.check()
    assert await room.users() == {user: entry for user, entry in before.items() if user != "cyd"}


@pytest.mark.parametrize("kind", [*COUNTED, "in"])
async def test_members_are_made_to_ask_for_a_snapshot(room: CheckedRoom, kind: str) -> None:
    await room.delete(kind)
    await room.check()
    await room.let_processes_state()
    await room.events()
    await room.check()
    assert [event["type"] for event in await room.events()] == ["presence"]


async def test_sessions_that_are_stated_again_do_not_count_twice(room: CheckedRoom) -> None:
    await room.delete("in")
    await room.check()
    await room.join("n1", 1, "ada")
    assert (await room.sessions())["ada"] == 3
    await room.let_processes_state()
    assert await room.check() == 1
    assert await room.sessions() == ALL


async def test_a_user_whose_lost_session_has_ended_leaves(room: CheckedRoom) -> None:
    await room.leave("n2", 1)
    await room.delete("in")
    assert await room.leave("n1", 1) == 0
    assert (await room.sessions())["ada"] == 1
    await room.check()
    await room.let_processes_state()
    assert await room.check() == 1
    assert await room.sessions() == {**ALL, "ada": 0}
    assert b"due" in await room.scheduled()


async def test_a_leave_that_was_lost_is_scheduled_again(room: CheckedRoom) -> None:
    await room.delete("leaving")
    await room.delete("due")
    await room.check()
    await room.let_processes_state()
    assert await room.check() == 1
    assert (await room.sessions(), await room.scheduled()) == (ALL, {b"rooms", b"due"})


@pytest.mark.parametrize("kind", ["rooms", "due"])
async def test_what_is_kept_for_a_partition_is_written_again(room: CheckedRoom, kind: str) -> None:
    await room.delete(kind)
    assert await room.check() == 1
    assert await room.scheduled() == {b"rooms", b"due"}


async def test_a_process_is_noted_again_in_the_room(room: CheckedRoom) -> None:
    await room.delete("on")
    await room.check("n1")
    await room.expire_heartbeat("n1")
    await room.age_heartbeats()
    assert await room.remove_dead("n1") == 0
    assert await room.sessions() == {**ALL, "ada": 1}


async def test_nothing_is_rebuilt_while_heartbeats_are_missing(room: CheckedRoom) -> None:
    await room.delete("nodes")
    await room.send_heartbeats("n2")
    assert (await room.check(), await room.losses()) == (0, 0)


async def test_users_of_a_process_that_never_comes_back_leave(room: CheckedRoom) -> None:
    await room.delete("nodes")
    await room.send_heartbeats("n1")
    await room.age_heartbeats()
    await room.check("n1")
    await room.let_processes_state()
    assert await room.check("n1") == 1
    assert await room.sessions() == {"ada": 1, "bob": 0, "cyd": 0}


async def test_nothing_is_left_of_a_room_that_is_empty(room: CheckedRoom, valkey: Valkey) -> None:
    await room.delete("users")
    for process, number in (("n1", 1), ("n2", 1), ("n2", 2)):
        await room.leave(process, number)
    await room.check()
    await room.let_processes_state()
    await room.check()
    keys = await room.remaining_keys()
    assert {key for key in keys if not key.endswith(":server")} == set()


async def test_a_room_of_thousands_is_rebuilt(room: CheckedRoom) -> None:
    await asyncio.gather(*(room.join("n2", number, f"user-{number}") for number in range(3, 2103)))
    await room.delete("users")
    await room.check()
    await room.let_processes_state()
    assert await room.check() == 1
    assert len(await room.users(3000)) == 2102


async def test_a_room_is_noted_for_another_process_that_has_lost_its_note(valkey: Valkey, room: CheckedRoom) -> None:
    """Or that process would not compare a session that is left over there, if it knows of no other one in the room."""
    noted = room.keyspace.rooms_of_node(room.part, "n1")
    before = await valkey.run("SMEMBERS", noted)
    await room.delete("on")

    assert await room.check("n2") == 1
    assert await valkey.run("SMEMBERS", noted) == before
    assert await valkey.run("TTL", noted) > 0


# ---- versions


async def test_members_that_have_seen_a_later_version_get_a_count_behind_a_gap_above_it(room: CheckedRoom) -> None:
    seen = (await room.counts())[0] + 60_000_000
    await room.events()
    assert await room.check(seen=seen) == 1
    (event,) = await room.events()
    assert event["type"] == "presence"
    assert event["version"] == (await room.counts())[0] > seen + 1


async def test_no_server_that_counted_up_to_what_members_have_seen_counts_up_to_the_version_after_it(
    room: CheckedRoom,
) -> None:
    for ahead in (1, 60_000_000):
        seen = (await room.counts())[0] + ahead
        await room.check(seen=seen)
        assert (await room.counts())[0] >= seen + 1_000_000


async def test_members_that_have_not_seen_what_was_due_get_a_count_behind_a_gap(room: CheckedRoom) -> None:
    version = (await room.counts())[0]
    await room.events()
    await room.check(seen=version - 1, due=version)
    assert [(event["type"], event["version"]) for event in await room.events()] == [("presence", version + 2)]


@pytest.mark.parametrize(("behind", "is_due"), [(0, True), (0, False), (1, False)])
async def test_members_that_know_the_version_or_may_still_hear_of_it_get_nothing(
    room: CheckedRoom, behind: int, is_due: bool
) -> None:
    version = (await room.counts())[0]
    await room.events()
    await room.check(seen=version - behind, due=version if is_due else 0)
    assert (await room.events(), (await room.counts())[0]) == ([], version)


async def test_a_version_far_ahead_of_the_clock_of_redis_is_none(room: CheckedRoom) -> None:
    version = (await room.counts())[0]
    await room.events()
    await room.check(seen=2**53 - 1)
    assert (await room.events(), (await room.counts())[0]) == ([], version)


async def test_a_check_returns_the_version_of_a_room_with_users_only(room: CheckedRoom) -> None:
    assert await room.checked_version() == (await room.counts())[0]
    for process, number in (("n1", 1), ("n2", 1), ("n2", 2)):
        await room.leave(process, number)
    await room.delete("leaving")
    await room.delete("users")
    await room.delete("presence")
    assert await room.checked_version() == 0
