"""The archive in a node: it reads there, and looks how far the writers are. Imported where something is archived."""

import asyncio

from ..fanout.archive.calls import BacklogCalls
from ..fanout.archive.database import Database, PoolRules
from ..fanout.archive.database_url import parse_database_url
from ..fanout.archive.history import ArchivedHistory
from ..fanout.archive.store import ArchiveStore
from ..fanout.backlog import BacklogStatistics, summarize
from ..fanout.redis.pipeline import AnyPipeline
from ..shared.clock import Clock
from ..shared.errors import Unavailable
from ..shared.keyspace import Keyspace
from ..shared.logs import get_logger
from ..shared.settings import Settings

LOOK_EVERY = 5.0
"""Seconds between two looks at what waits to be written."""
LAG_ALARMING = 60.0
"""Seconds for which a message may wait before it is told: most likely nobody writes the archive."""

_log = get_logger("tannoy.archive")


def open_database(settings: Settings, clock: Clock, *, is_required: bool) -> Database:
    """The database of the settings, not connected yet. Raises StartError."""
    url = parse_database_url(settings.database_url.get_secret_value())
    rules = PoolRules(settings.database_pool, settings.database_timeout)
    return Database(url, rules, clock, is_required=is_required)


class NodeArchive:
    """Needs `run` running, and its `database` open. Raises StartError: the settings name no database."""

    def __init__(self, settings: Settings, pipeline: AnyPipeline, keyspace: Keyspace, clock: Clock) -> None:
        self.database = open_database(settings, clock, is_required=False)
        self._calls = BacklogCalls(pipeline, keyspace)
        self.history = ArchivedHistory(settings.archived_channels, ArchiveStore(self.database), self._calls)
        self.backlog: BacklogStatistics | None = None
        """What waits to be written; None: it was not looked at yet, or Redis does not answer."""
        self._is_late = False

    async def run(self) -> None:
        """Look at what waits, again and again. Never returns."""
        while True:
            try:
                self.backlog = summarize(await self._calls.waiting())
            except Unavailable as error:
                self.backlog = None
                _log.debug("could not look at the backlog of the archive", error=error.message)
            else:
                self._tell_lag(self.backlog)
            await asyncio.sleep(LOOK_EVERY)

    def _tell_lag(self, backlog: BacklogStatistics) -> None:
        was_late, self._is_late = self._is_late, backlog.lag > LAG_ALARMING
        if self._is_late and not was_late:
            _log.warning(
                "the archive is behind: does `tannoy archive` run, and reach its database?",
                waiting=backlog.waiting,
                lag=backlog.lag,
            )
        elif was_late and not self._is_late:
            _log.info("the archive is written again", waiting=backlog.waiting)
