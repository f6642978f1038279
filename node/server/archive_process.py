"""The process of `tannoy archive`: Redis, the database, and the writer between them.

It ends when it is told to, with what it has taken written; or at once, loudly, by an error that no retry can mend.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from ...fanout.archive.calls import WRITER_SCRIPTS, BacklogCalls
from ...fanout.archive.store import ArchiveStore
from ...fanout.archive.writer import ArchiveWriter
from ...fanout.backend import backend_of
from ...fanout.backlog import BacklogStatistics, summarize
from ...fanout.external.services import ExternalServices
from ...fanout.pubsub.envelopes import envelopes_of
from ...fanout.redis_service import RedisService
from ...fanout.scripts import SERVER_ENSURE, UNREADABLE_REMOVE
from ...fanout.server_life import ServerLives
from ...fanout.startup import check_reachable
from ...fanout.timeouts import DEFAULT_TIMEOUTS
from ...shared.clock import Clock, SystemClock
from ...shared.keyspace import Keyspace
from ...shared.logs import get_logger
from ...shared.settings import Settings
from ...shared.waiting import wait_up_to
from ..archive import open_database
from ..composition import read_address
from ..lifecycle.signals import handle_signals

T = TypeVar("T")

REPORT_EVERY = 60.0
"""Seconds between two lines of the log that tell how far the archive is."""
STOP_TIMEOUT = 10.0
"""Seconds that the writer has to finish its batch."""

_log = get_logger("tannoy.archive")


class ArchiveProcess:
    """Compose once; `run` once. Raises StartError."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        address = read_address(settings)
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        keyspace = Keyspace(settings.redis_prefix, address.database)
        self._backend = backend_of(address, keyspace, command_timeout=DEFAULT_TIMEOUTS.command)
        self._lives = ServerLives(keyspace, clock=clock, unreadable=self._backend.unreadable)
        self._pipeline = self._backend.pipeline(
            name=f"tannoy-archive-{name}",
            scripts=(SERVER_ENSURE, UNREADABLE_REMOVE, *WRITER_SCRIPTS),
            on_connected=self._lives.on_connected,
        )
        redis = RedisService(
            str(address),
            (self._pipeline,),
            keyspace,
            partitions=lambda: self._backend.first_partitions,
            prepare=self._connect,
        )
        database = open_database(settings, clock, is_required=True)
        self._calls = BacklogCalls(self._pipeline, keyspace)
        self.services = ExternalServices((redis, database), clock)
        self.writer = ArchiveWriter(
            self._calls,
            ArchiveStore(database),
            name=name,
            clock=clock,
            envelopes=envelopes_of(settings.cluster_secret.get_secret_value().encode()),
            unreadable=self._backend.unreadable,
        )
        self._stop = asyncio.Event()

    async def _connect(self) -> None:
        await check_reachable(self._backend, self._lives, timeout=DEFAULT_TIMEOUTS.start)
        await self._pipeline.connected.wait()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        handle_signals(asyncio.get_running_loop(), lambda number: self._stop.set())

        async def work() -> None:
            async with self.services.opened():
                _log.info("the archive is written")
                await self._write()
                _log.info("the archive is not written any more", written=self.writer.statistics().written)

        await self._run_with_jobs(work, self.services.run_checks, self._report_often)

    async def _run_with_jobs(
        self, work: Callable[[], Awaitable[T]], *jobs: Callable[[], Coroutine[Any, Any, None]]
    ) -> T:
        """The result of `work`. Redis' connections, and `jobs`, run until then; if one of them fails, all ends.

        Raises what `work` raises.
        """
        connecting = (*self._backend.jobs.values(), self._pipeline.run)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(job()) for job in (*connecting, *jobs)]
            (result,) = await asyncio.gather(work(), return_exceptions=True)
            for task in running:
                task.cancel()
        if isinstance(result, BaseException):
            raise result
        return result

    async def _write(self) -> None:
        writing = asyncio.create_task(self.writer.run())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((writing, stopping), return_when=asyncio.FIRST_COMPLETED)
            self.writer.stop()
            async with asyncio.timeout(STOP_TIMEOUT):
                await writing
        except TimeoutError:
            _log.warning("the last batch is not written: it stays in the backlog")
        finally:
            for task in (writing, stopping):
                task.cancel()

    async def _report_often(self) -> None:
        reported = 0
        while True:
            await wait_up_to(REPORT_EVERY, self._stop)
            found = self.writer.statistics()
            if found.written != reported or found.backlog.waiting:
                reported = found.written
                _log.info("archive", written=found.written, waiting=found.backlog.waiting, lag=found.backlog.lag)
            if self._stop.is_set():
                return

    async def read_backlog(self) -> BacklogStatistics:
        """How far the archive is, without writing anything. Raises StartError, Unavailable."""

        async def work() -> BacklogStatistics:
            await self._connect()
            return summarize(await self._calls.waiting())

        return await self._run_with_jobs(work)


async def prune_archive(settings: Settings, sent_before: float) -> int:
    """Delete what was sent before this time (Unix, in seconds), in small transactions; returns how many messages.

    Raises StartError, Unavailable.
    """
    database = open_database(settings, SystemClock(), is_required=True)
    store, pruned = ArchiveStore(database), 0
    try:
        await database.open()
        while count := await store.prune(int(sent_before * 1000)):
            pruned += count
    finally:
        await database.close()
    return pruned
