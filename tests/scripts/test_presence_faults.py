"""The presence scripts on a real Valkey: processes that die, and a Redis that has lost keys or has no memory."""

import asyncio

import pytest

from tests.support.presence_room import LONG, RULES, SHORT, OpenRoom, PresenceRoom, sweep_until, wait_on_redis_clock
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

# ---- processes that die


async def test_users_of_a_dead_process_leave_once_under_concurrent_removal(open_room: OpenRoom) -> None:
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


async def test_grace_of_users_of_a_dead_process_starts_at_its_death(open_room: OpenRoom) -> None:
    room = await open_room(grace=4 + 2)
    await room.join("n1", 1, "ada")
    await room.expire_heartbeat("n1")
    await room.remove_dead("n1")
    assert await room.sweep() == 0, "its heartbeat ran out 4 s after it died, just now"
    await sweep_until(room)


async def test_user_of_a_dead_process_can_rejoin_on_another(open_room: OpenRoom) -> None:
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


async def test_sessions_of_a_dead_process_are_removed_in_batches(open_room: OpenRoom) -> None:
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


async def test_dead_process_with_leases_is_not_forgotten(valkey: Valkey, room: PresenceRoom) -> None:
    forget = room.calls_with(RULES).forget_dead
    await room.expire_heartbeat("n1", ago_ms=5000)
    owners = room.keyspace.owners_of_node(room.part, "n1")
    await valkey.run("SADD", owners, "agent:42")
    assert await forget(room.part, "n1") == 0
    await valkey.run("SREM", owners, "agent:42")
    assert await forget(room.part, "n1") == 1


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
async def test_room_with_a_lost_key_still_becomes_empty(valkey: Valkey, open_room: OpenRoom, lost: str) -> None:
    room = await open_room(grace=SHORT)
    await room.join("n1", 1, "ada")
    await room.join("n1", 2, "bob")
    await room.leave("n1", 2)
    keys = room.keyspace.presence(room.channel)
    await valkey.run("DEL", {"users": keys.users, "presence": keys.meta, "leaving": keys.leaving}[lost])
    await room.join("n1", 3, "bob")
    await wait_on_redis_clock(room, SHORT)
    assert await room.sweep() == 0, "users who are present do not leave"
    await room.leave("n1", 3)
    await room.leave("n1", 1)

    async def nothing_left() -> bool:
        await room.sweep()
        return await room.remaining_keys() == set()

    await eventually(nothing_left, what="nothing is left over")
    await room.events()  # and none of them is malformed


async def test_leaves_succeed_when_redis_is_out_of_memory(valkey: Valkey, open_room: OpenRoom) -> None:
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
