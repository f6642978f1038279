"""The archive's tables in real databases: each test on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import text
from tannoy.fanout.archive.database import Database, PoolRules, RowsRefused, Work
from tannoy.fanout.archive.database_url import parse_database_url
from tannoy.fanout.archive.faults import DatabaseFailed, Fault
from tannoy.fanout.archive.store import PRUNED_AT_ONCE, ArchivedMessage, ArchiveStore
from tannoy.fanout.external.breaker import FAILURES_IN_A_ROW, OPEN_CAP, CircuitOpen
from tannoy.shared.clock import SystemClock
from tannoy.shared.errors import StartError, Unavailable

from tests.support.clock import ManualClock
from tests.support.postgres import Postgres
from tests.support.waiting import PATIENCE, eventually

ALL = 1_000_000
"""Bytes, or an offset, that nothing in this file exceeds."""
RULES = PoolRules(size=2, timeout=PATIENCE)
_numbers = count(1)

OpenDatabase = Callable[..., Awaitable[Database]]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
async def url(
    request: pytest.FixtureRequest, anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('archive') / 'archive.db'}"
        return
    async with Postgres() as postgres:
        yield postgres.url


@pytest.fixture
async def open_database(url: str) -> AsyncGenerator[OpenDatabase]:
    async with AsyncExitStack() as stack:

        async def open_it(url: str = url, rules: PoolRules = RULES) -> Database:
            database = Database(parse_database_url(url), rules, SystemClock(), is_required=True)
            stack.push_async_callback(database.close)
            if rules is RULES:
                await database.open()
            else:  # its time may be too short for a busy machine
                await eventually(lambda: is_usable(database), what="the database is open")
            return database

        yield open_it


async def is_usable(database: Database) -> bool:
    try:
        await database.check()
    except Unavailable:
        return False
    return True


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    return await open_database()


@pytest.fixture
async def store(database: Database) -> ArchiveStore:
    return ArchiveStore(database)


@pytest.fixture
def channel() -> str:
    """A room that no other test uses."""
    return f"room:lobby-{next(_numbers)}"


def message(
    channel: str, offset: int, content: str = "hi", *, epoch: str = "1a_0", sent_at: int = ALL
) -> ArchivedMessage:
    return ArchivedMessage(channel, offset, epoch, sent_at, "ada", content)


async def offsets(store: ArchiveStore, channel: str) -> list[int]:
    page = await store.read(channel, 0, ALL, 100, ALL, last=False)
    return [each.offset for each in page.messages]


async def test_what_is_written_is_read_as_it_was(store: ArchiveStore, channel: str) -> None:
    written = ArchivedMessage(channel, 7, "1a_0", 1_795_000_000_123, None, '{"content":"\\u0000 ä 🎈"}')
    await store.write([written])

    page = await store.read(channel, 0, ALL, 100, ALL, last=True)
    assert page.messages == (written,)
    assert not page.is_cut


async def test_a_message_that_is_written_again_stands_there_once(store: ArchiveStore, channel: str) -> None:
    await store.write([message(channel, 1), message(channel, 2)])
    await store.write([message(channel, 2), message(channel, 3)])

    assert await offsets(store, channel) == [1, 2, 3]


async def test_offsets_of_a_former_epoch_are_other_messages(store: ArchiveStore, channel: str) -> None:
    await store.write([message(channel, 1, "before", epoch="1a_0"), message(channel, 1, "after", epoch="2b_0")])

    page = await store.read(channel, 0, ALL, 100, ALL, last=False)
    assert [each.message for each in page.messages] == ["before", "after"]


async def test_messages_of_another_channel_are_not_read(store: ArchiveStore, channel: str) -> None:
    await store.write([message(channel, 1), message(f"{channel}-2", 2)])

    assert await offsets(store, channel) == [1]


@pytest.mark.parametrize(
    ("lowest", "highest", "limit", "last", "found", "is_cut"),
    [
        (0, ALL, 2, True, [4, 5], True),
        (0, ALL, 2, False, [1, 2], True),
        (2, 4, 10, True, [2, 3, 4], False),
        (2, 4, 3, False, [2, 3, 4], False),
        (6, ALL, 10, False, [], False),
    ],
)
async def test_a_page_is_one_end_of_what_was_asked_for(
    store: ArchiveStore, channel: str, lowest: int, highest: int, limit: int, last: bool, found: list[int], is_cut: bool
) -> None:
    await store.write([message(channel, offset) for offset in range(1, 6)])

    page = await store.read(channel, lowest, highest, limit, ALL, last=last)
    assert [each.offset for each in page.messages] == found
    assert page.is_cut is is_cut


async def test_a_page_has_no_more_bytes_than_asked_for_and_one_message_at_least(
    store: ArchiveStore, channel: str
) -> None:
    await store.write([message(channel, offset, "x" * 100) for offset in range(1, 6)])

    some = await store.read(channel, 0, ALL, 100, 250, last=True)
    one = await store.read(channel, 0, ALL, 100, 50, last=True)
    assert ([each.offset for each in some.messages], some.is_cut) == ([4, 5], True)
    assert ([each.offset for each in one.messages], one.is_cut) == ([5], True)


async def test_prune_deletes_what_was_sent_before(store: ArchiveStore, channel: str) -> None:
    await store.write([message(channel, offset, sent_at=offset * 1000) for offset in range(1, 6)])

    assert await store.prune(3000) == 2
    assert await store.prune(3000) == 0
    assert await offsets(store, channel) == [3, 4, 5]


async def test_prune_deletes_a_bounded_number_of_messages_at_once(store: ArchiveStore, channel: str) -> None:
    await store.write([message(channel, offset, sent_at=1) for offset in range(PRUNED_AT_ONCE + 1)])

    assert [await store.prune(2), await store.prune(2)] == [PRUNED_AT_ONCE, 1]


# ---- faults


async def test_values_that_the_database_does_not_take_leave_nothing_of_their_batch(
    store: ArchiveStore, database: Database, channel: str
) -> None:
    broken = ArchivedMessage(channel, 2, "1a_0", None, "ada", "hi")  # type: ignore[arg-type]  # null, where none may be
    with pytest.raises(RowsRefused):
        await store.write([message(channel, 1), broken])

    assert await offsets(store, channel) == []
    assert database.statistics().breakers["write"].failed == 0


async def test_a_missing_table_is_a_fault_for_the_operator(database: Database) -> None:
    with pytest.raises(DatabaseFailed) as failed:
        async with database.transaction(Work.WRITE) as connection:
            await connection.execute(text("DELETE FROM no_such_table"))

    assert failed.value.fault is Fault.REFUSED


async def test_an_error_of_ours_rolls_back_and_gives_the_connection_back(
    store: ArchiveStore, database: Database, channel: str
) -> None:
    async def delete_and_fail() -> None:
        async with database.transaction(Work.WRITE) as connection:
            await connection.execute(text("DELETE FROM tannoy_archive"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await delete_and_fail()
    await database.check()
    assert database.statistics().in_use == 0


async def test_a_transaction_that_takes_too_long_fails_and_the_next_one_has_a_connection(
    open_database: OpenDatabase,
) -> None:
    database = await open_database(rules=PoolRules(size=1, timeout=1.0))
    with pytest.raises(DatabaseFailed, match="not done within 1 s"):
        async with database.transaction(Work.READ), database.transaction(Work.WRITE):
            raise AssertionError("one connection was given out twice")

    await database.check()
    assert database.statistics().in_use == 0


async def test_only_a_connection_that_was_got_counts_as_acquired(open_database: OpenDatabase) -> None:
    database = await open_database(rules=PoolRules(size=1, timeout=1.0))
    before = database.statistics().acquired.count
    with pytest.raises(DatabaseFailed):
        async with database.transaction(Work.READ), database.transaction(Work.WRITE):
            raise AssertionError("one connection was given out twice")

    assert database.statistics().acquired.count == before + 1


async def test_tables_of_another_version_are_refused(open_database: OpenDatabase) -> None:
    database = await open_database()
    async with database.transaction(Work.WRITE) as connection:
        await connection.execute(text("UPDATE tannoy_archive SET schema_version = 99"))
    with pytest.raises(StartError, match="its tables are of version 99, and this Tannoy knows version 1"):
        await open_database()

    async with database.transaction(Work.WRITE) as connection:
        await connection.execute(text("UPDATE tannoy_archive SET schema_version = 1"))


async def test_a_database_that_is_away_fails_the_start_without_its_password(
    open_database: OpenDatabase, url: str
) -> None:
    away = "sqlite:////no/such/folder/archive.db" if url.startswith("sqlite") else "postgresql://a:secret@127.0.0.1:1/t"
    with pytest.raises(StartError, match=r"\(TANNOY_DATABASE_URL\)") as failed:
        await open_database(away)

    assert "secret" not in str(failed.value)


async def test_a_database_that_hangs_fails_in_time_then_at_once_and_is_found_again() -> None:
    async with Postgres() as postgres:
        rules, clock = PoolRules(size=2, timeout=1.0), ManualClock()
        database = Database(parse_database_url(postgres.url), rules, clock, is_required=True)
        await eventually(lambda: is_usable(database), what="the database is open")
        store = ArchiveStore(database)
        postgres.freeze()
        for _ in range(FAILURES_IN_A_ROW):
            with pytest.raises(DatabaseFailed) as failed:
                await offsets(store, "room:lobby")
            assert failed.value.fault in (Fault.LOST, Fault.BUSY)
        with pytest.raises(CircuitOpen, match=r"the database \(reads\) failed 3 times in a row"):
            await offsets(store, "room:lobby")
        postgres.thaw()

        async def is_found_again() -> bool:
            clock.advance(OPEN_CAP)
            try:
                return await offsets(store, "room:lobby") == []
            except Unavailable:  # it may take longer than its time on a busy machine
                return False

        await eventually(is_found_again, what="the database is found again")
        assert database.statistics().in_use == 0
        await database.close()


async def test_a_connection_that_the_server_has_closed_is_replaced(tmp_path: Path) -> None:
    async with Postgres() as postgres:
        database = Database(parse_database_url(postgres.url), RULES, SystemClock(), is_required=True)
        await database.open()
        postgres.kill()
        await postgres.start()
        await database.check()
        await database.close()


async def test_many_nodes_that_open_a_new_file_at_once_all_open_it(tmp_path: Path) -> None:
    for turn in range(10):
        url = parse_database_url(f"sqlite:///{tmp_path}/new-{turn}.db")
        databases = [Database(url, RULES, SystemClock(), is_required=True) for _ in range(4)]
        try:
            await asyncio.gather(*(database.open() for database in databases))
            async with databases[0].transaction(Work.READ) as connection:
                versions = await connection.execute(text("SELECT count(*) FROM tannoy_archive"))
                assert versions.scalar_one() == 1
        finally:
            for database in databases:
                await database.close()
