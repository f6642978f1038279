"""Reading what is kept, against a real Valkey: pages, what was missed, and heads by the hundred."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.history.reader import HEAD_TTL, READ_MAX, HistoryRules, read_head
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.channels import Channel
from tannoy.shared.errors import Unavailable
from tannoy.shared.names import RoomName
from tannoy.shared.protocol.commands import OFFSET_MAX, HistoryQuery
from tannoy.shared.publication import Position

from tests.support.history_room import HistoryRoom, content_of, packed, pipeline_to
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE

LONG = HistoryRules(3000, 300)


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
    """It has said twenty messages, and keeps the last ten."""
    async with HistoryRoom.open(valkey, pipeline) as room:
        await room.say(*range(1, 21), rules=HistoryRules(10, 300))
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
async def test_a_page_rises_and_is_taken_from_the_end_that_was_asked_for(
    room: HistoryRoom, page: HistoryQuery, offsets: list[int]
) -> None:
    found = await room.history.page(room.channel, page)
    assert [(entry.offset, content_of(entry)) for entry in found.entries] == [(each, each) for each in offsets]
    assert found.head.offset == 20
    assert {entry.epoch for entry in found.entries} <= {found.head.epoch}


async def recover(
    room: HistoryRoom, offset: int, *, max_bytes: int = 10**9, epoch: str | None = None
) -> list[int] | None:
    """The offsets that come back; None: refused, with the head."""
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
async def test_all_that_was_missed_comes_back_or_nothing(
    room: HistoryRoom, offset: int, missed: list[int] | None
) -> None:
    assert await recover(room, offset) == missed


async def test_what_was_missed_in_another_epoch_does_not_come_back(room: HistoryRoom) -> None:
    assert await recover(room, 20, epoch="another") is None


async def test_more_than_one_read_holds_comes_back_whole(room: HistoryRoom) -> None:
    last = 2 * READ_MAX + 500
    await asyncio.gather(*(room.publish(number, rules=LONG) for number in range(21, last + 1)))
    assert await recover(room, 20) == [*range(21, last + 1)]


async def test_more_bytes_than_wanted_do_not_come_back(room: HistoryRoom) -> None:
    size = len(b'{"type":"message","content":20}')
    assert await recover(room, 15, max_bytes=5 * size) == [16, 17, 18, 19, 20]
    assert await recover(room, 15, max_bytes=5 * size - 1) is None


async def test_what_lies_in_the_log_and_is_no_message_is_unavailable(room: HistoryRoom) -> None:
    await room.valkey.run("XADD", room.keys.log, "21-0", "m", b"garbage")
    with pytest.raises(Unavailable):
        await room.history.page(room.channel, HistoryQuery())


# ---- heads


async def test_heads_are_read_as_they_are_and_none_begins(room: HistoryRoom) -> None:
    place = await room.history.head(room.channel)
    silent = Channel(room.channel.kind, "silent", room.channel.address + b".silent")
    (life, head), (_, missing) = await room.history.heads([room.channel, silent])
    assert read_head(life, head) == place
    assert missing is None
    assert await room.valkey.run("EXISTS", room.keyspace.history(silent).head) == 0


@pytest.mark.parametrize(
    ("life", "head"),
    [(None, b"life-1 3"), (b"life", None), (b"other", b"life-1 3"), (b"life", b"life-1"), (b"life", b"life-1 x")],
)
def test_a_head_of_another_life_is_none(life: bytes | None, head: bytes | None) -> None:
    assert read_head(life, head) is None


async def test_whoever_hears_a_channel_keeps_its_head_and_no_more(room: HistoryRoom) -> None:
    for key in (room.keys.head, room.keys.log):
        await room.valkey.run("EXPIRE", key, "20")
    silent = room.keyspace.room(RoomName("never-said-anything"))
    await room.history.renew([room.channel, silent])
    assert HEAD_TTL - PATIENCE <= await room.ttl(room.keys.head) <= HEAD_TTL
    assert await room.ttl(room.keys.log) <= 20
    assert await room.valkey.run("EXISTS", room.keyspace.history(silent).head) == 0


async def test_a_read_renews_nothing(room: HistoryRoom) -> None:
    for key in (room.keys.head, room.keys.log):
        await room.valkey.run("EXPIRE", key, "20")
    await room.history.page(room.channel, HistoryQuery())
    assert max([await room.ttl(key) for key in (room.keys.head, room.keys.log)]) <= 20


async def test_what_was_kept_is_what_was_packed(room: HistoryRoom) -> None:
    await room.publish("}\x00 é 🎉")
    (entry,) = (await room.history.page(room.channel, HistoryQuery(1))).entries
    assert packed(content_of(entry)) == packed("}\x00 é 🎉")
