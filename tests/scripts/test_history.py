"""Publishing with history, against a real Valkey: one offset each, kept and published in one step, or not at all."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.history.publisher import REMEMBER_KEY_SECONDS
from tannoy.fanout.history.reader import HEAD_TTL, HistoryRules
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.errors import Unavailable
from tannoy.shared.publication import Position

from tests.support.history_room import RULES, HistoryRoom, packed, pipeline_to
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        yield running


@pytest.fixture
async def pipeline(valkey: Valkey) -> AsyncGenerator[Pipeline]:
    async with pipeline_to(valkey) as pipeline:
        yield pipeline


@pytest.fixture
async def room(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[HistoryRoom]:
    async with HistoryRoom.open(valkey, pipeline) as room:
        yield room


# ---- one offset each


async def test_offsets_rise_by_one_from_one_and_the_log_and_the_bus_agree(room: HistoryRoom) -> None:
    places = [await room.say(number) for number in range(5)]
    epoch = places[0].epoch
    said = [(offset, offset - 1) for offset in range(1, 6)]
    assert places == [Position(epoch, offset) for offset in range(1, 6)]
    assert await room.heard() == await room.log() == said
    assert await room.head() == f"{epoch} 5".encode()


async def test_what_is_published_is_the_place_and_the_envelope(room: HistoryRoom) -> None:
    place = await room.publish("}\x00 é 🎉")
    assert place is not None
    assert await room.heard_raw() == [b"\x03%b 1 " % place.epoch.encode() + packed("}\x00 é 🎉")]


async def test_two_connections_that_publish_at_once_never_get_one_offset(valkey: Valkey, room: HistoryRoom) -> None:
    count = 200
    rules = HistoryRules(2 * count, 300)
    async with pipeline_to(valkey) as other:
        both = (room.pipeline, other)
        asked = [
            room.publish([number, side], rules=rules, pipeline=both[side]) for number in range(count) for side in (0, 1)
        ]
        places = await asyncio.gather(*asked)
    offsets = [place.offset for place in places if place is not None]
    log = await room.log()
    assert sorted(offsets) == list(range(1, 2 * count + 1))
    assert await room.heard() == log
    assert [offset for offset, _ in log] == list(range(1, 2 * count + 1))
    for side in (0, 1):
        assert [number for _, (number, its) in log if its == side] == list(range(count))


async def test_offsets_stay_exact_beyond_what_lua_prints(room: HistoryRoom) -> None:
    place = await room.say("first")
    for high in (10**14 - 1, 10**15, 2**53 - 3):
        await room.valkey.run("SET", room.keys.head, f"{place.epoch} {high}")
        assert await room.publish("high") == Position(place.epoch, high + 1)
        assert await room.publish("higher") == Position(place.epoch, high + 2)
        assert [offset for offset, _ in (await room.log())[-2:]] == [high + 1, high + 2]
        assert (await room.heard())[-2:] == [(high + 1, "high"), (high + 2, "higher")]
        assert [each.offset for each in (await room.history.since(room.channel, high)).entries] == [high + 1, high + 2]
        assert await room.history.head(room.channel) == Position(place.epoch, high + 2)


# ---- once


async def test_a_key_gives_the_place_of_the_message_that_was_sent_first(room: HistoryRoom) -> None:
    await room.publish("before")
    places = [await room.publish(attempt, key="k") for attempt in ("first", "first", "another content")]
    await room.publish("behind")
    assert {place and place.offset for place in places} == {2}
    assert await room.heard() == await room.log() == [(1, "before"), (2, "first"), (3, "behind")]


async def test_a_key_publishes_once_however_many_say_it_at_once(valkey: Valkey, room: HistoryRoom) -> None:
    async with pipeline_to(valkey) as other:
        asked = [room.publish("hi", key="k", pipeline=(room.pipeline, other)[turn % 2]) for turn in range(40)]
        places = await asyncio.gather(*asked)
    assert len(set(places)) == 1
    assert await room.heard() == [(1, "hi")]


async def test_a_key_is_its_authors_own(room: HistoryRoom) -> None:
    for author in ("ada", "bob"):
        await room.publish(author, key="k", author=author)
    assert await room.log() == [(1, "ada"), (2, "bob")]


async def test_a_key_gives_the_same_place_in_a_later_epoch(room: HistoryRoom) -> None:
    place = await room.publish("hi", key="k")
    await room.become_another_server()
    await room.publish("of a new epoch")
    assert await room.publish("hi", key="k") == place


async def test_a_key_that_was_seen_while_nothing_was_kept_gives_no_place(room: HistoryRoom) -> None:
    nothing_kept = HistoryRules(0, 300)
    assert await room.publish("hi", key="k", rules=nothing_kept) is None
    assert await room.publish("hi", key="k") is None
    assert len(await room.heard_raw()) == 1


async def test_a_key_that_was_seen_with_history_is_seen_without(room: HistoryRoom) -> None:
    await room.publish("hi", key="k")
    assert await room.publish("hi", key="k", rules=HistoryRules(0, 300)) is None
    assert len(await room.heard_raw()) == 1


# ---- how much, and for how long


@pytest.mark.parametrize("size", [1, 2, 5])
async def test_so_many_messages_are_kept_and_not_one_more(room: HistoryRoom, size: int) -> None:
    rules = HistoryRules(size, 300)
    for number in range(1, 13):
        await room.publish(number, rules=rules)
        assert await room.log() == [(offset, offset) for offset in range(max(1, number - size + 1), number + 1)]


async def test_a_smaller_size_takes_hold_with_the_next_message(room: HistoryRoom) -> None:
    await room.say(*range(1, 11))
    await room.publish(11, rules=HistoryRules(3, 300))
    assert await room.log() == [(9, 9), (10, 10), (11, 11)]


async def test_a_message_renews_the_log_and_the_head(room: HistoryRoom) -> None:
    rules = HistoryRules(100, 77)
    for _ in range(2):
        await room.publish("hi", rules=rules)
        for key, seconds in ((room.keys.log, 77), (room.keys.head, HEAD_TTL)):
            assert seconds - PATIENCE <= await room.ttl(key) <= seconds
            await room.valkey.run("EXPIRE", key, "5")


async def test_the_head_outlives_the_log_however_long_that_is_kept(room: HistoryRoom) -> None:
    await room.publish("hi", rules=HistoryRules(100, 4000))
    assert await room.ttl(room.keys.head) > 2 * await room.ttl(room.keys.log) - PATIENCE


async def test_a_key_is_remembered_for_as_long_as_ever_and_no_longer_for_being_repeated(room: HistoryRoom) -> None:
    memory = room.keyspace.idempotency(room.channel, "ada", "k")
    await room.publish("hi", key="k")
    assert REMEMBER_KEY_SECONDS - PATIENCE <= await room.ttl(memory) <= REMEMBER_KEY_SECONDS
    await room.valkey.run("EXPIRE", memory, "20")
    await room.publish("hi", key="k")
    assert await room.ttl(memory) <= 20


async def test_a_repetition_neither_keeps_nor_renews_anything(room: HistoryRoom) -> None:
    await room.publish("hi", key="k")
    for key in (room.keys.log, room.keys.head):
        await room.valkey.run("EXPIRE", key, "20")
    await room.publish("hi", key="k")
    assert max([await room.ttl(key) for key in (room.keys.log, room.keys.head)]) <= 20


async def test_without_history_nothing_is_kept(room: HistoryRoom) -> None:
    assert await room.publish("hi", rules=HistoryRules(0, 300)) is None
    assert await room.heard_raw() == [packed("hi")]
    assert await room.kept_keys() == []


# ---- out of memory


async def fill_up(valkey: Valkey, spare: int) -> None:
    used = (await valkey.run("INFO", "memory"))["used_memory"]
    await valkey.run("CONFIG", "SET", "maxmemory", str(used + spare))


async def agree(room: HistoryRoom, confirmed: int, contents: list[str]) -> None:
    """Head, log and memories tell of the same messages: those that were confirmed."""
    head = await room.head()
    assert int((head or b"none 0").split()[1]) == confirmed
    assert [content for _, content in await room.log()] == contents[-RULES.size :]
    for number, content in enumerate(contents):
        memory = await room.valkey.run("GET", room.keyspace.idempotency(room.channel, "ada", content))
        assert int(memory.split()[1]) == number + 1, content
    assert [content for _, content in await room.heard()] == contents


async def test_what_there_is_no_memory_for_leaves_no_trace(valkey: Valkey, room: HistoryRoom) -> None:
    said: list[str] = []
    refused: str | None = None
    try:
        await fill_up(valkey, 200_000)
        for number in range(1000):
            content = f"{number} " + "x" * 5_000
            try:
                await room.publish(content, key=content)
            except Unavailable:
                refused = content
                break
            said.append(content)
        assert refused is not None, "this Valkey never ran out of memory"
        assert said
        with pytest.raises(Unavailable):
            await room.publish(refused, key=refused)
    finally:
        await valkey.run("CONFIG", "SET", "maxmemory", "0")
    await agree(room, len(said), said)
    assert await valkey.run("EXISTS", room.keyspace.idempotency(room.channel, "ada", refused)) == 0
    assert (await room.say("again")).offset == len(said) + 1


async def test_a_first_message_that_there_is_no_memory_for_leaves_nothing_or_all(
    valkey: Valkey, room: HistoryRoom
) -> None:
    confirmed = 0
    try:
        await fill_up(valkey, -1)
        try:
            await room.publish("first", key="first")
            confirmed = 1
        except Unavailable:
            pass
    finally:
        await valkey.run("CONFIG", "SET", "maxmemory", "0")
    await agree(room, confirmed, ["first"][:confirmed])
