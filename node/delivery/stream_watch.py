"""What a node asks Redis about the streams of its channels, and what it says: how many of its sessions listen.

Asked are the open streams of a channel when its first session joins, and again after the link was away; and how one
stream stands where pieces of it are missing, or nothing was heard of it for longer than its producer may be silent. The
answers are delivered like what the link brings.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ...fanout.batches import batched
from ...fanout.history.tracker import Deliveries
from ...fanout.streams.reading import LISTENERS_PERIOD, StreamReading
from ...fanout.streams.stored import StoredStream
from ...shared.channels import Channel
from ...shared.clock import Clock
from ...shared.errors import Unavailable
from ...shared.names import StreamId
from ...shared.publication import EncodedMessage
from ...shared.streams import StreamPublication, StreamRead
from ...shared.waiting import wait_up_to
from .hub import Hub
from .roster import Roster

READ_AGAIN_AFTER = 0.5
"""Seconds between two tries to ask, while Redis does not answer."""
READS_AT_ONCE = 16
"""Streams that are read at the same time: each answer may have STREAM_MAX_BYTES."""
CHANNELS_AT_ONCE = 256
"""Channels whose open streams are asked for in one turn of the event loop, after the link was away."""
SILENT_EXTRA = 5.0
"""Seconds beyond the time-out of streams after which a node asks by itself: it may have missed that one is lost."""

_NOTHING = EncodedMessage(b"", b"")


@dataclass(frozen=True, slots=True)
class StreamWatchStatistics:
    channels: int
    """Channels with streams that are open, and sessions of this node."""
    streams: int
    """Their open streams."""
    text_bytes: int
    """Bytes of their text that this node holds."""
    reads: int
    """Streams that were read from Redis since the start."""
    waiting: int
    """Streams that are to be read."""


class StreamWatch:
    """Needs `run` running. `deliver` gets the answers; `timeout` is that of streams, in seconds."""

    def __init__(
        self, hub: Hub, reading: StreamReading, clock: Clock, deliver: Callable[[Deliveries], None], timeout: float
    ) -> None:
        self._hub = hub
        self._reading = reading
        self._clock = clock
        self._deliver = deliver
        self._silent_after = timeout + SILENT_EXTRA
        self._active: dict[bytes, Roster] = {}
        self._to_read: dict[tuple[Channel, StreamId], None] = {}
        self._being_read: set[tuple[Channel, StreamId]] = set()
        self._reads = 0
        self._was_away = False
        self._is_due = asyncio.Event()

    # ---- asking

    def look_at(self, channel: Channel) -> None:
        """A session joins: ask for the open streams of its channel, if that was not done for its roster."""
        roster = self._hub.rosters[channel.address]
        if not roster.streams_asked:
            roster.streams_asked = True
            self._list(roster)

    def ask(self, channel: Channel, stream_id: StreamId) -> None:
        """Read how a stream stands, soon, and deliver it."""
        self._to_read[channel, stream_id] = None
        self._read_next()

    def on_first(self, roster: Roster) -> None:
        """A stream is open in a channel that had none: say who listens."""
        if self._active.setdefault(roster.channel.address, roster) is not roster:
            self._active[roster.channel.address] = roster
        asyncio.get_running_loop().call_soon(self._tell, roster)

    def on_live(self) -> None:
        """The link was away: each channel may have missed pieces, and the beginning of streams."""
        self._was_away = True
        self._is_due.set()

    def _list(self, roster: Roster) -> None:
        self._reading.list_open(roster.channel).add_done_callback(partial(self._on_listed, roster))

    def _on_listed(self, roster: Roster, listed: "asyncio.Future[list[StreamId]]") -> None:
        if listed.cancelled() or self._hub.rosters.get(roster.channel.address) is not roster:
            return
        error = listed.exception()
        if isinstance(error, Unavailable):
            asyncio.get_running_loop().call_later(READ_AGAIN_AFTER, self._list_again, roster)
        elif error is not None:
            raise error
        else:
            for stream_id in listed.result():
                if roster.streams is None or stream_id not in roster.streams.views:
                    self.ask(roster.channel, stream_id)

    def _list_again(self, roster: Roster) -> None:
        if self._hub.rosters.get(roster.channel.address) is roster:
            self._list(roster)

    def _read_next(self) -> None:
        while self._to_read and len(self._being_read) < READS_AT_ONCE:
            stream = next((each for each in self._to_read if each not in self._being_read), None)
            if stream is None:
                return
            del self._to_read[stream]
            self._being_read.add(stream)
            self._reads += 1
            self._reading.read(*stream).add_done_callback(partial(self._on_read, stream))

    def _on_read(self, stream: tuple[Channel, StreamId], read: "asyncio.Future[StoredStream | None]") -> None:
        self._being_read.discard(stream)
        channel, stream_id = stream
        if read.cancelled():
            return
        error = read.exception()
        if isinstance(error, Unavailable):
            asyncio.get_running_loop().call_later(READ_AGAIN_AFTER, self._ask_again, channel, stream_id)
        elif error is not None:
            raise error
        elif (event := _event_of(stream_id, read.result())) is not None:
            self._deliver([(channel.address, StreamPublication(encoded=_NOTHING, event=event))])
        self._read_next()

    def _ask_again(self, channel: Channel, stream_id: StreamId) -> None:
        if channel.address in self._hub.rosters:
            self.ask(channel, stream_id)

    # ---- saying who listens, and looking after streams that are silent

    async def run(self) -> None:
        while True:
            await wait_up_to(LISTENERS_PERIOD, self._is_due)
            self._is_due.clear()
            if self._was_away:
                self._was_away = False
                await self._look_at_all()
            now = self._clock.monotonic()
            for roster in tuple(self._active.values()):
                self._tell(roster)
                self._ask_for_silent(roster, now)

    async def _look_at_all(self) -> None:
        for rosters in batched(tuple(self._hub.rosters.values()), CHANNELS_AT_ONCE):
            for roster in rosters:
                if roster.streams is not None:
                    roster.streams.ask_all()
                self._list(roster)
            await asyncio.sleep(0)

    def _tell(self, roster: Roster) -> None:
        address = roster.channel.address
        is_there = self._hub.rosters.get(address) is roster
        if not (is_there and roster.streams is not None and roster.streams.views):
            if self._active.get(address) is roster:
                del self._active[address]
        elif len(roster):
            self._reading.tell_listeners(roster.channel, len(roster)).add_done_callback(_ignore)

    def _ask_for_silent(self, roster: Roster, now: float) -> None:
        for stream_id, view in () if roster.streams is None else tuple(roster.streams.views.items()):
            if now - view.heard_at > self._silent_after:
                view.heard_at = now
                self.ask(roster.channel, stream_id)

    def statistics(self) -> StreamWatchStatistics:
        views = [view for each in self._active.values() if each.streams for view in each.streams.views.values()]
        return StreamWatchStatistics(
            channels=len(self._active),
            streams=len(views),
            text_bytes=sum(map(len, views)),
            reads=self._reads,
            waiting=len(self._to_read),
        )


def _event_of(stream_id: StreamId, stored: StoredStream | None) -> StreamRead | None:
    """What is delivered of an answer. None: Redis has lost its text, and whoever notices next will end the stream."""
    if stored is None:
        return StreamRead(stream_id)
    if stored.has_lost_text and stored.status is None:
        return None
    return StreamRead(stream_id, stored.snapshot, stored.status, stored.position)


def _ignore(told: "asyncio.Future[int]") -> None:
    """What Redis has not taken is said again soon."""
    if not told.cancelled() and not isinstance(error := told.exception(), (Unavailable, type(None))):
        raise error
