"""From the bus to the sockets: takes batches of deliveries, and frames each once per encoding.

All that one read of the link brought in for a channel is joined, and each socket gets one write of it. The loop over
the sockets has no await, no task, no encoding. A roster of more than `SLICE` sockets is served in slices, with a turn
of the event loop between, so that no room starves the others; what comes for it meanwhile waits behind, in order.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ...fanout.history.tracker import Deliveries
from ...shared.publication import Publication
from ..protocols.encoding import Encoding
from ..protocols.framing import Chunk
from .hub import Hub
from .outbox import Outbox
from .roster import Roster
from .watermark import NOTHING_SEEN, Watermark

SLICE = 4096
"""Sockets served in one turn of the event loop: about 5 ms."""
BACKLOG_MAX_BYTES = 8 * 1024 * 1024
"""Of frames that wait for slices. Beyond it the link stops reading until it has halved."""


@dataclass(frozen=True, slots=True)
class RelayStatistics:
    messages: int
    """Messages and events that the bus has delivered so far, whether or not this node has sessions in their channel."""
    deliveries: int
    """Those, times the sockets of each: an excluded socket counts too."""
    backlog_bytes: int
    """Bytes, as JSON, that wait for slices."""
    link_paused: bool
    """Whether the link does not read, because more than BACKLOG_MAX_BYTES waited."""


class _Batch:
    """What one read of the link brought in for a channel; framed once per encoding, however many sockets get it."""

    __slots__ = ("_chunks", "end", "excluded", "publications")

    def __init__(self, publications: list[Publication]) -> None:
        self.publications = publications
        self.excluded = {publication.exclude for publication in publications if publication.exclude}
        self.end = Watermark.after(publications)
        self._chunks: dict[Encoding, Chunk] = {}

    def chunk(self, encoding: Encoding) -> Chunk:
        chunk = self._chunks.get(encoding)
        if chunk is None:
            chunk = self._chunks[encoding] = encoding.publications(self.publications)
        return chunk

    def chunk_for(self, session_id: str, seen: Watermark, encoding: Encoding) -> Chunk:
        """Return it without what excludes the session, and without what it has `seen`."""
        return encoding.publications_for(seen.not_seen_of(self.publications), session_id)

    def __len__(self) -> int:
        return len(self.publications)

    @property
    def size(self) -> int:
        return sum(len(publication.encoded.json) for publication in self.publications)


class _Sweep:
    """A large roster that is being served: the sockets still to come, and the batches behind this one."""

    __slots__ = ("batch", "behind", "left", "roster")

    def __init__(self, roster: Roster, batch: _Batch) -> None:
        self.roster = roster
        self.behind: deque[_Batch] = deque()
        self.begin(batch)

    def begin(self, batch: _Batch) -> None:
        self.batch = batch
        self.left = [(encoding, outbox) for encoding, outboxes in self.roster.outboxes.items() for outbox in outboxes]
        self.roster.begin_delivery(batch.publications)


class Relay:
    """Serves the hub's rosters. `pause_link` and `resume_link` are called to bound what waits.

    `fence_if_expired` is called before each delivery and each slice of one: it closes the sessions that must not be
    served any more, since time has passed.
    """

    def __init__(
        self,
        hub: Hub,
        *,
        pause_link: Callable[[], None],
        resume_link: Callable[[], None],
        fence_if_expired: Callable[[], bool],
        slice_size: int = SLICE,
    ) -> None:
        self._hub = hub
        self._pause_link = pause_link
        self._resume_link = resume_link
        self._fence_if_expired = fence_if_expired
        self._slice = slice_size
        self._sweeps: dict[bytes, _Sweep] = {}
        self._backlog_bytes = 0
        self._link_paused = False
        self._messages = 0
        self._deliveries = 0

    def deliver(self, batch: Deliveries) -> None:
        """Deliveries in the order of the bus, or of history where they fill a hole."""
        self._fence_if_expired()
        by_channel: dict[bytes, list[Publication]] = {}
        for address, publication in batch:
            by_channel.setdefault(address, []).append(publication)
        for address, publications in by_channel.items():
            self._messages += len(publications)
            roster = self._hub.rosters.get(address)
            if roster is not None:
                self._serve(roster, _Batch(publications))

    def _serve(self, roster: Roster, batch: _Batch) -> None:
        sweep = self._sweeps.get(roster.channel.address)
        if sweep is not None and sweep.roster is not roster:
            self._drop(sweep)  # all have left it, and others have come since
            sweep = None
        if sweep is not None:
            sweep.behind.append(batch)
            self._wait_for(batch)
        elif len(roster) > self._slice:
            sweep = self._sweeps[roster.channel.address] = _Sweep(roster, batch)
            self._wait_for(batch)
            self._next_slice(sweep)
        else:
            roster.begin_delivery(batch.publications)
            for encoding, outboxes in tuple(roster.outboxes.items()):
                self._write(roster, encoding, tuple(outboxes), batch)
            roster.complete_delivery(batch.end)

    def _write(self, roster: Roster, encoding: Encoding, outboxes: tuple[Outbox, ...], batch: _Batch) -> None:
        """The loop that everything else is for. The tuple: a write may make an outbox leave its roster."""
        chunk = batch.chunk(encoding)
        self._deliveries += len(outboxes) * len(batch)
        ahead = roster.ahead
        if not (batch.excluded or ahead):
            for outbox in outboxes:
                outbox.write(chunk)
            return
        for outbox in outboxes:
            if outbox not in ahead and outbox.session_id not in batch.excluded:
                outbox.write(chunk)
            elif own := batch.chunk_for(outbox.session_id, ahead.get(outbox, NOTHING_SEEN), encoding):
                outbox.write(own)

    # ---- slices

    def _next_slice(self, sweep: _Sweep) -> None:
        self._fence_if_expired()
        roster, address = sweep.roster, sweep.roster.channel.address
        if self._sweeps.get(address) is not sweep:
            return
        if self._hub.rosters.get(address) is not roster:
            self._drop(sweep)
            return
        now, sweep.left = sweep.left[: self._slice], sweep.left[self._slice :]
        self._write_slice(roster, now, sweep.batch)
        if not sweep.left:
            self._waited_for(sweep.batch)
            roster.complete_delivery(sweep.batch.end)
            if not sweep.behind:
                del self._sweeps[address]
                return
            behind = [publication for batch in sweep.behind for publication in batch.publications]
            sweep.behind.clear()
            sweep.begin(_Batch(behind))
        asyncio.get_running_loop().call_soon(self._next_slice, sweep)

    def _drop(self, sweep: _Sweep) -> None:
        """Stop serving a roster that has no members any more."""
        for batch in (sweep.batch, *sweep.behind):
            self._waited_for(batch)
        del self._sweeps[sweep.roster.channel.address]

    def _write_slice(self, roster: Roster, sockets: list[tuple[Encoding, Outbox]], batch: _Batch) -> None:
        for encoding, outboxes in tuple(roster.outboxes.items()):
            # A member that has left since the sweep began is not served any more.
            still_here = tuple(outbox for its, outbox in sockets if its is encoding and outbox in outboxes)
            if still_here:
                self._write(roster, encoding, still_here, batch)

    def _wait_for(self, batch: _Batch) -> None:
        self._backlog_bytes += batch.size
        if self._backlog_bytes > BACKLOG_MAX_BYTES and not self._link_paused:
            self._link_paused = True
            self._pause_link()

    def _waited_for(self, batch: _Batch) -> None:
        self._backlog_bytes -= batch.size
        if self._link_paused and self._backlog_bytes < BACKLOG_MAX_BYTES // 2:
            self._link_paused = False
            self._resume_link()

    def statistics(self) -> RelayStatistics:
        return RelayStatistics(
            messages=self._messages,
            deliveries=self._deliveries,
            backlog_bytes=self._backlog_bytes,
            link_paused=self._link_paused,
        )
