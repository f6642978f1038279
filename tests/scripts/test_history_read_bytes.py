"""Reading large messages of a history on a real Valkey: no read holds many more bytes than it may."""

from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.history.reader import READ_MAX_BYTES, HistoryPage, HistoryRules
from tannoy.shared.protocol.commands import HistoryQuery
from tannoy.shared.publication import Position

from tests.support.history_room import HISTORY_SCRIPTS, HistoryRoom
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey

LONG = HistoryRules(1000, 300)
LARGE, HUGE = 64 * 1024, 3 * 1024 * 1024


@pytest.fixture
async def room(anyio_backend: str) -> AsyncGenerator[HistoryRoom]:
    async with Valkey() as valkey, open_pipeline(valkey, HISTORY_SCRIPTS) as pipeline:
        async with HistoryRoom.open(valkey, pipeline) as room:
            yield room


async def publish_sizes(room: HistoryRoom, *sizes: int) -> None:
    await room.publish_all(*("x" * size for size in sizes), rules=LONG)


def offsets(page: HistoryPage) -> list[int]:
    return [entry.offset for entry in page.entries]


def size(page: HistoryPage) -> int:
    """In both wire formats, as it is stored."""
    return sum(len(entry.encoded.json) + len(entry.encoded.msgpack) for entry in page.entries)


async def test_a_read_ends_before_it_would_exceed_its_bytes(room: HistoryRoom) -> None:
    await publish_sizes(room, *[LARGE] * 40)
    page = await room.history.since(room.channel, 0)
    assert offsets(page) == [1, 2, 3]
    assert READ_MAX_BYTES - 2 * (LARGE + 100) < size(page) <= READ_MAX_BYTES
    assert (page.is_cut, page.is_complete) == (True, False)


async def test_a_message_that_is_larger_than_a_read_is_read_alone(room: HistoryRoom) -> None:
    await publish_sizes(room, HUGE, HUGE, 1)
    assert offsets(await room.history.since(room.channel, 0)) == [1]
    assert offsets(await room.history.since(room.channel, 1)) == [2]
    last = await room.history.since(room.channel, 2)
    assert (offsets(last), last.is_cut, last.is_complete) == ([3], False, True)


async def test_large_messages_behind_small_ones_are_not_read_with_them(room: HistoryRoom) -> None:
    await publish_sizes(room, *[1] * 20, *[LARGE] * 20)
    page = await room.history.since(room.channel, 0)
    assert offsets(page)[:20] == [*range(1, 21)]
    assert size(page) <= READ_MAX_BYTES


async def test_recovery_of_many_large_messages_is_complete(room: HistoryRoom) -> None:
    await publish_sizes(room, *[LARGE] * 50, HUGE, *[1] * 50)
    head = await room.history.head(room.channel)
    start = await room.history.recover(room.channel, Position(head.epoch, 0), 10**9)
    assert start.recovered
    assert [entry.offset for entry in start.missed] == [*range(1, 102)]


@pytest.mark.parametrize(("query", "first_or_last"), [(HistoryQuery(40, since=0), 1), (HistoryQuery(40), 40)], ids=str)
async def test_a_page_that_is_cut_begins_at_the_requested_end(
    room: HistoryRoom, query: HistoryQuery, first_or_last: int
) -> None:
    await publish_sizes(room, *[LARGE] * 40)
    page = await room.history.page(room.channel, query)
    assert page.is_cut
    assert first_or_last in offsets(page)
    assert offsets(page) == [*range(offsets(page)[0], offsets(page)[-1] + 1)]
    assert 1 < len(page.entries) < 40
    assert size(page) <= READ_MAX_BYTES


async def test_a_page_of_all_that_was_asked_for_is_not_cut(room: HistoryRoom) -> None:
    await publish_sizes(room, *[LARGE] * 3)
    for query in (HistoryQuery(3), HistoryQuery(3, since=0), HistoryQuery(2), HistoryQuery(99)):
        assert not (await room.history.page(room.channel, query)).is_cut
