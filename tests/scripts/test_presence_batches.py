"""Joins, leaves and sweeps that a real Valkey carries out in one call: what each gets, and the heads of joins."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tannoy.fanout.history.reader import HistoryReader, HistoryRules
from tannoy.fanout.presence.calls import NO_HEAD, PresenceCalls
from tannoy.fanout.presence.sweeper import LATER
from tannoy.fanout.redis.errors import CommandFailed
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.channels import Channel
from tannoy.shared.names import RoomName, UserId
from tannoy.shared.publication import Position

from tests.support.presence_room import RULES, SHORT, OpenRoom, PresenceRoom, wait_on_redis_clock
from tests.support.valkey import Valkey

ADA, BOB, CYD = UserId("ada"), UserId("bob"), UserId("cyd")


@pytest.fixture
async def room(open_room: OpenRoom) -> PresenceRoom:
    return await open_room()


@pytest.fixture
def calls(room: PresenceRoom) -> PresenceCalls:
    return room.calls_with(RULES)


def _rooms(room: PresenceRoom, *names: str) -> list[Channel]:
    return [room.keyspace.room(RoomName(name)) for name in names]


async def _users(calls: PresenceCalls, room: Channel) -> set[bytes]:
    *_, flat = await calls.list_users(room, 1000)
    return set(flat[::2])


async def test_joins_of_several_rooms_get_their_own_snapshots(room: PresenceRoom, calls: PresenceCalls) -> None:
    rooms = _rooms(room, "a", "b", "c")
    users = (ADA, BOB, CYD)
    joined = [calls.join(each, "n1", number, users[number], "x") for number, each in enumerate(rooms)]
    answers: list[Any] = await asyncio.gather(*joined)
    assert [(answer[1], answer[2][0]) for answer in answers] == [
        (1, b"ada"),
        (1, b"bob"),
        (1, b"cyd"),
    ]


async def test_joins_of_one_room_follow_each_other(room: PresenceRoom, calls: PresenceCalls) -> None:
    joined = [calls.join(room.channel, "n1", number, user, "x") for number, user in enumerate((ADA, BOB, CYD))]
    answers: list[Any] = await asyncio.gather(*joined)
    first = answers[0][0]
    assert [(version - first, users, set(flat[::2])) for version, users, flat, _ in answers] == [
        (0, 1, {b"ada"}),
        (1, 2, {b"ada", b"bob"}),
        (2, 3, {b"ada", b"bob", b"cyd"}),
    ]
    assert [event["version"] - first for event in await room.events()] == [0, 1, 2]


async def test_a_join_is_carried_out_before_the_leave_of_the_same_turn(
    room: PresenceRoom, calls: PresenceCalls
) -> None:
    leaving = calls.leave(room.channel, "n1", 1, ADA)
    joining = calls.join(room.channel, "n1", 1, ADA, "Ada")
    await asyncio.gather(joining, leaving)
    assert await _users(calls, room.channel) == set()


async def test_a_leave_whose_user_is_not_told_is_carried_out(room: PresenceRoom, calls: PresenceCalls) -> None:
    await calls.join(room.channel, "n1", 1, ADA, "Ada")
    assert await calls.leave(room.channel, "n1", 1) == 1
    assert await _users(calls, room.channel) == set()


async def test_a_room_that_can_not_be_read_refuses_its_join_alone(
    valkey: Valkey, room: PresenceRoom, calls: PresenceCalls
) -> None:
    rooms = _rooms(room, "a", "b", "c")
    await valkey.run("SET", room.keyspace.presence(rooms[1]).users, "a text")
    first, second, third = (calls.join(each, "n1", 1, ADA, "Ada") for each in rooms)
    assert ((await first)[1], (await third)[1]) == (1, 1)
    with pytest.raises(CommandFailed) as refused:
        await second
    assert refused.value.refusal is not None
    assert refused.value.refusal.code == "WRONGTYPE"


async def test_a_stored_number_that_is_none_refuses_its_leave_alone(
    valkey: Valkey, room: PresenceRoom, calls: PresenceCalls
) -> None:
    rooms = _rooms(room, "a", "b")
    for each in rooms:
        await calls.join(each, "n1", 1, ADA, "Ada")
    await valkey.run("HSET", room.keyspace.presence(rooms[0]).meta, "s", "many")
    first, second = (calls.leave(each, "n1", 1, ADA) for each in rooms)
    with pytest.raises(CommandFailed) as refused:
        await first
    assert await second == 1
    assert refused.value.refusal is not None
    assert refused.value.refusal.is_about_data
    assert await _users(calls, rooms[1]) == set()


async def test_rooms_behind_the_most_events_of_one_sweep_are_left_for_the_next(open_room: OpenRoom) -> None:
    room = await open_room(grace=SHORT)
    calls = room.calls_with(replace(RULES, grace=SHORT))
    rooms, users = _rooms(room, "a", "b"), [UserId(f"u{number}") for number in range(260)]
    for each in rooms:
        await asyncio.gather(*(calls.join(each, "n1", number, user, "x") for number, user in enumerate(users)))
        await asyncio.gather(*(calls.leave(each, "n1", number, user) for number, user in enumerate(users)))
    await wait_on_redis_clock(room, SHORT)
    assert await asyncio.gather(*map(calls.sweep_room, rooms)) == [250, LATER]
    assert await asyncio.gather(*map(calls.sweep_room, reversed(rooms))) == [250, LATER]
    assert await asyncio.gather(*map(calls.sweep_room, rooms)) == [10, 10]


# ---- heads


@pytest.fixture
async def history(room: PresenceRoom, pipeline: Pipeline) -> HistoryReader:
    """Of the same rooms. The server of the room's partition has a life."""
    history = HistoryReader(pipeline, room.keyspace, HistoryRules(10, 300))
    await history.head(room.channel)
    return history


async def _join(room: PresenceRoom, calls: PresenceCalls, channel: Channel | None = None) -> Any:
    return await calls.join(channel or room.channel, "n1", 1, ADA, "Ada", with_head=True)


async def test_a_join_tells_the_head_that_a_read_tells(
    room: PresenceRoom, calls: PresenceCalls, history: HistoryReader
) -> None:
    head = await history.head(room.channel)
    assert (await _join(room, calls))[3].decode() == f"{head.epoch} {head.offset}"


async def test_a_join_begins_the_history_of_a_room_without_a_head(
    valkey: Valkey, room: PresenceRoom, calls: PresenceCalls, history: HistoryReader
) -> None:
    keys = room.keyspace.history(room.channel)
    await valkey.run("DEL", keys.head)
    await valkey.run("XADD", keys.log, "7-0", "m", "of an epoch that is not known any more")
    epoch, offset = (await _join(room, calls))[3].decode().split()
    assert await history.head(room.channel) == Position(epoch, int(offset)) == Position(epoch, 0)
    assert await valkey.run("EXISTS", keys.log) == 0
    assert 0 < int(await valkey.run("TTL", keys.head)) <= RULES.head_ttl


@pytest.mark.parametrize("head", ["another-life 5", "odd", "{life}-1 99999999999999999999"])
async def test_a_join_does_nothing_where_only_a_read_can_tell_the_head(
    valkey: Valkey, room: PresenceRoom, calls: PresenceCalls, history: HistoryReader, head: str
) -> None:
    keys = room.keyspace.history(room.channel)
    life = (await valkey.run("HGET", keys.server, "life")).decode()
    await valkey.run("SET", keys.head, head.format(life=life))
    assert await _join(room, calls) == NO_HEAD
    assert await _users(calls, room.channel) == set()
    await history.head(room.channel)
    assert (await _join(room, calls))[1] == 1


async def test_a_join_begins_no_history_where_channels_are_archived(
    valkey: Valkey, room: PresenceRoom, calls: PresenceCalls, history: HistoryReader
) -> None:
    keys = room.keyspace.history(room.channel)
    await valkey.run("HSET", keys.server, "archive", "room:*")
    await valkey.run("DEL", keys.head)
    assert await _join(room, calls) == NO_HEAD
    head = await history.head(room.channel)
    assert (await _join(room, calls))[3].decode() == f"{head.epoch} {head.offset}"


async def test_a_join_does_nothing_on_a_server_without_a_life(
    valkey: Valkey, room: PresenceRoom, calls: PresenceCalls, history: HistoryReader
) -> None:
    await valkey.run("HDEL", room.keyspace.history(room.channel).server, "life")
    assert await _join(room, calls) == NO_HEAD
