"""Messages of one turn that a real Valkey publishes in one call: each as if it were alone, in order."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from tannoy.fanout.heads import HEAD_TTL
from tannoy.fanout.history import publish_batches
from tannoy.fanout.history.publisher import Published
from tannoy.fanout.history.reader import HistoryRules
from tannoy.fanout.redis.errors import CommandFailed
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.channels import Channel
from tannoy.shared.names import RoomName
from tannoy.shared.publication import Position

from tests.support.archived_room import ARCHIVE_SCRIPTS
from tests.support.history_room import RULES, HistoryRoom, content_of, publication_of
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey


@pytest.fixture(autouse=True)
def _in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a few messages of as many channels, for which it would cost more."""
    monkeypatch.setattr(publish_batches, "WORTH_REPEATED", 0)


@pytest.fixture
async def pipeline(valkey: Valkey) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(valkey, ARCHIVE_SCRIPTS) as pipeline:
        yield pipeline


@pytest.fixture
async def room(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[HistoryRoom]:
    """Its history has begun."""
    async with HistoryRoom.open(valkey, pipeline) as room:
        await room.history.head(room.channel)
        yield room


def _beside(room: HistoryRoom) -> Channel:
    """Another room of the same partition."""
    rooms = (room.keyspace.room(RoomName(f"beside-{number}")) for number in itertools.count())
    return next(each for each in rooms if each.partition == room.channel.partition)


async def _publish(
    room: HistoryRoom, *messages: tuple[Channel, str], keys: Sequence[str | None] = (), rules: HistoryRules = RULES
) -> list[Any]:
    """All in one turn. The position of each, or the error."""
    publisher = room.publisher_with(rules)
    publishing = [
        publisher.publish(channel, publication_of(content), author="ada", key=key)
        for (channel, content), key in itertools.zip_longest(messages, keys)
    ]
    return await asyncio.gather(*publishing, return_exceptions=True)


async def _log(room: HistoryRoom, channel: Channel) -> list[tuple[int, Any]]:
    page = await room.history.since(channel, 0)
    return [(entry.offset, content_of(entry)) for entry in page.entries]


async def test_each_message_has_the_next_offset_of_its_channel_in_one_call(room: HistoryRoom) -> None:
    beside = _beside(room)
    await room.history.head(beside)
    before = await room.valkey.calls("evalsha")
    positions = await _publish(room, (room.channel, "a"), (beside, "b"), (room.channel, "c"))
    assert await room.valkey.calls("evalsha") - before == 1
    assert [position.offset for position in positions] == [1, 1, 2]
    assert positions[2] == await room.history.head(room.channel)
    assert await room.received() == [(1, "a"), (2, "c")]
    assert await room.log_entries() == [(1, "a"), (2, "c")]
    assert await _log(room, beside) == [(1, "b")]


async def test_messages_go_on_behind_those_before_them(room: HistoryRoom) -> None:
    first = await room.publish_all("alone")
    positions = await _publish(room, (room.channel, "a"), (room.channel, "b"))
    assert positions == [Position(first.epoch, 2), Position(first.epoch, 3)]
    assert await room.publish("alone again") == Position(first.epoch, 4)
    assert [content for _, content in await room.received()] == ["alone", "a", "b", "alone again"]


async def test_the_log_keeps_as_many_and_as_long_as_with_single_messages(room: HistoryRoom) -> None:
    rules = HistoryRules(3, 300)
    await _publish(room, *((room.channel, str(number)) for number in range(8)), rules=rules)
    assert await room.log_entries() == [(6, "5"), (7, "6"), (8, "7")]
    assert 0 < await room.ttl(room.keys.log) <= 300
    assert 0 < await room.ttl(room.keys.head) <= HEAD_TTL


# ---- idempotency keys


async def test_a_message_whose_key_was_seen_before_is_not_published_again(room: HistoryRoom) -> None:
    first = await room.publish("a", key="k")
    positions = await _publish(room, (room.channel, "a again"), (room.channel, "b"), keys=["k", None])
    assert positions[0] == first
    assert positions[1].offset == 2
    assert await room.received() == [(1, "a"), (2, "b")]


async def test_of_two_messages_with_one_key_in_a_call_the_first_is_published(room: HistoryRoom) -> None:
    positions = await _publish(room, (room.channel, "a"), (room.channel, "a again"), keys=["k", "k"])
    assert positions[0] == positions[1]
    assert await room.received() == [(1, "a")]
    assert await room.publish("once more", key="k") == positions[0]


async def test_a_repeated_message_is_told_from_a_new_one_where_that_is_asked_for(room: HistoryRoom) -> None:
    publisher = room.publisher_with()
    earlier = await room.publish("a", key="k")
    told = [
        publisher.publish_telling(room.channel, publication_of(content), author="ada", key=key)
        for content, key in (("a again", "k"), ("b", "l"), ("b again", "l"))
    ]
    again, new, new_again = await asyncio.gather(*told)
    assert again == Published(earlier, is_repeated=True)
    assert (new.is_repeated, new_again.is_repeated, new_again.position) == (False, True, new.position)


# ---- what is refused


async def test_a_log_that_is_none_refuses_the_messages_of_its_channel_alone(room: HistoryRoom) -> None:
    beside = _beside(room)
    await room.history.head(beside)
    await room.valkey.run("SET", room.keyspace.history(beside).log, "a text")
    first, refused, last = await _publish(room, (room.channel, "a"), (beside, "b"), (room.channel, "c"))
    assert (first.offset, last.offset) == (1, 2)
    assert isinstance(refused, CommandFailed)
    assert refused.refusal is not None
    assert refused.refusal.code == "WRONGTYPE"


async def test_a_memory_that_is_none_refuses_its_message_alone(room: HistoryRoom) -> None:
    await room.valkey.run("RPUSH", room.keyspace.idempotency(room.channel, "ada", "k"), "a list")
    first, refused = await _publish(room, (room.channel, "a"), (room.channel, "b"), keys=[None, "k"])
    assert first.offset == 1
    assert isinstance(refused, CommandFailed)
    assert await room.received() == [(1, "a")]


async def test_a_full_server_refuses_each_message_and_says_why(room: HistoryRoom) -> None:
    await room.valkey.run("CONFIG", "SET", "maxmemory", "1")
    try:
        refused = await _publish(room, (room.channel, "a"), (_beside(room), "b"), (room.channel, "c"))
    finally:
        await room.valkey.run("CONFIG", "SET", "maxmemory", "0")
    assert [str(error) for error in refused] == ["the bus did not confirm: Redis is out of memory"] * 3
    assert await room.received() == []


async def test_without_a_right_no_message_is_confirmed_and_the_next_goes_on(room: HistoryRoom) -> None:
    async with room.valkey.refusing("publish"):
        refused = await _publish(room, (room.channel, "a"), (room.channel, "b"))
    assert [type(error) for error in refused] == [CommandFailed] * 2
    positions = await _publish(room, (room.channel, "c"), (room.channel, "d"))
    assert [position.offset for position in positions] == [3, 4]


# ---- the longer way


@pytest.mark.parametrize("spoil", ["no head", "an odd head", "another life", "a head behind its log"])
async def test_an_epoch_begins_in_front_of_the_first_message_and_goes_on_with_the_others(
    room: HistoryRoom, spoil: str
) -> None:
    beside = _beside(room)
    await room.history.head(beside)
    before = await room.publish_all("before")
    if spoil == "no head":
        await room.valkey.run("DEL", room.keys.head)
    elif spoil == "an odd head":
        await room.valkey.run("SET", room.keys.head, "odd")
    elif spoil == "another life":
        await room.valkey.run("SET", room.keys.head, "other-life 1")
    else:
        await room.valkey.run("XADD", room.keys.log, "9-0", "m", "from outside")
    messages = (room.channel, "a"), (beside, "b"), (room.channel, "c"), (room.channel, "c again")
    first, other, second, again = await _publish(room, *messages, keys=[None, None, "k", "k"])
    assert first.epoch == second.epoch != before.epoch
    assert second.offset == first.offset + 1
    assert again == second
    assert other.offset == 1
    assert [content for _, content in await room.received()] == ["before", "a", "c"]


async def test_messages_of_an_archived_channel_wait_for_the_archive(room: HistoryRoom) -> None:
    await room.valkey.run("HSET", room.keys.server, "archive", "room:*")
    await room.valkey.run("DEL", room.keys.head)
    first, second = await _publish(room, (room.channel, "a"), (room.channel, "b"))
    assert (second.epoch, second.offset) == (first.epoch, first.offset + 1)
    assert await room.valkey.run("XLEN", room.keyspace.archive(room.channel.partition)) == 2
