"""The writer of the archive between a real Valkey and a real SQLite, with faults on either side."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest
from tannoy.fanout.archive.database import Database, PoolRules, RowsRefused
from tannoy.fanout.archive.database_url import parse_database_url
from tannoy.fanout.archive.faults import DatabaseFailed, Fault
from tannoy.fanout.archive.store import ArchivedMessage, ArchiveStore
from tannoy.fanout.archive.writer import ArchiveWriter
from tannoy.shared.clock import SystemClock

from tests.support.archived_room import ALL, ARCHIVE_SCRIPTS, ArchivedRoom
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, eventually

NO_OFFSET_MAX = 2**53


class FaultyStore(ArchiveStore):
    """A store whose transactions fail as the test has set."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.failures: list[DatabaseFailed] = []
        """One for each of the next calls."""
        self.refused: set[str] = set()
        """Messages with this text are not taken."""
        self.hangs = False
        self.calls = 0

    async def write(self, messages: Sequence[ArchivedMessage]) -> None:
        self.calls += 1
        if self.failures:
            raise self.failures.pop()
        if any(text in message.message for message in messages for text in self.refused):
            raise RowsRefused("value too long")
        await super().write(messages)
        if self.hangs:
            await asyncio.Event().wait()


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        yield running


@pytest.fixture
async def room(valkey: Valkey) -> AsyncGenerator[ArchivedRoom]:
    async with open_pipeline(valkey, ARCHIVE_SCRIPTS) as pipeline, ArchivedRoom.open(valkey, pipeline) as room:
        yield room


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[FaultyStore]:
    url = parse_database_url(f"sqlite:///{tmp_path / 'archive.db'}")
    database = Database(url, PoolRules(2, PATIENCE), SystemClock(), is_required=True)
    await database.open()
    yield FaultyStore(database)
    await database.close()


def writer_of(room: ArchivedRoom, store: ArchiveStore, claim_after: float = PATIENCE) -> ArchiveWriter:
    return ArchiveWriter(
        room.calls, store, name="w1", clock=SystemClock(), claim_after=claim_after, uniform=lambda least, most: least
    )


async def _is_empty(room: ArchivedRoom) -> bool:
    return await room.waiting() == 0


async def write_all(room: ArchivedRoom, writer: ArchiveWriter) -> None:
    """Let it write until nothing waits."""
    writing = asyncio.create_task(writer.run())
    await eventually(lambda: _is_empty(room), what="the archive is written")
    writer.stop()
    await writing


async def archived(room: ArchivedRoom, store: ArchiveStore) -> list[int]:
    """The offsets of what stands there."""
    name = f"room:{room.room.channel.name}"
    return [each.offset for each in (await store.read(name, 0, NO_OFFSET_MAX, ALL, ALL, last=False)).messages]


async def publish(room: ArchivedRoom, count: int) -> list[int]:
    """The offsets of as many messages."""
    last = await room.publish_all(*(f"message {number}" for number in range(count)))
    return list(range(last.offset - count + 1, last.offset + 1))


async def test_each_message_that_waits_stands_in_the_database_once(room: ArchivedRoom, store: FaultyStore) -> None:
    offsets = await publish(room, 150)
    await write_all(room, writer_of(room, store))

    assert await archived(room, store) == offsets


async def test_what_comes_later_is_written_too(room: ArchivedRoom, store: FaultyStore) -> None:
    writer = writer_of(room, store)
    writing = asyncio.create_task(writer.run())
    first = await publish(room, 1)

    async def is_written() -> bool:
        return writer.statistics().written == 1

    await eventually(is_written, what="the first message is written")
    second = await publish(room, 1)
    await write_all(room, writer_of(room, store))
    writer.stop()
    await writing
    assert await archived(room, store) == first + second


async def test_while_the_database_fails_the_batch_is_tried_again(room: ArchivedRoom, store: FaultyStore) -> None:
    store.failures = [DatabaseFailed("away", fault) for fault in (Fault.LOST, Fault.BUSY, Fault.REFUSED)]
    offsets = await publish(room, 5)
    writer = writer_of(room, store)
    await write_all(room, writer)

    assert await archived(room, store) == offsets
    assert (writer.statistics().retries, writer.statistics().written) == (3, 5)


async def test_a_message_that_the_database_does_not_take_costs_no_other_one(
    room: ArchivedRoom, store: FaultyStore
) -> None:
    store.refused = {"message 3"}
    offsets = await publish(room, 9)
    writer = writer_of(room, store)
    await write_all(room, writer)

    assert await archived(room, store) == [offset for offset in offsets if offset != offsets[3]]
    assert writer.statistics().refused == 1


async def test_a_writer_that_ends_between_commit_and_confirmation_leaves_no_duplicate(
    room: ArchivedRoom, store: FaultyStore
) -> None:
    offsets = await publish(room, 5)
    store.hangs = True
    killed = asyncio.create_task(writer_of(room, store).run())

    async def is_committed() -> bool:
        return await archived(room, store) == offsets

    await eventually(is_committed, what="the batch is committed")
    killed.cancel()
    assert await room.waiting() == 5
    store.hangs = False
    await write_all(room, writer_of(room, store, claim_after=0))

    assert await archived(room, store) == offsets


async def test_a_writer_that_is_stopped_while_the_database_is_away_leaves_its_batch_to_another(
    room: ArchivedRoom, store: FaultyStore
) -> None:
    offsets = await publish(room, 5)
    store.failures = [DatabaseFailed("away", Fault.LOST)] * 1_000_000
    writer = writer_of(room, store)
    writing = asyncio.create_task(writer.run())

    async def has_tried() -> bool:
        return store.calls > 0

    await eventually(has_tried, what="the database was asked")
    writer.stop()
    await writing
    store.failures = []
    await write_all(room, writer_of(room, store, claim_after=0))

    assert await archived(room, store) == offsets


async def test_an_entry_that_no_node_has_written_is_counted_and_removed(room: ArchivedRoom, store: FaultyStore) -> None:
    offsets = await publish(room, 1)
    await room.room.valkey.run("XADD", room.key, "*", "x", "y")
    writer = writer_of(room, store)
    await write_all(room, writer)

    assert await archived(room, store) == offsets
    assert writer.statistics().unreadable == 1


async def test_what_had_to_leave_the_backlog_is_told_with_the_backlog(room: ArchivedRoom, store: FaultyStore) -> None:
    await room.say("room:*", backlog=3)
    offsets = await publish(room, 5)
    writer = writer_of(room, store)
    await write_all(room, writer)

    assert writer.statistics().backlog.lost == 2
    assert await archived(room, store) == offsets[2:]


async def test_while_redis_refuses_the_writer_tries_again(
    valkey: Valkey, room: ArchivedRoom, store: FaultyStore
) -> None:
    offsets = await publish(room, 5)
    writer = writer_of(room, store)

    async def is_refused() -> bool:
        return bool(await valkey.run("ACL", "LOG"))

    async with valkey.refusing("xlen"):
        writing = asyncio.create_task(writer.run())
        await eventually(is_refused, what="Redis has refused the writer")
    await eventually(lambda: _is_empty(room), what="the archive is written")
    writer.stop()
    await writing

    assert await archived(room, store) == offsets
