"""Delivery from the bus to the sockets: frames each batch once per encoding, and writes it to each socket.

All that one read of the link brought for a channel is one batch, and each socket gets one write of it. The loop over
the sockets has no await, no task, no encoding. A roster of more than `SLICE` sockets is written to in slices, with an
iteration of the event loop between, so that a large room does not delay the others; batches that arrive meanwhile are
queued in order.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from ...fanout.history.tracker import Deliveries
from ...shared.publication import Publication
from ...shared.reports import SocketOutcome, has_token, split_mark
from ...shared.streams import STREAM_MARK, StreamPublication
from ..protocols.encoding import Encoding
from ..protocols.framing import Chunk
from .hub import Hub
from .outbox import Outbox
from .reports import BatchReport
from .roster import Roster
from .stream_delivery import StreamTables, write_streams
from .watermark import NOTHING_SEEN, Watermark

SLICE = 4096
"""Sockets written to in one iteration of the event loop: about 5 ms."""
BACKLOG_MAX_BYTES = 8 * 1024 * 1024
"""Bytes, as JSON, that may wait for slices. Beyond it the link is paused until the backlog is half of it."""


@dataclass(frozen=True, slots=True)
class RelayStatistics:
    messages: int
    """Messages and events that the bus has delivered so far, whether or not this node has sessions in their channel."""
    deliveries: int
    """Those, times the sockets of each: an excluded socket counts too."""
    outdated: int
    """Presence events that were dropped since members had seen a later version: see `Roster.take_rising`."""
    backlog_bytes: int
    """Bytes, as JSON, that wait for slices."""
    link_paused: bool
    """Whether the link does not read, because more than BACKLOG_MAX_BYTES waited."""


class _Batch:
    """What one read of the link brought for a channel; framed once per encoding, for any number of sockets."""

    __slots__ = ("_chunks", "_size", "end", "excluded", "has_streams", "publications", "report", "resets")

    def __init__(self, publications: list[Publication]) -> None:
        self.publications = publications
        self.excluded = {publication.exclude for publication in publications if publication.exclude}
        self.report: BatchReport | None = None
        self.has_streams = False
        self._size: int | None = None
        if self.excluded:
            self._look_at_marks()
        self.end = Watermark.after(publications)
        self.resets = any(publication.resets for publication in publications)
        self._chunks: dict[Encoding, Chunk] = {}

    def _look_at_marks(self) -> None:
        self.has_streams = STREAM_MARK in self.excluded
        if any(map(has_token, self.excluded)):
            self.report = BatchReport(self.publications)
            self.excluded = {split_mark(mark)[0] for mark in self.excluded}

    def begin(self, roster: Roster, streams: StreamTables) -> None:
        """Its delivery begins: copy it to the sessions that are joining. Events of streams become what members get."""
        for_joining = self.publications
        if self.has_streams:
            self._size = self.size
            self.publications, for_joining = streams.of(roster).take(self.publications, roster.delivered)
        roster.begin_delivery(for_joining)

    def split(self) -> "list[_Batch]":
        """This batch as several, in order: events of streams, and all else."""
        runs = groupby(self.publications, lambda each: isinstance(each, StreamPublication))
        return [_Batch(list(run)) for _, run in runs]

    def chunk(self, encoding: Encoding) -> Chunk:
        chunk = self._chunks.get(encoding)
        if chunk is None:
            chunk = self._chunks[encoding] = encoding.publications(self.publications)
        return chunk

    def chunk_for(self, session_id: str, seen: Watermark, encoding: Encoding) -> Chunk:
        """Frame the publications that do not exclude the session and that it has not `seen`."""
        return encoding.publications_for(seen.not_seen_of(self.publications), session_id)

    def __len__(self) -> int:
        return len(self.publications)

    @property
    def size(self) -> int:
        return (
            self._size
            if self._size is not None
            else sum(len(publication.encoded.json) for publication in self.publications)
        )


class _SlicedDelivery:
    """A delivery in slices to a large roster: the current batch, the outboxes left, and the next batches."""

    __slots__ = ("_streams", "batch", "queued", "remaining", "roster")

    def __init__(self, roster: Roster, batch: _Batch, streams: StreamTables) -> None:
        self.roster = roster
        self._streams = streams
        self.queued: deque[_Batch] = deque()
        self.begin(batch)

    def begin(self, batch: _Batch) -> None:
        self.batch = batch
        self.remaining = [
            (encoding, outbox) for encoding, outboxes in self.roster.outboxes.items() for outbox in outboxes
        ]
        batch.begin(self.roster, self._streams)

    def begin_next(self) -> None:
        """Go on with the batches that are queued: all of them as one, unless there are streams among them."""
        if any(batch.has_streams for batch in self.queued):
            self.begin(self.queued.popleft())
            return
        queued = [publication for batch in self.queued for publication in batch.publications]
        self.queued.clear()
        self.begin(_Batch(queued))


class Relay:
    """Delivers to the hub's rosters. `pause_link` and `resume_link` are called to bound the backlog.

    `fence_if_expired` is called before each delivery and each slice of one: it closes the sessions whose leases have
    expired meanwhile. `record_outcome` is told what became of a message that carries the token of a report.
    """

    def __init__(
        self,
        hub: Hub,
        *,
        pause_link: Callable[[], None],
        resume_link: Callable[[], None],
        fence_if_expired: Callable[[], bool],
        record_outcome: Callable[[str, SocketOutcome], None],
        streams: StreamTables,
        slice_size: int = SLICE,
    ) -> None:
        self._hub = hub
        self._pause_link = pause_link
        self._resume_link = resume_link
        self._fence_if_expired = fence_if_expired
        self._record_outcome = record_outcome
        self._streams = streams
        self._slice = slice_size
        self._sliced: dict[bytes, _SlicedDelivery] = {}
        self._backlog_bytes = 0
        self._link_paused = False
        self._messages = 0
        self._deliveries = 0
        self._outdated = 0

    def deliver(self, deliveries: Deliveries) -> None:
        """Deliver these, in their order: that of the bus, or that of the history where they fill a hole."""
        self._fence_if_expired()
        by_channel: dict[bytes, list[Publication]] = {}
        for address, publication in deliveries:
            by_channel.setdefault(address, []).append(publication)
        for address, publications in by_channel.items():
            self._messages += len(publications)
            roster = self._hub.rosters.get(address)
            if roster is not None:
                batch = _Batch(publications)
                if batch.end.version and len(rising := roster.take_rising(publications)) < len(batch):
                    self._outdated += len(batch) - len(rising)
                    batch = _Batch(rising)
                if batch.has_streams:
                    for each in batch.split():
                        self._deliver_batch(roster, each)
                elif batch:
                    self._deliver_batch(roster, batch)

    def _deliver_batch(self, roster: Roster, batch: _Batch) -> None:
        sliced = self._sliced.get(roster.channel.address)
        if sliced is not None and sliced.roster is not roster:
            self._stop_delivery(sliced)  # all members have left that roster, and this is a new one of the same channel
            sliced = None
        if sliced is not None:
            sliced.queued.append(batch)
            self._add_to_backlog(batch)
        elif len(roster) > self._slice:
            sliced = self._sliced[roster.channel.address] = _SlicedDelivery(roster, batch, self._streams)
            self._add_to_backlog(batch)
            self._deliver_slice(sliced)
        else:
            batch.begin(roster, self._streams)
            for encoding, outboxes in tuple(roster.outboxes.items()):
                self._write_batch(roster, encoding, tuple(outboxes), batch)
            self._complete_delivery(roster, batch)

    def _complete_delivery(self, roster: Roster, batch: _Batch) -> None:
        roster.complete_delivery(batch.end, resets=batch.resets)
        self._record_outcomes(batch)

    def _record_outcomes(self, batch: _Batch) -> None:
        if batch.report is not None:
            for token, outcome in batch.report.outcomes():
                self._record_outcome(token, outcome)

    def _write_batch(self, roster: Roster, encoding: Encoding, outboxes: tuple[Outbox, ...], batch: _Batch) -> None:
        """Write a batch to outboxes of one encoding. They are a copy: a write may remove an outbox from its roster."""
        chunk = batch.chunk(encoding)
        self._deliveries += len(outboxes) * len(batch)
        ahead = roster.ahead
        if not (batch.excluded or ahead):
            for outbox in outboxes:
                outbox.write(chunk)
            return
        if batch.has_streams:
            write_streams(encoding, outboxes, batch.publications, chunk, ahead)
            return
        if batch.report is not None:
            self._write_reported(roster, encoding, outboxes, batch, batch.report)
            return
        for outbox in outboxes:
            if outbox not in ahead and outbox.session_id not in batch.excluded:
                outbox.write(chunk)
            elif own := batch.chunk_for(outbox.session_id, ahead.get(outbox, NOTHING_SEEN), encoding):
                outbox.write(own)

    def _write_reported(
        self, roster: Roster, encoding: Encoding, outboxes: tuple[Outbox, ...], batch: _Batch, report: BatchReport
    ) -> None:
        """Write a batch as `_write_batch` does, and count what becomes of it at each socket."""
        for outbox in outboxes:
            seen, own = roster.ahead.get(outbox, NOTHING_SEEN), batch.chunk(encoding)
            if outbox in roster.ahead or outbox.session_id in batch.excluded:
                own = batch.chunk_for(outbox.session_id, seen, encoding)
            if own:
                report.write(outbox, own, seen)

    # ---- slices

    def _deliver_slice(self, sliced: _SlicedDelivery) -> None:
        self._fence_if_expired()
        roster, address = sliced.roster, sliced.roster.channel.address
        if self._sliced.get(address) is not sliced:
            return
        if self._hub.rosters.get(address) is not roster:
            self._stop_delivery(sliced)
            return
        now, sliced.remaining = sliced.remaining[: self._slice], sliced.remaining[self._slice :]
        self._write_slice(roster, now, sliced.batch)
        if not sliced.remaining:
            self._remove_from_backlog(sliced.batch)
            self._complete_delivery(roster, sliced.batch)
            if not sliced.queued:
                del self._sliced[address]
                return
            sliced.begin_next()
        asyncio.get_running_loop().call_soon(self._deliver_slice, sliced)

    def _stop_delivery(self, sliced: _SlicedDelivery) -> None:
        """Stop the delivery to a roster that has no members any more."""
        for batch in (sliced.batch, *sliced.queued):
            self._remove_from_backlog(batch)
            self._record_outcomes(batch)
        del self._sliced[sliced.roster.channel.address]

    def _write_slice(self, roster: Roster, sockets: list[tuple[Encoding, Outbox]], batch: _Batch) -> None:
        for encoding, outboxes in tuple(roster.outboxes.items()):
            # Nothing is written to a member that has left since the delivery began.
            members = tuple(outbox for its, outbox in sockets if its is encoding and outbox in outboxes)
            if members:
                self._write_batch(roster, encoding, members, batch)

    def _add_to_backlog(self, batch: _Batch) -> None:
        self._backlog_bytes += batch.size
        if self._backlog_bytes > BACKLOG_MAX_BYTES and not self._link_paused:
            self._link_paused = True
            self._pause_link()

    def _remove_from_backlog(self, batch: _Batch) -> None:
        self._backlog_bytes -= batch.size
        if self._link_paused and self._backlog_bytes < BACKLOG_MAX_BYTES // 2:
            self._link_paused = False
            self._resume_link()

    def statistics(self) -> RelayStatistics:
        return RelayStatistics(
            messages=self._messages,
            deliveries=self._deliveries,
            outdated=self._outdated,
            backlog_bytes=self._backlog_bytes,
            link_paused=self._link_paused,
        )
