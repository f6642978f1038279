"""What `publish.lua` leaves for the archive, and how writers take it, on a real Valkey."""

from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.redis.pipeline import Pipeline

from tests.support.archived_room import ALL, ARCHIVE_SCRIPTS, AT_ONCE, ArchivedRoom, positions
from tests.support.history_room import HistoryRoom, envelope_of
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey


@pytest.fixture
async def pipeline(valkey: Valkey) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(valkey, ARCHIVE_SCRIPTS) as pipeline:
        yield pipeline


@pytest.fixture
async def room(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[ArchivedRoom]:
    async with ArchivedRoom.open(valkey, pipeline) as room:
        yield room


# ---- what waits


async def test_a_message_of_an_archived_room_waits_with_its_channel_position_and_envelope(room: ArchivedRoom) -> None:
    position = await room.publish_all("hi")

    (entry,) = await room.take()
    name = room.room.channel.name.encode()
    stored = f"{position.epoch} {position.offset}".encode()
    assert entry.fields == [b"c", b"room:" + name, b"p", stored, b"m", envelope_of("hi")]


async def test_a_message_of_another_room_does_not_wait(valkey: Valkey, pipeline: Pipeline) -> None:
    async with HistoryRoom.open(valkey, pipeline) as other:
        room = ArchivedRoom(other)
        await room.say("room:another,agent:*")
        await room.publish_all("hi")

        assert await room.waiting() == 0


async def test_every_message_of_an_epoch_waits_once_in_order(room: ArchivedRoom) -> None:
    first = await room.publish_all("a")
    last = await room.publish_all("b", "c")

    assert positions(await room.take()) == [
        f"{first.epoch} {offset}".encode() for offset in range(first.offset, last.offset + 1)
    ]


async def test_a_message_that_is_repeated_with_its_key_waits_once(room: ArchivedRoom) -> None:
    for _ in range(2):
        await room.room.publish("hi", key="k")

    assert await room.waiting() == 1


async def test_an_archived_message_is_published_and_logged_as_any_other(room: ArchivedRoom) -> None:
    position = await room.publish_all("hi")

    assert await room.room.received() == [(position.offset, "hi")]
    assert await room.room.log_entries() == [(position.offset, "hi")]


# ---- bounds


async def test_beyond_the_bound_the_oldest_go_and_are_counted(room: ArchivedRoom) -> None:
    await room.say("room:*", backlog=3)
    last = await room.publish_all(*range(5))

    assert await room.lost() == 2
    assert positions(await room.take())[-1] == f"{last.epoch} {last.offset}".encode()
    assert await room.waiting() == 3


async def test_a_count_that_no_script_has_written_is_replaced(room: ArchivedRoom) -> None:
    await room.say("room:*", backlog=1)
    await room.room.valkey.run("SET", room.room.keyspace.archive_lost(room.room.channel.partition), "x")
    await room.publish_all("a", "b")

    assert await room.lost() == 1


async def test_a_backlog_of_another_type_is_replaced(room: ArchivedRoom) -> None:
    await room.room.valkey.run("SET", room.key, "x")
    await room.publish_all("a")

    assert await room.waiting() == 1


# ---- writers


async def test_what_was_taken_is_not_taken_again_by_another_writer(room: ArchivedRoom) -> None:
    await room.publish_all("a", "b")
    await room.take("w1")

    assert await room.take("w2") == []
    assert await room.waiting() == 2


async def test_what_was_written_waits_no_more(room: ArchivedRoom) -> None:
    await room.publish_all("a", "b")
    await room.confirm(await room.take("w1"))

    assert await room.waiting() == 0
    assert await room.take("w2", after=AT_ONCE) == []


async def test_what_a_writer_has_not_written_in_time_is_taken_by_another(room: ArchivedRoom) -> None:
    await room.publish_all("a", "b")
    taken = await room.take("w1")
    await room.publish_all("c")

    again = await room.take("w2", after=AT_ONCE)
    assert positions(again)[:2] == positions(taken)
    assert len(again) == 3


@pytest.mark.parametrize("count", [1, 2, 63, 100])
async def test_no_more_messages_are_taken_than_asked_for(room: ArchivedRoom, count: int) -> None:
    await room.publish_all(*range(count + 5))

    assert len(await room.take(messages=count)) == count
    assert len(await room.take()) == 5


async def test_bytes_bound_what_is_taken_and_one_message_is_taken_always(room: ArchivedRoom) -> None:
    await room.publish_all(*["x" * 1000] * 6)

    assert len(await room.take(max_bytes=1)) == 1
    assert len(await room.take(max_bytes=5000)) == 2  # of 2,000 bytes and more, since each has two formats
    assert len(await room.take(max_bytes=ALL)) == 3


async def test_a_backlog_that_does_not_exist_gives_nothing_and_is_not_made(room: ArchivedRoom) -> None:
    assert await room.take() == []
    assert await room.room.valkey.run("EXISTS", room.key) == 0


async def test_the_oldest_that_waits_tells_the_lag(room: ArchivedRoom) -> None:
    await room.publish_all("a")
    ahead = b"%d-0" % ((await room.room.valkey.run("TIME"))[0] * 1000 - 60_000)
    await room.room.valkey.run("DEL", room.key)
    await room.room.valkey.run("XADD", room.key, ahead, "c", "room:x")

    found = (await room.calls.waiting())[room.room.channel.partition]
    assert 60_000 <= found.milliseconds < 180_000


async def test_writers_that_have_ended_and_left_nothing_are_forgotten(room: ArchivedRoom) -> None:
    await room.publish_all("a", "b")
    await room.take("busy", messages=1)
    await room.confirm(await room.take("done"))
    await room.calls.forget_writers(-1)

    writers = await room.room.valkey.run("XINFO", "CONSUMERS", room.key, "archive")
    assert [each[b"name"] for each in writers] == [b"busy"]


# ---- finding


async def test_a_message_that_waits_is_found_by_channel_and_offset(room: ArchivedRoom) -> None:
    position = await room.publish_all("a")
    channel, offset = room.room.channel, position.offset

    assert await room.calls.may_wait(channel, offset, offset)
    assert not await room.calls.may_wait(channel, offset + 1, offset + 9)
    assert not await room.calls.may_wait(channel, offset - 9, offset - 1)


async def test_a_message_that_was_taken_and_not_written_waits_still(room: ArchivedRoom) -> None:
    position = await room.publish_all("a")
    await room.take()

    assert await room.calls.may_wait(room.room.channel, position.offset, position.offset)
