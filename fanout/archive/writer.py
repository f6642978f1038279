"""What takes messages from the backlog in Redis and writes them to the database, in batches, each message once.

    take ──▶ write, again and again until the database has committed ──▶ confirm: the entries leave the backlog

A writer that is killed before it has confirmed leaves its entries: another one takes them after CLAIM_AFTER, and to
write a message a second time changes nothing. So every message of the backlog is written at least once, and stands
there once. Any number of writers share the work.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...shared.backoff import full_jitter
from ...shared.clock import Clock
from ...shared.errors import MalformedBytes, Unavailable
from ...shared.logs import get_logger
from ...shared.waiting import wait_up_to
from ..backlog import BacklogStatistics, Waiting, summarize
from ..external.breaker import CircuitOpen
from ..external.window import TimeWindow, WindowStatistics
from ..pubsub.envelopes import PLAIN, Envelopes
from ..unreadable import UnreadableData
from .calls import BacklogCalls, TakenEntry
from .database import RowsRefused
from .entries import read_entry
from .store import ArchivedMessage, ArchiveStore

BATCH_MAX = 1000
"""Messages of one transaction."""
BATCH_MAX_BYTES = 4 * 1024 * 1024
"""Bytes of a batch, in both wire formats, about."""
SHARE_MAX_BYTES = 64 * 1024
"""Of it, for each partition where very many have messages: one that is larger is taken alone."""
GATHER_SECONDS = 0.2
"""For which messages are gathered into a batch, where the backlog was empty."""
CLAIM_AFTER = 10.0
"""Seconds after which what another writer has taken and not written is taken over."""
FORGET_AFTER = 3600.0
"""Seconds after which Redis forgets a writer that has ended."""
RETRY_BASE, RETRY_CAP = 0.1, 5.0
"""Seconds of the back-off, with full jitter, where Redis or the database is away."""

_log = get_logger("tannoy.archive")


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    written: int
    """Messages, each as often as it was written."""
    batches: int
    retries: int
    """Batches that the database did not take at once."""
    refused: int
    """Messages that the database does not take: they are lost to the archive."""
    unreadable: int
    """Entries of the backlog that no node has written: they are removed."""
    writing: WindowStatistics
    """Times of the transactions that were committed."""
    backlog: BacklogStatistics
    """When it was last looked at."""


class ArchiveWriter:
    """Run `run` once. `name` is different for each process."""

    def __init__(
        self,
        calls: BacklogCalls,
        store: ArchiveStore,
        *,
        name: str,
        clock: Clock,
        envelopes: Envelopes = PLAIN,
        unreadable: UnreadableData | None = None,
        claim_after: float = CLAIM_AFTER,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._calls = calls
        self._store = store
        self._name = name
        self._clock = clock
        self._envelopes = envelopes
        self._unreadable = unreadable or UnreadableData()
        self._claim_after_ms = int(claim_after * 1000)
        self._uniform = uniform
        self._stop = asyncio.Event()
        self._has_begun = False
        self._written = self._batches = self._retries = self._refused = self._unreadable_entries = 0
        self._writing = TimeWindow()
        self._backlog = BacklogStatistics(0, 0.0, 0)

    def stop(self) -> None:
        """Let `run` return once the batch that it has is written, or the database does not take it."""
        self._stop.set()

    async def run(self) -> None:
        """Write until `stop`."""
        failures = 0
        while not self._stop.is_set():
            try:
                has_more = await self._write_batch()
            except Unavailable as error:
                failures += 1
                _log.debug("the backlog of the archive does not answer", error=error.message)
                await self._back_off(failures, error)
                continue
            failures = 0
            if not has_more:
                await wait_up_to(GATHER_SECONDS, self._stop)

    async def _write_batch(self) -> bool:
        """Whether there was anything to write. Raises Unavailable: Redis is away."""
        if not self._has_begun:
            await self._calls.forget_writers(int(FORGET_AFTER * 1000))
            self._has_begun = True
        taken = await self._take()
        if taken and await self._write([message for entry in taken if (message := self._read(entry)) is not None]):
            await self._confirm(taken)
        return bool(taken)

    async def _back_off(self, failures: int, error: Unavailable) -> None:
        """Wait before the next attempt; `stop` ends it."""
        if isinstance(error, CircuitOpen):
            seconds = error.retry_after or RETRY_CAP
        else:
            seconds = full_jitter(failures - 1, base=RETRY_BASE, cap=RETRY_CAP, uniform=self._uniform)
        await wait_up_to(seconds, self._stop)

    # ---- taking

    async def _take(self) -> list[TakenEntry]:
        """Messages of all partitions in which some wait, each with a fair share. Raises Unavailable."""
        found = await self._calls.waiting()
        self._note(found)
        parts = [part for part, waiting in found.items() if waiting.entries]
        if not parts:
            return []
        messages, size = max(1, BATCH_MAX // len(parts)), max(SHARE_MAX_BYTES, BATCH_MAX_BYTES // len(parts))
        takes = (self._calls.take(part, self._name, messages, size, self._claim_after_ms) for part in parts)
        return [entry for entries in await asyncio.gather(*takes) for entry in entries]

    def _note(self, found: dict[int, Waiting]) -> None:
        """Tell what had to leave the backlog unwritten since it was last looked at."""
        before, self._backlog = self._backlog, summarize(found)
        if self._backlog.lost > before.lost:
            _log.error(
                "messages are lost to the archive: more waited than TANNOY_ARCHIVE_BACKLOG allows",
                lost=self._backlog.lost - before.lost,
                waiting=self._backlog.waiting,
            )

    async def _confirm(self, taken: Sequence[TakenEntry]) -> None:
        """Raises Unavailable; then these are taken again, and written again, which changes nothing."""
        ids: dict[int, list[bytes]] = {}
        for entry in taken:
            ids.setdefault(entry.partition, []).append(entry.id)
        await asyncio.gather(*(self._calls.confirm(part, those) for part, those in ids.items()))

    # ---- writing

    def _read(self, entry: TakenEntry) -> ArchivedMessage | None:
        try:
            return read_entry(entry, self._calls.keyspace, self._envelopes)
        except MalformedBytes as error:
            self._unreadable_entries += 1
            self._unreadable.note(self._calls.keyspace.archive(entry.partition), str(error))
            return None

    async def _write(self, messages: list[ArchivedMessage]) -> bool:
        """Whether all stand in the database that can. False: `stop` came first."""
        failures = 0
        while messages:
            started = self._clock.monotonic()
            try:
                await self._store.write(messages)
            except RowsRefused as refusal:
                return await self._write_apart(messages, refusal)
            except Unavailable as error:
                failures += 1
                self._retries += 1
                await self._back_off(failures, error)
                if self._stop.is_set():
                    return False
            else:
                self._writing.record(self._clock.monotonic() - started)
                self._batches += 1
                self._written += len(messages)
                break
        return True

    async def _write_apart(self, messages: list[ArchivedMessage], refusal: RowsRefused) -> bool:
        """The database does not take one of them: write each half by itself, until that one is found."""
        if len(messages) > 1:
            half = len(messages) // 2
            return await self._write(messages[:half]) and await self._write(messages[half:])
        (message,) = messages
        self._refused += 1
        _log.error(
            "a message is lost to the archive: the database does not take it",
            channel=message.channel,
            epoch=message.epoch,
            offset=message.offset,
            error=str(refusal),
        )
        return True

    def statistics(self) -> WriterStatistics:
        return WriterStatistics(
            written=self._written,
            batches=self._batches,
            retries=self._retries,
            refused=self._refused,
            unreadable=self._unreadable_entries,
            writing=self._writing.statistics(),
            backlog=self._backlog,
        )
