"""The presence scripts on a real Valkey: leaves that are due later, and counts in place of events in a large room."""

import asyncio
import time

from tests.support.presence_room import SHORT, OpenRoom, PresenceRoom, sweep_until, wait_on_redis_clock
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

CLAIM_SECONDS = 0.999
"""For which a room is claimed; the scripts count whole milliseconds, and so in the two below."""
REST_SECONDS = 0.499
"""Between two sweeps of a room that publish the most events."""
COUNT_SECONDS = 0.999
"""Between two counts of a large room."""

# ---- leaving


async def test_leave_is_announced_once_after_the_grace(open_room: OpenRoom) -> None:
    room = await open_room(grace=SHORT)
    await room.join("n1", 1, "ada")
    await room.join("n1", 2, "bob")
    before_leave = await room.now_ms()
    await room.leave("n1", 1)
    assert (await room.counts())[1:] == (2, 1)
    assert (await room.users())["ada"].startswith("0|")
    assert len(await room.events()) == 2
    await sweep_until(room)
    assert await room.now_ms() - before_leave >= SHORT * 1000 - 2  # both ends are cut to ms
    assert await room.event_summaries() == [("user_left", "ada", 1)]
    assert await room.sweep() == 0


async def test_user_who_rejoins_within_the_grace_never_leaves(open_room: OpenRoom) -> None:
    room = await open_room(grace=SHORT)
    before = await room.join("n1", 1, "ada")
    await room.leave("n1", 1)
    again = await room.join("n2", 1, "ada")
    assert again == before
    await wait_on_redis_clock(room, SHORT)
    assert await room.sweep() == 0
    assert len(await room.events()) == 1
    assert (await room.counts())[1:] == (1, 1)


async def test_room_is_due_when_its_first_leave_is(open_room: OpenRoom) -> None:
    room = await open_room(grace=SHORT)
    await room.join("n1", 1, "ada")
    await room.leave("n1", 1)

    async def is_due() -> bool:
        return (await room.due())[0] == ["lobby"]

    await eventually(is_due, what="the room is due")
    assert (await room.due())[0] == [], "claimed for a second"
    assert await room.sweep() == 1
    assert await room.remaining_keys() == set()


async def test_claimed_room_that_was_not_swept_can_be_claimed_again(open_room: OpenRoom) -> None:
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


async def test_sweep_announces_at_most_250_leaves_at_once(open_room: OpenRoom) -> None:
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


# ---- count mode


async def test_large_room_gets_at_most_one_count_per_second(open_room: OpenRoom) -> None:
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


async def test_many_leaves_of_a_large_room_are_announced_as_one_count(valkey: Valkey, open_room: OpenRoom) -> None:
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


async def test_room_that_returns_from_counts_skips_one_version(open_room: OpenRoom) -> None:
    room = await open_room(events_max=2)
    for number in range(4):
        await room.join("n1", number, f"u{number}")
    counted = (await room.events())[-1]["version"]
    for number in range(4):
        await room.leave("n1", number)
    events = await room.events()
    assert [(event["type"], event["user_id"]) for event in events] == [("user_left", f"u{n}") for n in (1, 2, 3)]
    assert [event["version"] for event in events] == [counted + 2, counted + 3, counted + 4]
