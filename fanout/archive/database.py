"""The database of the archive: one pool of connections, and transactions that are bounded in time.

A transaction is undone by the kind of error (`faults.py`): after a lost connection there is nothing to roll back, and a
ROLLBACK would wait for what is gone, so the connection is thrown away. After every other error it is rolled back, and
the connection goes back to the pool; if that fails too, it is thrown away as well.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import event, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.schema import CreateIndex, CreateTable

from ...shared.clock import Clock
from ...shared.errors import StartError, TannoyError
from ..external.breaker import CircuitBreaker
from ..external.service import WorkStatistics
from ..external.window import TimeWindow
from .database_url import DatabaseUrl
from .faults import DatabaseFailed, Fault, describe, fault_of
from .tables import BY_TIME, METADATA, SCHEMA, SCHEMA_VERSION

_SCHEMA_LOCK = 0x7A6E_6E6F
"""Of PostgreSQL: of several processes that start at once, one creates the tables."""


_DRIVER_SHARE = 0.8
"""Of the time of a transaction, after which the driver gives up: its error says more than a cancelled transaction."""


class RowsRefused(TannoyError):
    """The database does not take these values, now or later. The message is what it says."""


class Work(StrEnum):
    """The classes of work, each with a circuit breaker of its own."""

    READ = "read"
    WRITE = "write"
    CHECK = "check"


@dataclass(frozen=True, slots=True)
class PoolRules:
    size: int
    """Connections at most."""
    timeout: float
    """Seconds for a transaction, with the wait for its connection."""


class Database:
    """An ExternalService."""

    name = "database"

    def __init__(self, url: DatabaseUrl, rules: PoolRules, clock: Clock, *, is_required: bool) -> None:
        self.address = url.shown
        self.is_required = is_required
        self.is_sqlite = url.is_sqlite
        self._rules = rules
        self._clock = clock
        self._has_schema = False
        self._acquired = TimeWindow()
        self._breakers = {work: CircuitBreaker(f"the database ({work}s)", clock) for work in Work}
        self._engine = _create_engine(url, rules)

    async def open(self) -> None:
        """Raises StartError."""
        try:
            await self.check()
        except DatabaseFailed as error:
            raise StartError(f"the database at {self.address} (TANNOY_DATABASE_URL): {error.message}") from error

    async def check(self) -> None:
        """`SELECT 1` over the pool, the first time also the tables. Raises DatabaseFailed."""
        async with self.transaction(Work.CHECK) as connection:
            await connection.execute(text("SELECT 1"))
            if not self._has_schema:
                await self._ensure_schema(connection)
        self._has_schema = True

    async def close(self) -> None:
        await self._engine.dispose()

    # ---- transactions

    @asynccontextmanager
    async def transaction(self, work: Work) -> AsyncGenerator[AsyncConnection]:
        """One transaction, committed at the end of the block.

        Raises DatabaseFailed, or CircuitOpen at once; RowsRefused if the database does not take the values.
        """
        with self._breakers[work].guard():
            try:
                async with asyncio.timeout(self._rules.timeout), self._acquire() as connection:
                    yield connection
                    await connection.commit()
            except BaseException as error:
                fault = fault_of(error)
                if fault is None:
                    raise
                if fault is Fault.DATA:
                    raise RowsRefused(describe(error)) from None
                said = describe(error) if not isinstance(error, TimeoutError) else self._late
                raise DatabaseFailed(said, fault) from None

    @property
    def _late(self) -> str:
        return f"not done within {self._rules.timeout:g} s"

    @asynccontextmanager
    async def _acquire(self) -> AsyncGenerator[AsyncConnection]:
        """A connection of the pool, which is given back usable or not at all."""
        started = self._clock.monotonic()
        async with self._engine.connect() as connection:
            self._acquired.record(self._clock.monotonic() - started)
            try:
                yield connection
            except BaseException as error:
                await _undo(connection, error)
                raise

    async def _ensure_schema(self, connection: AsyncConnection) -> None:
        """Create the tables where they are missing. Raises DatabaseFailed: they are of another version."""
        # One process after the other: several may start at once.
        lock = "BEGIN IMMEDIATE" if self.is_sqlite else f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})"
        await connection.execute(text(lock))
        for table in METADATA.sorted_tables:
            await connection.execute(CreateTable(table, if_not_exists=True))
        await connection.execute(CreateIndex(BY_TIME, if_not_exists=True))
        found = (await connection.execute(select(SCHEMA.c.schema_version))).scalars().all()
        if not found:
            await connection.execute(SCHEMA.insert().values(schema_version=SCHEMA_VERSION))
        elif max(found) != SCHEMA_VERSION:
            raise DatabaseFailed(
                f"its tables are of version {max(found)}, and this Tannoy knows version {SCHEMA_VERSION}", Fault.REFUSED
            )

    def statistics(self) -> WorkStatistics:
        pool = self._engine.pool
        assert isinstance(pool, AsyncAdaptedQueuePool)
        return WorkStatistics(
            connections=pool.checkedin() + pool.checkedout(),
            in_use=pool.checkedout(),
            acquired=self._acquired.statistics(),
            breakers={work.value: breaker.statistics() for work, breaker in self._breakers.items()},
        )


async def _undo(connection: AsyncConnection, error: BaseException) -> None:
    """Roll back what the error has left, or throw the connection away.

    A statement that was cancelled may still be under way, and its connection can't be used for anything else.
    """
    if isinstance(error, asyncio.CancelledError) or fault_of(error) is Fault.LOST:
        await connection.invalidate()
        return
    try:
        await connection.rollback()
    except (SQLAlchemyError, OSError):
        await connection.invalidate()


def _create_engine(url: DatabaseUrl, rules: PoolRules) -> AsyncEngine:
    waits: dict[str, Any] = {"timeout": rules.timeout * _DRIVER_SHARE}
    if not url.is_sqlite:
        waits |= {"command_timeout": rules.timeout * _DRIVER_SHARE, "server_settings": {"application_name": "tannoy"}}
    engine = create_async_engine(
        url.url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=rules.size,
        max_overflow=0,
        pool_timeout=rules.timeout,
        pool_pre_ping=True,  # a connection that a restarted server has closed is replaced before it is used
        hide_parameters=True,  # errors would quote messages of users
        connect_args=waits,
    )
    if url.is_sqlite:
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Readers and the writer do not wait for each other; what is committed survives a loss of power."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
