"""Streams on their way to the sockets: the tables of the rosters, and what is written where a client reads slowly."""

from collections.abc import Callable, Mapping
from functools import partial

from ...shared.publication import Publication
from ..protocols.encoding import Encoding
from ..protocols.framing import Chunk
from .outbox import Outbox
from .roster import Roster
from .stream_table import AskStream, StreamTable
from .stream_view import StreamText, StreamView
from .watermark import NOTHING_SEEN, Watermark


class StreamTables:
    """Makes the table of a roster when the first event of a stream comes. `on_first` is told of it then."""

    def __init__(self, ask: AskStream, now: Callable[[], float], on_first: Callable[[Roster], None]) -> None:
        self._ask = ask
        self._now = now
        self._on_first = on_first

    def of(self, roster: Roster) -> StreamTable:
        if roster.streams is None:
            roster.streams = StreamTable(roster.channel, self._ask, self._now)
        if not roster.streams.views:
            self._on_first(roster)
        return roster.streams


def write_streams(
    encoding: Encoding,
    outboxes: tuple[Outbox, ...],
    publications: list[Publication],
    chunk: Chunk,
    ahead: Mapping[Outbox, Watermark],
) -> None:
    """Write what the members are given of a batch with streams; `chunk` is all of it.

    A socket whose client reads slowly is owed the text instead: it gets what it has not read as one `delta`.
    """
    if not publications:
        return
    for outbox in outboxes:
        if outbox in ahead or outbox.is_slow or outbox.has_paid:
            for publication in ahead.get(outbox, NOTHING_SEEN).not_seen_of(publications):
                _write(encoding, outbox, publication)
        else:
            outbox.write(chunk)


def _write(encoding: Encoding, outbox: Outbox, publication: Publication) -> None:
    if not isinstance(publication, StreamText):
        if outbox.is_slow and not publication.offset:
            outbox.write_direct(encoding.publication(publication))  # the end of a stream, of which the client has text
        else:
            outbox.write(encoding.publication(publication))
        return
    view, start = publication.view, publication.start
    if outbox.is_slow:
        outbox.owe(view.key, start, partial(_frame_owed, encoding, view))
    elif not outbox.was_paid(view.key, start, publication.end):
        outbox.write(encoding.publication(publication))


def _frame_owed(encoding: Encoding, view: StreamView, start: int | None, max_bytes: int) -> tuple[Chunk, int]:
    """What a client has not read of a stream, and up to where: as one `delta`, or all where that is too much."""
    end = len(view)
    if start is not None and end - start > max_bytes:
        start = None
    return encoding.frame(view.frame(start, end)), end
