"""Reading history on a real Valkey: pages, recovery, and the heads of many channels."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.heads import HEAD_TTL
from tannoy.fanout.history.reader import (
    READ_MAX,
    READ_MAX_BYTES,
    SILENT_HEAD_TTL,
    HistoryReader,
    HistoryRules,
    StoredHead,
    read_head,
)
from tannoy.fanout.pubsub.envelopes import PLAIN
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.unreadable import UnreadableData
from tannoy.shared.channels import Channel
from tannoy.shared.names import RoomName
from tannoy.shared.protocol.commands import OFFSET_MAX, HistoryQuery
from tannoy.shared.publication import Position

from tests.support.history_room import HistoryRoom, content_of, envelope_of
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE

LONG = HistoryRules(3000, 300)


@pytest.fixture
async def room(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[HistoryRoom]:
    """Twenty messages were published in it; the log keeps the last ten."""
    async with HistoryRoom.open(valkey, pipeline) as room:
        await room.publish_all(*range(1, 21), rules=HistoryRules(10, 300))
        yield room


PAGES: list[tuple[HistoryQuery, list[int]]] = [
    (HistoryQuery(), [*range(11, 21)]),
    (HistoryQuery(3), [18, 19, 20]),
    (HistoryQuery(1), [20]),
    (HistoryQuery(3, before=18), [15, 16, 17]),
    (HistoryQuery(3, before=12), [11]),
    (HistoryQuery(3, before=11), []),
    (HistoryQuery(3, before=1), []),
    (HistoryQuery(3, before=0), []),
    (HistoryQuery(3, before=99), [18, 19, 20]),
    (HistoryQuery(3, since=12), [13, 14, 15]),
    (HistoryQuery(3, since=0), [11, 12, 13]),
    (HistoryQuery(3, since=19), [20]),
    (HistoryQuery(3, since=20), []),
    (HistoryQuery(3, since=99), []),
    (HistoryQuery(3, before=15, since=12), [13, 14]),
    (HistoryQuery(1, before=15, since=12), [13]),
    (HistoryQuery(3, before=13, since=12), []),
    (HistoryQuery(3, before=12, since=15), []),
    (HistoryQuery(3, before=OFFSET_MAX), [18, 19, 20]),
    (HistoryQuery(3, since=OFFSET_MAX), []),
]


@pytest.mark.parametrize(("page", "offsets"), PAGES, ids=str)
async def test_page_is_ascending_and_taken_from_the_requested_end(
    room: HistoryRoom, page: HistoryQuery, offsets: list[int]
) -> None:
    found = await room.history.page(room.channel, page)
    assert [(entry.offset, content_of(entry)) for entry in found.entries] == [(each, each) for each in offsets]
    assert found.head.offset == 20
    assert {entry.epoch for entry in found.entries} <= {found.head.epoch}


async def recover(
    room: HistoryRoom, offset: int, *, max_bytes: int = 10**9, epoch: str | None = None
) -> list[int] | None:
    """The offsets that recovery returns; None: it was refused. Either way the head is returned."""
    head = await room.history.head(room.channel)
    start = await room.history.recover(room.channel, Position(epoch or head.epoch, offset), max_bytes)
    assert start.position == head
    return [one.offset for one in start.missed] if start.recovered else None


@pytest.mark.parametrize(
    ("offset", "missed"),
    [
        (10, [*range(11, 21)]),
        (15, [*range(16, 21)]),
        (19, [20]),
        (20, []),
        (9, None),
        (0, None),
        (21, None),
        (OFFSET_MAX, None),
        (OFFSET_MAX + 1, None),
        (10**30, None),
    ],
)
async def test_recovery_returns_all_missed_messages_or_is_refused(
    room: HistoryRoom, offset: int, missed: list[int] | None
) -> None:
    assert await recover(room, offset) == missed


async def test_recovery_from_another_epoch_is_refused(room: HistoryRoom) -> None:
    assert await recover(room, 20, epoch="another") is None


async def test_recovery_larger_than_one_read_is_complete(room: HistoryRoom) -> None:
    last = 2 * READ_MAX + 500
    await asyncio.gather(*(room.publish(number, rules=LONG) for number in range(21, last + 1)))
    assert await recover(room, 20) == [*range(21, last + 1)]


async def test_recovery_above_the_byte_limit_is_refused(room: HistoryRoom) -> None:
    size = len(b'{"type":"message","content":20}')
    assert await recover(room, 15, max_bytes=5 * size) == [16, 17, 18, 19, 20]
    assert await recover(room, 15, max_bytes=5 * size - 1) is None


async def test_recovery_above_the_byte_limit_in_msgpack_alone_is_refused(room: HistoryRoom) -> None:
    await room.publish([0.5] * 100)  # 4 bytes a number in JSON, and 9 in msgpack
    assert await recover(room, 20, max_bytes=1000) == [21]
    assert await recover(room, 20, max_bytes=900) is None


FOREIGN_ENTRIES = {
    "no envelope": ("20-1", "m", b"garbage"),
    "between two offsets": ("20-1", "m", envelope_of("foreign")),
    "ahead of the head": ("21-0", "m", envelope_of("foreign")),
    "at an offset that is none": ("18446744073709551615-0", "m", envelope_of("foreign")),
    "of two fields": ("20-1", "x", b"", "m", envelope_of("foreign")),
}


@pytest.mark.parametrize("entry", FOREIGN_ENTRIES.values(), ids=FOREIGN_ENTRIES)
async def test_an_entry_that_no_node_has_written_is_left_out_and_counted(
    room: HistoryRoom, entry: tuple[str | bytes, ...]
) -> None:
    unreadable = UnreadableData()
    history = HistoryReader(room.pipeline, room.keyspace, HistoryRules(10, 300), PLAIN, unreadable)
    await room.valkey.run("XADD", room.keys.log, *entry)

    page = await history.page(room.channel, HistoryQuery())

    assert [entry.offset for entry in page.entries] == [*range(11, 21)]
    assert unreadable.statistics() == {"log": 1}


async def test_a_page_of_nothing_but_unreadable_entries_does_not_promise_more(room: HistoryRoom) -> None:
    await room.valkey.run("DEL", room.keys.log)
    for number in (18, 19, 20):
        await room.valkey.run("XADD", room.keys.log, f"{number}-0", "m", b"x" * READ_MAX_BYTES)

    page = await room.history.page(room.channel, HistoryQuery())

    assert (page.entries, page.is_cut, page.head.offset) == ((), False, 20)


async def test_recovery_over_an_unreadable_entry_is_refused(room: HistoryRoom) -> None:
    await room.publish("replaced")
    await room.valkey.run("XDEL", room.keys.log, "21-0")
    await room.valkey.run("XADD", room.keys.log, "21-1", "m", envelope_of("foreign"))
    await room.publish("real")
    assert await recover(room, 19) is None
    assert await recover(room, 21) == [22]


# ---- heads


async def test_heads_reads_positions_without_starting_an_epoch(room: HistoryRoom) -> None:
    position = await room.history.head(room.channel)
    silent = Channel(room.channel.kind, "silent", room.channel.address + b".silent")
    (life, head), (_, missing) = await room.history.heads([room.channel, silent])
    assert read_head(StoredHead(life, head)) == position
    assert missing is None
    assert await room.valkey.run("EXISTS", room.keyspace.history(silent).head) == 0


@pytest.mark.parametrize(
    ("life", "head"),
    [(None, b"life-1 3"), (b"life", None), (b"other", b"life-1 3"), (b"life", b"life-1"), (b"life", b"life-1 x")],
)
def test_read_head_of_another_life_or_malformed_is_none(life: bytes | None, head: bytes | None) -> None:
    assert read_head(StoredHead(life, head)) is None


async def test_renew_extends_the_ttl_of_existing_heads_only(room: HistoryRoom) -> None:
    for key in (room.keys.head, room.keys.log):
        await room.valkey.run("EXPIRE", key, "20")
    silent = room.keyspace.room(RoomName("without-messages"))
    await room.history.renew([room.channel, silent])
    assert HEAD_TTL - PATIENCE <= await room.ttl(room.keys.head) <= HEAD_TTL
    assert await room.ttl(room.keys.log) <= 20
    assert await room.valkey.run("EXISTS", room.keyspace.history(silent).head) == 0


async def test_page_does_not_renew_the_ttl_of_head_and_log(room: HistoryRoom) -> None:
    for key in (room.keys.head, room.keys.log):
        await room.valkey.run("EXPIRE", key, "20")
    await room.history.page(room.channel, HistoryQuery())
    assert max([await room.ttl(key) for key in (room.keys.head, room.keys.log)]) <= 20


async def test_page_of_a_channel_without_messages_keeps_its_head_for_a_while(room: HistoryRoom) -> None:
    silent = room.keyspace.room(RoomName("silent"))
    pages = [await room.history.page(silent, HistoryQuery()) for _ in range(2)]
    assert pages[0].head == pages[1].head
    assert (pages[0].head.offset, pages[0].entries) == (0, ())
    assert SILENT_HEAD_TTL - PATIENCE <= await room.ttl(room.keyspace.history(silent).head) <= SILENT_HEAD_TTL


async def test_recovery_from_the_page_of_a_channel_without_messages_is_complete(room: HistoryRoom) -> None:
    await room.valkey.run("DEL", room.keys.head, room.keys.log)
    page = await room.history.page(room.channel, HistoryQuery())
    await room.publish("first")
    recovered = await room.history.recover(room.channel, page.head, 1_000_000)
    assert (recovered.recovered, [content_of(message) for message in recovered.missed]) == (True, ["first"])


async def test_page_keeps_the_head_of_a_new_epoch_as_long_as_its_messages_were_to_be_kept(room: HistoryRoom) -> None:
    last = await room.publish("last")
    await room.change_server_identity()
    page = await room.history.page(room.channel, HistoryQuery())
    assert last is not None
    assert (page.head.offset, page.head.epoch != last.epoch) == (last.offset, True)
    assert HEAD_TTL - PATIENCE <= await room.ttl(room.keys.head) <= HEAD_TTL


async def test_the_head_that_a_join_reads_is_kept_for_as_long_as_a_new_one(room: HistoryRoom) -> None:
    await room.valkey.run("EXPIRE", room.keys.head, "20")
    await room.history.head(room.channel)
    assert HEAD_TTL - PATIENCE <= await room.ttl(room.keys.head) <= HEAD_TTL


# ---- heads of channels that a node follows no longer


async def test_a_released_head_of_a_channel_without_messages_is_kept_for_a_while(room: HistoryRoom) -> None:
    silent = room.keyspace.room(RoomName("silent"))
    head = await room.history.head(silent)
    await room.history.release([silent])
    assert SILENT_HEAD_TTL - PATIENCE <= await room.ttl(room.keyspace.history(silent).head) <= SILENT_HEAD_TTL
    assert await room.history.head(silent) == head


async def test_a_released_head_of_a_channel_with_messages_stays(room: HistoryRoom) -> None:
    silent = room.keyspace.room(RoomName("silent"))
    await room.history.head(silent)
    await room.valkey.run("SET", room.keyspace.history(silent).head, "life-1 10", "EX", "3000")
    await room.history.release([silent])
    assert await room.ttl(room.keyspace.history(silent).head) > SILENT_HEAD_TTL


async def test_a_released_head_stays_while_another_node_is_subscribed(room: HistoryRoom) -> None:
    await room.valkey.run("SET", room.keys.head, "life-1 0", "EX", "3000")
    await room.history.release([room.channel])
    assert await room.ttl(room.keys.head) > SILENT_HEAD_TTL


async def test_the_release_of_a_missing_head_stores_nothing(room: HistoryRoom) -> None:
    silent = room.keyspace.room(RoomName("silent"))
    await room.history.release([silent])
    assert await room.valkey.run("EXISTS", room.keyspace.history(silent).head) == 0


async def test_heads_that_are_released_together_are_looked_at_one_by_one(room: HistoryRoom) -> None:
    missing, silent, used, alone = (room.keyspace.room(RoomName(name)) for name in ("a", "b", "c", "d"))
    for channel, head in ((silent, "life-1 0"), (used, "life-1 10"), (room.channel, "life-1 0"), (alone, "life-2 0")):
        await room.valkey.run("SET", room.keyspace.head(channel), head, "EX", "3000")
    await room.history.release([missing, silent, used, room.channel, alone])
    kept = [await room.ttl(room.keyspace.head(each)) > SILENT_HEAD_TTL for each in (silent, used, room.channel, alone)]
    assert kept == [False, True, True, False]


async def test_page_returns_the_envelope_that_was_published(room: HistoryRoom) -> None:
    await room.publish("}\x00 é 🎉")
    (entry,) = (await room.history.page(room.channel, HistoryQuery(1))).entries
    assert envelope_of(content_of(entry)) == envelope_of("}\x00 é 🎉")
