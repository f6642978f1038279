"""Reading on in the database where the messages in Redis end, without a seam and without a silent hole.

The writer is a moment behind. So where messages are missing between the two, Redis is asked whether they wait to be
written: then the page ends in front of them, and says that there is more, or, if that would leave nothing, is
unavailable for a moment. What does not wait is lost to the archive, and the page names it as a gap.
"""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, cast

import msgpack
import orjson

from ...shared.archived_channels import ArchivedChannels
from ...shared.channels import Channel
from ...shared.errors import Unavailable
from ...shared.logs import get_logger
from ...shared.protocol.commands import HistoryQuery
from ...shared.publication import Position, Publication
from ..history.reader import READ_MAX_BYTES, HistoryPage
from .joining import Jump, find_jumps, start_of
from .store import ArchivedMessage, ArchivePage

PAGE_MAX_BYTES = READ_MAX_BYTES // 2
"""Bytes of the JSON of what is read at once: in both wire formats it is as much as one read of Redis."""


FIELDS_END = 15
"""Fields of a frame that gets an offset are fewer than this, so that msgpack has their number in one byte."""

_log = get_logger("tannoy.archive")


class PageStore(Protocol):
    """What this needs of the ArchiveStore."""

    async def read(
        self, channel: str, lowest: int, highest: int, limit: int, max_bytes: int, *, last: bool
    ) -> ArchivePage: ...


class Backlog(Protocol):
    """What this needs of the BacklogCalls."""

    async def may_wait(self, channel: Channel, lowest: int, highest: int) -> bool: ...


class _Archived:
    """A stored frame in both wire formats; in msgpack if a client asks for that."""

    __slots__ = ("_frame", "_msgpack", "json")

    def __init__(self, text: str) -> None:
        """Raises ValueError: it is no frame."""
        self.json = text.encode()
        frame: object = orjson.loads(self.json)
        self._frame = cast("dict[str, object]", frame) if isinstance(frame, dict) else {}
        self._msgpack: bytes | None = None
        if not 0 < len(self._frame) < FIELDS_END:
            raise ValueError("it is no frame")

    @property
    def msgpack(self) -> bytes:
        if self._msgpack is None:
            self._msgpack = msgpack.packb(self._frame)
        return self._msgpack


class ArchivedHistory:
    """Both calls raise Unavailable: the database is away, or the archive is behind."""

    def __init__(self, archived: ArchivedChannels, store: PageStore, backlog: Backlog) -> None:
        self._archived = archived
        self._store = store
        self._backlog = backlog

    def needs_more(self, channel: Channel, query: HistoryQuery, page: HistoryPage) -> bool:
        """Whether the database may have what belongs to this page of Redis."""
        if page.is_cut or not self._archived.include(channel):
            return False
        if query.since is None:
            return len(page.entries) < query.limit
        if page.entries:
            return page.entries[0].offset > query.since + 1
        return query.since < page.head.offset and query.before != query.since + 1

    async def extend(self, channel: Channel, query: HistoryQuery, page: HistoryPage) -> HistoryPage:
        """The page with what the database has in front of it."""
        highest = page.head.offset if query.before is None else min(query.before - 1, page.head.offset)
        if page.entries:
            highest = page.entries[0].offset - 1
        if query.since is None:
            return await self._extend_backwards(channel, query, page, highest)
        return await self._extend_forwards(channel, query, query.since, page, highest)

    async def _extend_backwards(
        self, channel: Channel, query: HistoryQuery, page: HistoryPage, highest: int
    ) -> HistoryPage:
        """The last messages before `before`, or of all: older ones go in front."""
        limit, end = query.limit - len(page.entries), _end(query, page, highest)

        async def join() -> _Joined:
            found = await self._read(channel, 0, highest, limit, last=True)
            low = None if found.is_cut else 0
            jumps = find_jumps([*found.positions, *_positions(page)], low, end)
            return _Joined(found, (*found.entries, *page.entries), _of_database(jumps, found))

        try:
            joined, waits = await self._settle(channel, join)
        except Unavailable:
            if page.entries:
                return replace(page, is_cut=True)  # who asks on is told
            raise
        if waits:
            return _cut(page, joined.entries[joined.jumps[-1].index + 1 :])
        is_cut = joined.found.is_cut and len(joined.entries) < query.limit
        inner = [jump for jump in joined.jumps if jump.index >= 0]  # in front of all, the archive of the channel begins
        return replace(page, entries=joined.entries, is_cut=is_cut, gaps=_gaps(inner))

    async def _extend_forwards(
        self, channel: Channel, query: HistoryQuery, since: int, page: HistoryPage, highest: int
    ) -> HistoryPage:
        """The first messages after `since`: those of the database come before those of Redis."""

        async def join() -> _Joined:
            found = await self._read(channel, since + 1, highest, query.limit, last=False)
            rest = replace(page, entries=() if found.is_cut else page.entries[: query.limit - len(found.entries)])
            end = None if found.is_cut else _end(query, page, highest)
            jumps = find_jumps([*found.positions, *_positions(rest)], since, end)
            return _Joined(found, (*found.entries, *rest.entries), _of_database(jumps, found))

        joined, waits = await self._settle(channel, join)
        if waits:
            return _cut(page, joined.entries[: joined.jumps[0].index + 1])
        is_cut = (joined.found.is_cut or page.is_cut) and len(joined.entries) < query.limit
        return replace(page, entries=joined.entries, is_cut=is_cut, gaps=_gaps(joined.jumps))

    async def _settle(
        self, channel: Channel, join: Callable[[], Coroutine[Any, Any, "_Joined"]]
    ) -> tuple["_Joined", bool]:
        """What was joined, and whether any message that its jumps leave out may not be written yet.

        What does not wait was written before that was asked, if at all: so only a read behind the question shows what
        is lost.
        """
        joined = await join()
        if not joined.jumps:
            return joined, False
        first, last = joined.jumps[0].between.first, joined.jumps[-1].between.last
        if await self._backlog.may_wait(channel, first, last):
            return joined, True
        return await join(), False

    async def _read(self, channel: Channel, lowest: int, highest: int, limit: int, *, last: bool) -> "_Found":
        if highest < lowest or limit == 0:
            return _Found((), is_cut=False)
        name = f"{channel.kind}:{channel.name}"
        page = await self._store.read(name, lowest, highest, limit, PAGE_MAX_BYTES, last=last)
        return _Found(tuple(_publications(page.messages)), page.is_cut)


@dataclass(frozen=True, slots=True)
class _Found:
    """What the database has, in ascending order."""

    entries: tuple[Publication, ...]
    is_cut: bool

    @property
    def positions(self) -> list[Position]:
        return [Position(entry.epoch, entry.offset) for entry in self.entries]


class _Joined(NamedTuple):
    """Messages of the database, and those of Redis behind them."""

    found: _Found
    entries: tuple[Publication, ...]
    jumps: list[Jump]
    """Those at which a message of the database, or none at all, stands in front."""


def _of_database(jumps: Sequence[Jump], found: _Found) -> list[Jump]:
    return [jump for jump in jumps if jump.index < len(found.entries)]


def _publications(messages: Sequence[ArchivedMessage]) -> Iterator[Publication]:
    """One for each offset: two epochs share one only where the clock of Redis was set back.

    What is no frame is left out.
    """
    before = -1
    for message in messages:
        if message.offset == before:
            continue
        before = message.offset
        try:
            encoded = _Archived(message.message)
        except ValueError:
            _log.error(
                "the archive holds what is no message: it is left out", channel=message.channel, offset=message.offset
            )
            continue
        yield Publication(encoded, epoch=message.epoch, offset=message.offset)


def _positions(page: HistoryPage) -> list[Position]:
    """Those of the entries in Redis, which does not tell their epochs: that of a former one is unknown, here empty."""
    start = start_of(page.head.epoch)
    return [
        Position(page.head.epoch if start is None or entry.offset > start else "", entry.offset)
        for entry in page.entries
    ]


def _end(query: HistoryQuery, page: HistoryPage, highest: int) -> Position | None:
    """In front of what the messages of the database have to end; None: in front of those of Redis, which are joined."""
    if page.entries:
        return None
    is_up_to_head = query.before is None or query.before > page.head.offset
    return Position(page.head.epoch if is_up_to_head else "", highest + 1)


def _cut(page: HistoryPage, entries: tuple[Publication, ...]) -> HistoryPage:
    """A page that ends in front of what is not written yet. Raises Unavailable if it would be empty."""
    if not entries:
        raise Unavailable("the archive is behind: these messages are not written yet")
    return replace(page, entries=entries, is_cut=True)


def _gaps(jumps: Sequence[Jump]) -> tuple[tuple[int, int], ...]:
    return tuple((jump.gap.first, jump.gap.last) for jump in jumps if jump.gap is not None)
