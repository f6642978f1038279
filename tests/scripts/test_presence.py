"""The presence scripts on a real Valkey: the users of a room, joins and leaves, and the events about them."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tannoy.fanout.presence.calls import PRESENCE_SCRIPTS, PresenceRules
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import UserId

from tests.support.presence_room import RULES, PresenceRoom
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

_prefixes = itertools.count(1)
SHORT = 0.05
"""Seconds of grace in tests that wait for a leave."""
LONG = 60.0
"""Seconds of grace that do not end during a test."""
CLAIM_SECONDS = 0.999
"""For which a room is claimed; the scripts count whole milliseconds, and so in the two below."""
REST_SECONDS = 0.499
"""Between two sweeps of a room that publish the most events."""
COUNT_SECONDS = 0.999
"""Between two counts of a large room."""

Open = Callable[..., Awaitable[PresenceRoom]]


@pytest.fixture
async def pipeline(valkey: Valkey) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(valkey, PRESENCE_SCRIPTS) as pipeline:
        yield pipeline


@pytest.fixture
async def open_room(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[Open]:
    """`await open_room(grace=…, events_max=…, inline_max=…)`: a room that no other test uses."""
    async with AsyncExitStack() as stack:

        async def open_it(
            *, grace: float = 0, events_max: int = RULES.events_max, inline_max: int = RULES.inline_max
        ) -> PresenceRoom:
            rules = PresenceRules(inline_max=inline_max, events_max=events_max, grace=grace)
            keyspace = Keyspace(f"p{next(_prefixes)}")
            return await stack.enter_async_context(PresenceRoom.open(valkey, pipeline, keyspace, rules))

        yield open_it


@pytest.fixture
async def room(open_room: Open) -> PresenceRoom:
    return await open_room()


async def sweep_until(room: PresenceRoom, count: int = 1) -> None:
    """Sweep until that many leaves have been announced."""
    shown = [0]

    async def swept() -> bool:
        shown[0] += await room.sweep()
        return shown[0] >= count

    await eventually(swept, what=f"{count} leaves are shown")
    assert shown[0] == count


# ---- users and their sessions


async def test_first_join_of_a_user_is_announced_and_in_the_snapshot(room: PresenceRoom) -> None:
    version, users, flat = await room.join("n1", 1, "ada")
    (event,) = await room.events()
    assert (users, flat[0]) == (1, b"ada")
    assert event["users"] == [
        {"user_id": "ada", "username": "Ada", "connected_at": event["users"][0]["connected_at"], "sessions": 1}
    ]
    assert (event["type"], event["users_count"], event["version"]) == ("user_joined", 1, version)


async def test_two_sessions_of_one_user_count_as_one_user(room: PresenceRoom) -> None:
    await room.join("n1", 1, "ada")
    await room.join("n2", 1, "ada")
    assert await room.event_summaries() == [("user_joined", "ada", 1)]
    assert (await room.counts())[1:] == (1, 2)

    await room.leave("n1", 1)
    assert (await room.counts())[1:] == (1, 1)
    assert await room.event_summaries() == []
    await room.leave("n2", 1)
    assert await room.event_summaries() == [("user_left", "ada", 0)]


async def test_repeated_join_changes_nothing(room: PresenceRoom) -> None:
    first = await room.join("n1", 1, "ada")
    assert await room.join("n1", 1, "ada") == first
    assert (await room.counts())[1:] == (1, 1)
    assert len(await room.events()) == 1


async def test_repeated_leave_changes_nothing(room: PresenceRoom) -> None:
    await room.join("n1", 1, "ada")
    await room.join("n1", 2, "ada")
    assert [await room.leave("n1", 1) for _ in range(3)] == [1, 0, 0]
    assert (await room.counts())[1:] == (1, 1)


async def test_session_numbers_are_separate_for_each_process(room: PresenceRoom) -> None:
    await room.join("n1", 1, "ada")
    await room.join("n2", 1, "bob")
    await room.leave("n2", 1)
    assert list(await room.users()) == ["ada"]


@pytest.mark.parametrize("username", ["a|b|c", "|", "1|2|3", "👩‍💻 é", "line\nbreak", "x" * 128])
async def test_username_of_any_characters_is_kept(room: PresenceRoom, username: str) -> None:
    await room.join("n1", 1, "ada", username)
    await room.join("n1", 2, "ada", username)
    await room.leave("n1", 1)
    assert (await room.users())["ada"].split("|", 2)[2] == username
    await room.leave("n1", 2)
    joined, left = await room.events()
    assert (joined["username"], left["username"], joined["users"][0]["username"]) == (username, username, username)


async def test_second_session_keeps_the_announced_name_and_time(room: PresenceRoom) -> None:
    await room.join("n1", 1, "ada", "Ada")
    first = (await room.users())["ada"]
    await room.join("n1", 2, "ada", "Countess")
    assert (await room.users())["ada"] == first.replace("1|", "2|", 1)


async def test_join_by_a_process_without_a_heartbeat_is_refused(room: PresenceRoom) -> None:
    await room.expire_heartbeat("n1")
    assert await room.join("n1", 1, "ada") is None
    assert await room.join("stranger", 1, "ada") is None
    assert await room.remaining_keys() == set()


async def test_users_are_listed_up_to_inline_max(open_room: Open) -> None:
    room = await open_room(inline_max=2)
    snapshots = [await room.join("n1", number, f"u{number}") for number in range(3)]
    assert [flat is not None and len(flat) // 2 for _, _, flat in snapshots] == [1, 2, False]
    assert [len(event.get("users", "none")) for event in await room.events()] == [1, 2, len("none")]


async def test_list_is_cut_at_its_limit(room: PresenceRoom) -> None:
    for number in range(10):
        await room.join("n1", number, f"u{number}")
    assert [len(await room.users(limit)) for limit in (0, 1, 9, 10, 11)] == [0, 1, 9, 10, 10]


# ---- leaving


async def test_leave_is_announced_once_after_the_grace(open_room: Open) -> None:
    room = await open_room(grace=SHORT)
    await room.join("n1", 1, "ada")
    await room.join("n1", 2, "bob")
    await room.leave("n1", 1)
    left_at = await room.now_ms()
    assert (await room.counts())[1:] == (2, 1)
    assert (await room.users())["ada"].startswith("0|")
    assert len(await room.events()) == 2
    await sweep_until(room)
    assert await room.now_ms() - left_at >= SHORT * 1000 - 2  # both ends are cut to ms
    assert await room.event_summaries() == [("user_left", "ada", 1)]
    assert await room.sweep() == 0


async def test_user_who_rejoins_within_the_grace_never_leaves(open_room: Open) -> None:
    room = await open_room(grace=SHORT)
    before = await room.join("n1", 1, "ada")
    _, again = await asyncio.gather(room.leave("n1", 1), room.join("n2", 1, "ada"))
    assert again == before
    await _wait_on_redis_clock(room, SHORT)
    assert await room.sweep() == 0
    assert len(await room.events()) == 1
    assert (await room.counts())[1:] == (1, 1)


async def _wait_on_redis_clock(room: PresenceRoom, seconds: float) -> None:
    """On the clock of Redis."""
    end = await room.now_ms() + seconds * 1000

    async def passed() -> bool:
        return await room.now_ms() > end

    await eventually(passed, what=f"{seconds:g} s pass")


async def test_room_is_due_when_its_first_leave_is(open_room: Open) -> None:
    room = await open_room(grace=SHORT)
    await room.join("n1", 1, "ada")
    await room.leave("n1", 1)

    async def is_due() -> bool:
        return (await room.due())[0] == ["lobby"]

    await eventually(is_due, what="the room is due")
    assert (await room.due())[0] == [], "claimed for a second"
    assert await room.sweep() == 1
    assert await room.remaining_keys() == set()


async def test_claimed_room_that_was_not_swept_can_be_claimed_again(open_room: Open) -> None:
    room = await open_room(grace=SHORT)
    await room.join("n1", 1, "ada")
    await room.leave("n1", 1)
    started = time.monotonic()
    claims = [0]

    async def claimed_twice() -> bool:
        claims[0] += len((await room.due())[0])
        return claims[0] == 2

    await eventually(claimed_twice, what="it is claimed again")
    assert time.monotonic() - started >= CLAIM_SECONDS


async def test_sweep_announces_at_most_250_leaves_at_once(open_room: Open) -> None:
    room = await open_room(inline_max=0)
    await asyncio.gather(*(room.join("n1", number, f"u{number}") for number in range(300)))
    await room.events()
    await room.expire_heartbeat("n1", ago_ms=5000)
    await room.remove_dead("n1")
    assert (await room.due())[0] == ["lobby"]
    started = time.monotonic()
    assert await room.sweep() == 250
    assert (await room.due())[0] == [], "the room is left alone for a while"
    assert [event["users_count"] for event in await room.events()] == list(range(299, 49, -1))

    async def is_due() -> bool:
        return (await room.due())[0] == ["lobby"]

    await eventually(is_due, what="the room is due again")
    assert time.monotonic() - started >= REST_SECONDS
    assert await room.sweep() == 50
    assert await room.remaining_keys() == set()


# ---- versions


async def test_versions_are_contiguous_and_above_the_snapshot(open_room: Open) -> None:
    room = await open_room(grace=SHORT)
    version, *_ = await room.join("n1", 0, "u0")
    for number in range(1, 20):
        await room.join("n1", number, f"u{number}")
    for number in range(10):
        await room.leave("n1", number)
    await sweep_until(room, 10)
    versions = [event["version"] for event in await room.events()]
    assert versions == list(range(version, version + 30))
    assert (await room.counts())[0] == versions[-1]


async def test_versions_keep_increasing_after_the_room_was_empty(room: PresenceRoom) -> None:
    # As fast as one connection can: a version born from a clock in ms would not keep up.
    for _ in range(50):
        answers = [room.join("n1", 1, "ada"), room.leave("n1", 1)]
        await asyncio.gather(*answers, *(room.join("n2", 1, "bob"), room.leave("n2", 1)))
    versions = [event["version"] for event in await room.events()]
    assert len(versions) >= 100
    assert versions == sorted(set(versions))


async def test_versions_keep_increasing_after_redis_lost_the_room(valkey: Valkey, room: PresenceRoom) -> None:
    version, *_ = await room.join("n1", 1, "ada")
    await valkey.run("FLUSHALL")
    await room.send_heartbeats("n1")
    again, *_ = await room.join("n1", 1, "ada")
    assert again > version


async def test_empty_room_has_a_version(room: PresenceRoom) -> None:
    before, users, sessions = await room.counts()
    assert (users, sessions) == (0, 0)
    assert (await room.join("n1", 1, "ada"))[0] > before
    await room.leave("n1", 1)
    assert await room.remaining_keys() == set()


# ---- count mode


async def test_large_room_gets_at_most_one_count_per_second(open_room: Open) -> None:
    room = await open_room(events_max=2)
    started = time.monotonic()
    for number in range(6):
        await room.join("n1", number, f"u{number}")
    assert await room.event_summaries() == [("user_joined", "u0", 1), ("user_joined", "u1", 2), ("presence", None, 3)]
    before = (await room.counts())[0]

    async def owed_count_was_announced() -> bool:
        rooms, _ = await room.due()
        return bool(rooms) and await room.sweep() == 0

    await eventually(owed_count_was_announced, what="the owed count is announced")
    assert time.monotonic() - started >= COUNT_SECONDS
    (event,) = await room.events()
    assert event == {"type": "presence", "room": "lobby", "users_count": 6, "version": before + 1}
    assert (await room.due())[0] == []
    await room.sweep()
    assert await room.events() == []


async def test_many_leaves_of_a_large_room_are_announced_as_one_count(valkey: Valkey, open_room: Open) -> None:
    room = await open_room(events_max=2)
    for number in range(6):
        await room.join("n1" if number < 3 else "n2", number, f"u{number}")
    await eventually(lambda: _count_was_announced(room, 6), what="the count after the joins is announced")
    await room.expire_heartbeat("n1", ago_ms=5000)
    await room.remove_dead("n1")
    assert await room.sweep() == 3
    assert await valkey.run("ZSCORE", room.keyspace.rooms(room.part), "lobby") == 3
    await eventually(lambda: _count_was_announced(room, 3), what="the count after the leaves is announced")


async def _count_was_announced(room: PresenceRoom, users: int) -> bool:
    """Sweep if the room is due. No event about a single user may come meanwhile."""
    if (await room.due())[0]:
        await room.sweep()
    events = await room.event_summaries()
    assert [user for kind, user, _ in events if kind == "user_left"] == []
    return ("presence", None, users) in events


async def test_room_that_returns_from_counts_skips_one_version(open_room: Open) -> None:
    room = await open_room(events_max=2)
    for number in range(4):
        await room.join("n1", number, f"u{number}")
    counted = (await room.events())[-1]["version"]
    for number in range(4):
        await room.leave("n1", number)
    events = await room.events()
    assert [(event["type"], event["user_id"]) for event in events] == [("user_left", f"u{n}") for n in (1, 2, 3)]
    assert [event["version"] for event in events] == [counted + 2, counted + 3, counted + 4]


# ---- processes that die


async def test_users_of_a_dead_process_leave_once_under_concurrent_removal(open_room: Open) -> None:
    room = await open_room()
    await asyncio.gather(*(room.join("n1", number, f"u{number}") for number in range(40)))
    await room.join("n2", 1, "u0")
    await room.events()
    await room.expire_heartbeat("n1", ago_ms=5000)
    assert await room.due() == ([], ["n1"])
    await asyncio.gather(*(room.remove_dead("n1") for _ in range(5)), *(room.sweep() for _ in range(5)))
    left = await room.event_summaries()
    assert sorted(user for _, user, _ in left if user) == sorted(f"u{number}" for number in range(1, 40))
    assert (await room.counts())[1:] == (1, 1)


async def test_grace_of_users_of_a_dead_process_starts_at_its_death(open_room: Open) -> None:
    room = await open_room(grace=4 + 2)
    await room.join("n1", 1, "ada")
    await room.expire_heartbeat("n1")
    await room.remove_dead("n1")
    assert await room.sweep() == 0, "its heartbeat ran out 4 s after it died, just now"
    await sweep_until(room)


async def test_user_of_a_dead_process_can_rejoin_on_another(open_room: Open) -> None:
    room = await open_room(grace=LONG)
    await room.join("n1", 1, "ada")
    await room.expire_heartbeat("n1")
    await room.remove_dead("n1")
    await room.join("n2", 1, "ada")
    await room.sweep()
    assert len(await room.events()) == 1
    assert (await room.counts())[1:] == (1, 1)


async def test_sessions_of_a_live_process_are_not_removed(room: PresenceRoom) -> None:
    await room.join("n1", 1, "ada")
    assert await room.remove_dead("n1") == 0
    assert (await room.counts())[1:] == (1, 1)


async def test_sessions_of_a_dead_process_are_removed_in_batches(open_room: Open) -> None:
    room = await open_room(inline_max=0)
    await asyncio.gather(*(room.join("n1", number, f"u{number % 600}") for number in range(1200)))
    await room.expire_heartbeat("n1", ago_ms=5000)
    assert await room.remove_dead("n1") == 200
    assert (await room.counts())[2] == 200
    assert await room.remove_dead("n1") == 0
    assert (await room.counts())[1:] == (600, 0)
    for shown in (250, 250, 100):
        assert await room.sweep() == shown
    assert await room.remaining_keys() == set()


async def test_dead_process_is_forgotten_after_its_last_room(room: PresenceRoom) -> None:
    forget = room.calls_with(RULES).forget_dead
    assert await forget(room.part, "n1") == 0, "it lives"
    await room.join("n1", 1, "ada")
    await room.expire_heartbeat("n1", ago_ms=5000)
    assert await forget(room.part, "n1") == 0, "it has sessions"
    await room.remove_dead("n1")
    assert await forget(room.part, "n1") == 1
    assert (await room.due())[1] == []


# ---- faults


async def test_flushed_scripts_are_loaded_again(valkey: Valkey, room: PresenceRoom) -> None:
    await room.join("n1", 1, "ada")
    await valkey.run("SCRIPT", "FLUSH")
    await room.join("n1", 2, "bob")
    await valkey.run("SCRIPT", "FLUSH")
    await asyncio.gather(room.leave("n1", 1), room.leave("n1", 2))
    assert await room.event_summaries() == [
        ("user_joined", "ada", 1),
        ("user_joined", "bob", 2),
        ("user_left", "ada", 1),
        ("user_left", "bob", 0),
    ]
    assert await room.remaining_keys() == set()


@pytest.mark.parametrize("lost", ["users", "presence", "leaving"])
async def test_room_with_a_lost_key_still_becomes_empty(valkey: Valkey, open_room: Open, lost: str) -> None:
    room = await open_room(grace=SHORT)
    await room.join("n1", 1, "ada")
    await room.join("n1", 2, "bob")
    await room.leave("n1", 2)
    keys = room.keyspace.presence(room.channel)
    await valkey.run("DEL", {"users": keys.users, "presence": keys.meta, "leaving": keys.leaving}[lost])
    await room.join("n1", 3, "bob")
    await _wait_on_redis_clock(room, SHORT)
    assert await room.sweep() == 0, "users who are present do not leave"
    await room.leave("n1", 3)
    await room.leave("n1", 1)

    async def nothing_left() -> bool:
        await room.sweep()
        return await room.remaining_keys() == set()

    await eventually(nothing_left, what="nothing is left over")
    await room.events()  # and none of them is malformed


async def test_leaves_succeed_when_redis_is_out_of_memory(valkey: Valkey, open_room: Open) -> None:
    room = await open_room(grace=SHORT)
    await room.join("n1", 1, "ada")
    await room.join("n2", 1, "bob")
    await valkey.run("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(Exception, match="out of memory"):
            await room.join("n1", 2, "cyd")
        await room.leave("n1", 1)
        await room.calls_with(RULES).remove_dead(room.channel, "unknown")

        async def shown() -> bool:
            return bool((await room.due())[0]) and await room.sweep() == 1

        await eventually(shown, what="the leave is shown")
    finally:
        await valkey.run("CONFIG", "SET", "maxmemory", "0")
    assert (await room.event_summaries())[-1] == ("user_left", "ada", 1)


async def test_random_concurrent_joins_and_leaves_keep_events_and_snapshot_equal(open_room: Open) -> None:
    """In any order: the snapshot equals the sum of the events, and no key remains."""
    room = await open_room()
    shadow: dict[str, int] = {}
    steps: list[Awaitable[Any]] = []
    for number in range(300):
        steps.append(room.join(f"n{number % 2 + 1}", number, f"u{number * 7 % 23}"))
        if number % 3:
            steps.append(room.leave(f"n{(number - 2) % 2 + 1}", number - 2))
    await asyncio.gather(*steps)
    for event in await room.events():
        user = UserId(event["user_id"])
        shadow[user] = 1 if event["type"] == "user_joined" else 0
        assert event["users_count"] == sum(shadow.values())
    assert {user for user, there in shadow.items() if there} == set(await room.users())
    await asyncio.gather(*(room.leave(f"n{number % 2 + 1}", number) for number in range(300)))
    assert await room.remaining_keys() == set()
