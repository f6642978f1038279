"""Reads of a channel's history, for the `history` command and the HTTP API."""

from collections.abc import Sequence
from typing import Protocol

from ...fanout.history.reader import HistoryPage, HistoryReader
from ...shared.channels import Channel
from ...shared.protocol.codec import StoredMessages
from ...shared.protocol.commands import HistoryQuery
from ...shared.protocol.frames import Object
from ...shared.publication import Position, Publication
from ...shared.turns import Turns
from .pages import archive_turns, fit

_OFFSET_BYTES = 32
"""For what an answer adds to a stored message: its `offset`, of 16 digits at most, and a comma."""


def position_fields(position: Position | None) -> Object:
    """Return `epoch` and `offset` of a message; nothing if the channel keeps no history."""
    return {} if position is None else position.as_fields()


class ArchiveReader(Protocol):
    """What reads on in the archive (`fanout/archive/history.py`)."""

    def needs_more(self, channel: Channel, query: HistoryQuery, page: HistoryPage) -> bool: ...
    async def extend(self, channel: Channel, query: HistoryQuery, page: HistoryPage) -> HistoryPage: ...


class HistoryQueries:
    """Reads pages of at most `page_max_bytes`, in either wire format, each in its turn.

    Without an `archive` pages end where the messages in Redis end.
    """

    def __init__(
        self,
        history: HistoryReader,
        turns: Turns,
        *,
        page_max_bytes: int,
        archive: ArchiveReader | None = None,
    ) -> None:
        self._history = history
        self._turns = turns
        self._page_max_bytes = page_max_bytes
        self._archive = archive
        self._archive_turns = archive_turns()

    async def read_page(self, channel: Channel, query: HistoryQuery) -> Object:
        """Read `messages`, StoredMessages in the order of their offsets, and `epoch` and `offset` of the head.

        `more` is true if messages were left out, because of their size or since the archive is behind: the last ones if
        the query has a `since`, else the first ones. `gaps` are offsets of messages between these that are lost to the
        archive. If no history is kept, there are no messages, and the head is null. Raises Unavailable.
        """
        if not self._history.is_kept:
            return {"messages": StoredMessages(()), "epoch": None, "offset": None}
        page = await self._turns.run(1, lambda: self._history.page(channel, query))
        archive = self._archive
        if archive is not None and archive.needs_more(channel, query, page):
            page = await self._archive_turns.run(1, lambda: archive.extend(channel, query, page))
        return self._page_fields(page, query)

    def _page_fields(self, page: HistoryPage, query: HistoryQuery) -> Object:
        entries, has_more = fit(page.entries, _size_of, self._page_max_bytes, last=query.since is None)
        fields: Object = {"messages": StoredMessages(entries), **page.head.as_fields()}
        if gaps := [list(gap) for gap in page.gaps if not has_more or _is_within(gap, entries)]:
            fields["gaps"] = gaps
        return fields | {"more": True} if has_more or page.is_cut else fields


def no_fields(result: object) -> Object:
    """Return the fields of an `ok` that carries none."""
    return {}


def _is_within(gap: tuple[int, int], entries: Sequence[Publication]) -> bool:
    return entries[0].offset < gap[0] and gap[1] < entries[-1].offset


def _size_of(entry: Publication) -> int:
    return max(len(entry.encoded.json), len(entry.encoded.msgpack)) + _OFFSET_BYTES
