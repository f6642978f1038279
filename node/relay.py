"""From the bus to the sockets: takes batches of deliveries, frames each once per wire format, hands them to the hub.

All that one read of the link brought in for a channel is joined, and each socket gets one write of it. The loop over
the sockets has no await, no task, no encoding. A roster of more than `SLICE` sockets is served in slices, with a turn
of the event loop between, so that no room starves the others; what comes for it meanwhile waits behind, in order.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from ..shared.codec import MalformedBytes, WireFormat, unpack_publication
from ..shared.messages import Publication
from .framing import frame_ready, frames_of
from .hub import Hub, Roster
from .outbox import Outbox

SLICE = 4096
"""Sockets served in one turn of the event loop: about 5 ms."""
BACKLOG_MAX_BYTES = 8 * 1024 * 1024
"""Of frames that wait for slices. Beyond it the link stops reading until it has halved."""

_log = structlog.get_logger("tannoy.relay")


_NOBODY: dict[Outbox, int] = {}


class _Batch:
    """What one read of the link brought in for a channel; framed once per wire format, however many get it."""

    __slots__ = ("_frames", "excluded", "publications", "version")

    def __init__(self, publications: list[Publication]) -> None:
        self.publications = publications
        self.excluded = {publication.exclude for publication in publications if publication.exclude}
        self.version = max([publication.version for publication in publications])  # 0: no presence events
        self._frames: dict[WireFormat, bytes] = {}

    def frames(self, wire: WireFormat) -> bytes:
        frames = self._frames.get(wire)
        if frames is None:
            frames = b"".join([frame_ready(publication.ready, wire) for publication in self.publications])
            self._frames[wire] = frames
        return frames

    def frames_for(self, session_id: str, seen: int, wire: WireFormat) -> bytes:
        """Without what excludes the session, and without presence events up to version `seen`."""
        return frames_of([p for p in self.publications if not 0 < p.version <= seen], wire, session_id)

    def __len__(self) -> int:
        return len(self.publications)

    @property
    def size(self) -> int:
        return sum(len(publication.ready.json) for publication in self.publications)


class _Sweep:
    """A large roster that is being served: the sockets still to come, and the batches behind this one."""

    __slots__ = ("batch", "behind", "left")

    def __init__(self, batch: _Batch, left: list[tuple[WireFormat, Outbox]]) -> None:
        self.batch = batch
        self.left = left
        self.behind: deque[_Batch] = deque()


class Relay:
    """Serves the hub's rosters. `pause_link` and `resume_link` are called to bound what waits; `before_slice` before
    each slice, since time has passed: it may close those that must not be served any more."""

    def __init__(
        self,
        hub: Hub,
        *,
        pause_link: Callable[[], None],
        resume_link: Callable[[], None],
        before_slice: Callable[[], object] = lambda: None,
        slice_size: int = SLICE,
    ) -> None:
        self._hub = hub
        self._pause_link = pause_link
        self._resume_link = resume_link
        self._before_slice = before_slice
        self._slice = slice_size
        self._sweeps: dict[bytes, _Sweep] = {}
        self._backlog_bytes = 0
        self._link_paused = False
        self._messages = 0
        self._deliveries = 0
        self._malformed = 0

    def deliver(self, batch: list[tuple[bytes, bytes]]) -> None:
        """Deliveries in the order of the bus: (channel address, envelope)."""
        by_channel: dict[bytes, list[Publication]] = {}
        for address, payload in batch:
            if address not in self._hub.rosters:
                continue
            try:
                by_channel.setdefault(address, []).append(unpack_publication(payload))
            except MalformedBytes as error:
                self._malformed += 1
                _log.warning("dropped a delivery", error=str(error))
        for address, publications in by_channel.items():
            self._messages += len(publications)
            roster = self._hub.rosters.get(address)
            if roster is not None:
                self._serve(roster, _Batch(publications))

    def _serve(self, roster: Roster, batch: _Batch) -> None:
        sweep = self._sweeps.get(roster.channel.address)
        if sweep is not None:
            sweep.behind.append(batch)
            self._wait_for(batch)
        elif len(roster) > self._slice:
            self._sweeps[roster.channel.address] = self._sweep(roster, batch)
            self._wait_for(batch)
            self._next_slice(roster.channel.address)
        else:
            roster.began(batch.publications)
            for wire, outboxes in tuple(roster.outboxes.items()):
                self._write(roster, wire, tuple(outboxes), batch)
            self._ended(roster, batch)

    def _write(self, roster: Roster, wire: WireFormat, outboxes: tuple[Outbox, ...], batch: _Batch) -> None:
        """The loop that everything else is for. The tuple: a write may make an outbox leave its roster."""
        frames = batch.frames(wire)
        self._deliveries += len(outboxes) * len(batch)
        unseen = roster.unseen if batch.version else _NOBODY
        if not (batch.excluded or unseen):
            for outbox in outboxes:
                outbox.write(frames)
            return
        for outbox in outboxes:
            if outbox not in unseen and outbox.session_id not in batch.excluded:
                outbox.write(frames)
            elif own := batch.frames_for(outbox.session_id, unseen.get(outbox, 0), wire):
                outbox.write(own)

    def _ended(self, roster: Roster, batch: _Batch) -> None:
        if batch.version:
            roster.ended(batch.version)

    # ---- slices

    def _sweep(self, roster: Roster, batch: _Batch) -> _Sweep:
        roster.began(batch.publications)
        return _Sweep(batch, [(wire, outbox) for wire, boxes in roster.outboxes.items() for outbox in boxes])

    def _next_slice(self, address: bytes) -> None:
        self._before_slice()
        sweep = self._sweeps[address]
        now, sweep.left = sweep.left[: self._slice], sweep.left[self._slice :]
        roster = self._hub.rosters.get(address)
        if roster is not None:
            self._write_slice(roster, now, sweep.batch)
        if not sweep.left:
            self._waited_for(sweep.batch)
            if roster is not None:
                self._ended(roster, sweep.batch)
            if roster is None or not sweep.behind:
                for batch in sweep.behind:
                    self._waited_for(batch)
                del self._sweeps[address]
                return
            behind, next_batch = sweep.behind, _Batch([p for batch in sweep.behind for p in batch.publications])
            behind.clear()
            self._sweeps[address] = self._sweep(roster, next_batch)
        asyncio.get_running_loop().call_soon(self._next_slice, address)

    def _write_slice(self, roster: Roster, sockets: list[tuple[WireFormat, Outbox]], batch: _Batch) -> None:
        for wire, outboxes in tuple(roster.outboxes.items()):
            # Whoever has left since the sweep began hears nothing more.
            still_here = tuple(outbox for its, outbox in sockets if its is wire and outbox in outboxes)
            if still_here:
                self._write(roster, wire, still_here, batch)

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

    def statistics(self) -> dict[str, int | bool]:
        return {
            "messages": self._messages,
            "deliveries": self._deliveries,
            "malformed": self._malformed,
            "backlog_bytes": self._backlog_bytes,
            "link_paused": self._link_paused,
        }
