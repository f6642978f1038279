"""What the HTTP hooks are told, on a real Valkey: by the scripts of presence, of publishing, and by their own."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tannoy.fanout.history.publisher import Publisher, ToldChannels
from tannoy.fanout.pubsub.envelopes import PLAIN
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.webhooks.calls import HookCalls, SessionChange
from tannoy.fanout.webhooks.events import EventReader, QueuedEvent
from tannoy.shared.keyspace import Keyspace

from tests.support.history_room import RULES, HistoryRoom, publication_of
from tests.support.presence_room import SHORT, OpenRoom, PresenceRoom, sweep_until
from tests.support.valkey import Valkey

EVERYTHING = "1000:ru"
BACKLOG = 1000
ALL_BYTES = 1_000_000


def calls_of(pipeline: Pipeline, keyspace: Keyspace, backlog: int = BACKLOG) -> HookCalls:
    return HookCalls(pipeline, keyspace, EventReader(keyspace, PLAIN), backlog=backlog)


async def told(pipeline: Pipeline, room: PresenceRoom) -> list[tuple[str, Any, Any]]:
    """Type, user and count of each event that waits."""
    events = await calls_of(pipeline, room.keyspace).read(room.part, 1000, ALL_BYTES)
    assert {event.event["room"] for event in events} <= {"lobby"}
    return [(str(e.event["type"]), e.event.get("user_id"), e.event.get("users_count")) for e in events]


# ---- rooms and users


async def test_a_room_is_occupied_and_vacated_once_whichever_processes_its_sessions_are_of(
    open_room: OpenRoom, pipeline: Pipeline
) -> None:
    room = await open_room(told=EVERYTHING)
    for process, user in (("n1", "ada"), ("n2", "ada"), ("n2", "bob")):
        await room.join(process, 1 if user == "ada" else 2, user)
    for process, number in (("n1", 1), ("n2", 1), ("n2", 2), ("n2", 2)):
        await room.leave(process, number)

    assert await told(pipeline, room) == [
        ("room_occupied", None, None),
        ("user_joined", "ada", 1),
        ("user_joined", "bob", 2),
        ("user_left", "ada", 1),
        ("user_left", "bob", 0),
        ("room_vacated", None, None),
    ]


async def test_a_user_that_comes_back_within_the_grace_is_told_neither_to_have_left_nor_to_have_joined(
    open_room: OpenRoom, pipeline: Pipeline
) -> None:
    room = await open_room(told=EVERYTHING, grace=SHORT)
    await room.join("n1", 1, "ada")
    await room.leave("n1", 1)
    await room.join("n2", 1, "ada")
    await room.sweep()
    assert [type for type, *_ in await told(pipeline, room)] == ["room_occupied", "user_joined"]


async def test_a_room_whose_process_has_died_is_vacated_once_by_whoever_sweeps_it(
    open_room: OpenRoom, pipeline: Pipeline
) -> None:
    room = await open_room(told=EVERYTHING, grace=SHORT)
    await room.join("n1", 1, "ada")
    await room.expire_heartbeat("n1")
    await room.remove_dead("n1")
    await sweep_until(room, 1)
    await room.sweep()
    assert [type for type, *_ in await told(pipeline, room)][2:] == ["user_left", "room_vacated"]


@pytest.mark.parametrize(
    ("word", "types"),
    [("", []), ("1000:r", ["room_occupied", "room_vacated"]), ("1000:u", ["user_joined", "user_left"])],
)
async def test_only_what_is_asked_for_is_told(
    open_room: OpenRoom, pipeline: Pipeline, word: str, types: list[str]
) -> None:
    room = await open_room(told=word)
    await room.join("n1", 1, "ada")
    await room.leave("n1", 1)
    assert [type for type, *_ in await told(pipeline, room)] == types


async def test_users_of_a_room_of_counts_alone_are_told_one_by_one(open_room: OpenRoom, pipeline: Pipeline) -> None:
    room = await open_room(told=EVERYTHING, events_max=0)
    await room.join("n1", 1, "ada")
    await room.join("n1", 2, "bob")
    await room.leave("n1", 1)
    assert ("user_left", "ada", 1) in await told(pipeline, room)


async def test_a_backlog_of_another_type_is_replaced_and_costs_no_join(
    valkey: Valkey, open_room: OpenRoom, pipeline: Pipeline
) -> None:
    room = await open_room(told=EVERYTHING)
    await valkey.run("SET", room.keyspace.hooks(room.part), "x")
    assert (await room.join("n1", 1, "ada"))[1] == 1
    assert len(await told(pipeline, room)) == 2


async def test_a_backlog_that_redis_refuses_costs_no_join(
    valkey: Valkey, open_room: OpenRoom, pipeline: Pipeline
) -> None:
    room = await open_room(told=EVERYTHING)
    async with valkey.refusing("xadd"):
        assert (await room.join("n1", 1, "ada"))[1] == 1
    assert await room.event_summaries() == [("user_joined", "ada", 1)]
    assert await told(pipeline, room) == []


# ---- messages


@pytest.fixture
async def history(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[HistoryRoom]:
    async with HistoryRoom.open(valkey, pipeline) as room:
        yield room


def telling(room: HistoryRoom, pattern: str, backlog: int = BACKLOG) -> Publisher:
    return Publisher(room.pipeline, room.keyspace, RULES, told=ToldChannels((pattern,), backlog))


async def read_all(room: HistoryRoom) -> list[QueuedEvent]:
    return await calls_of(room.pipeline, room.keyspace).read(room.channel.partition, 1000, ALL_BYTES)


async def test_a_message_of_a_channel_that_matches_is_told_with_the_position_that_it_has(history: HistoryRoom) -> None:
    publisher = telling(history, "room:room-*")
    positions = [await publisher.publish(history.channel, publication_of(number)) for number in range(3)]
    events = [queued.event for queued in await read_all(history)]
    assert [(event["epoch"], event["offset"], event["content"]) for event in events] == [
        (position.epoch, position.offset, number) for number, position in enumerate(positions) if position
    ]


async def test_a_message_of_another_channel_is_not_told(history: HistoryRoom) -> None:
    await telling(history, "room:other").publish(history.channel, publication_of(1))
    assert await read_all(history) == []


async def test_a_message_that_is_repeated_with_its_key_is_told_once(history: HistoryRoom) -> None:
    publisher = telling(history, "room:*")
    first = await publisher.publish_telling(history.channel, publication_of(1), key="k")
    second = await publisher.publish_telling(history.channel, publication_of(1), key="k")
    assert (first.is_repeated, second.is_repeated) == (False, True)
    assert (await publisher.publish(history.channel, publication_of(1), key="k")) == first.position
    assert len(await read_all(history)) == 1


async def test_a_full_backlog_drops_the_oldest_and_counts_them(history: HistoryRoom) -> None:
    publisher = telling(history, "room:*", backlog=5)
    for number in range(8):
        await publisher.publish(history.channel, publication_of(number))
    assert [queued.event["content"] for queued in await read_all(history)] == [3, 4, 5, 6, 7]
    waiting = await calls_of(history.pipeline, history.keyspace).waiting()
    assert waiting[history.channel.partition].lost == 3


# ---- reading, and what was delivered


async def test_a_read_is_bounded_in_events_and_in_bytes(history: HistoryRoom) -> None:
    publisher = telling(history, "room:*")
    for _ in range(20):
        await publisher.publish(history.channel, publication_of("x" * 1000))
    calls = calls_of(history.pipeline, history.keyspace)
    assert len(await calls.read(history.channel.partition, 3, ALL_BYTES)) == 3
    assert len(await calls.read(history.channel.partition, 1000, 1)) == 1
    assert len(await calls.read(history.channel.partition, 1000, 4000)) < 20


async def test_what_is_confirmed_waits_no_more(history: HistoryRoom) -> None:
    publisher = telling(history, "room:*")
    for number in range(3):
        await publisher.publish(history.channel, publication_of(number))
    first, second, third = await read_all(history)
    await calls_of(history.pipeline, history.keyspace).confirm([first, third])
    assert await read_all(history) == [second]


async def test_an_entry_that_no_node_has_written_is_removed(valkey: Valkey, history: HistoryRoom) -> None:
    key = history.keyspace.hooks(history.channel.partition)
    await valkey.run("XADD", key, "*", "t", "nonsense")
    assert await read_all(history) == []
    assert await valkey.run("XLEN", key) == 0


# ---- sessions


def change(number: int, *, opened: bool, is_told: bool = True) -> SessionChange:
    what = "opened" if opened else "closed"
    return SessionChange(opened, is_told, number, {"id": f"n1-{number}-{what}", "type": f"session_{what}"})


@pytest.fixture
def calls(history: HistoryRoom) -> HookCalls:
    return calls_of(history.pipeline, history.keyspace)


async def ids(calls: HookCalls) -> list[object]:
    return [queued.event["id"] for queued in await calls.read(0, 1000, ALL_BYTES)]


async def test_a_session_that_is_told_again_to_have_opened_is_told_once(calls: HookCalls) -> None:
    for _ in range(2):
        await calls.tell_sessions("n1", [change(1, opened=True)])
    assert await ids(calls) == ["n1-1-opened"]


async def test_the_end_of_a_session_is_told_with_the_same_id_however_often(calls: HookCalls) -> None:
    await calls.tell_sessions("n1", [change(1, opened=True), change(1, opened=False)])
    await calls.tell_sessions("n1", [change(1, opened=False)])
    assert await ids(calls) == ["n1-1-opened", "n1-1-closed", "n1-1-closed"]


async def test_a_session_that_is_not_told_is_remembered_and_forgotten_all_the_same(calls: HookCalls) -> None:
    await calls.tell_sessions("n1", [change(1, opened=True, is_told=False), change(2, opened=True, is_told=False)])
    await calls.tell_sessions("n1", [change(1, opened=False, is_told=False)])
    assert await calls.list_processes() == ["n1"]
    assert await calls.end_dead("n1", is_told=True) == 0
    assert await ids(calls) == ["n1-2-closed"]
    assert await calls.list_processes() == []


async def test_sessions_of_a_living_process_stay(valkey: Valkey, history: HistoryRoom, calls: HookCalls) -> None:
    await calls.tell_sessions("n1", [change(1, opened=True)])
    await valkey.run("ZADD", history.keyspace.heartbeats(0), "99999999999999", "n1")
    assert await calls.end_dead("n1", is_told=True) == -1
    assert await ids(calls) == ["n1-1-opened"]


async def test_many_sessions_of_a_dead_process_end_in_parts(calls: HookCalls) -> None:
    await calls.tell_sessions("n1", [change(number, opened=True, is_told=False) for number in range(600)])
    assert await calls.end_dead("n1", is_told=False) == 100
    assert await calls.end_dead("n1", is_told=False) == 0
    assert await ids(calls) == []


# ---- who delivers


async def test_one_process_leads_until_it_gives_up_or_its_time_is_over(calls: HookCalls) -> None:
    assert await calls.lead("n1", 60_000)
    assert not await calls.lead("n2", 60_000)
    assert not await calls.lead("n2", 0), "only the leader can give up"
    assert await calls.lead("n1", 60_000)
    assert not await calls.lead("n1", 0)
    assert await calls.lead("n2", 60_000)
