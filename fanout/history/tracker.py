"""The cursors of all channels of this node: live messages go through them, and their holes are filled from history.

A hole shows itself with the next message. After the last message of all there is none: `comparison.py` finds it then.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

from ...shared.channels import Channel
from ...shared.clock import Clock
from ...shared.errors import MalformedBytes, Unavailable
from ...shared.logs import get_logger
from ...shared.protocol.codec import encode_frame
from ...shared.protocol.frames import Resync
from ...shared.publication import Position, Publication
from ..pubsub.link_state import Batch
from .comparison import BarrierSender, HeadComparison
from .cursor import Cursor, CursorState, TrackedChannel
from .reader import HistoryPage, HistoryReader
from .silent_heads import SilentHeads
from .tracked import ComparisonSchedule, TrackedChannels

FILLS_AT_ONCE = 64
"""Holes that are filled at the same time; further ones wait, so that their pages do not pile up in memory."""
FILL_MAX_BYTES = 128 * 1024
"""Bytes of one read for a hole, in both wire formats; the next read goes on behind it, after those of other holes."""
FILL_DEADLINE = 2.0
"""Seconds from finding a hole until it has to be filled: live messages wait behind it."""
FILL_AGAIN_AFTER = 0.1
"""Seconds between two attempts to fill a hole."""

Deliveries = list[tuple[bytes, Publication]]
"""What may be delivered to clients, in order: (address of the channel, publication)."""

_address_of = itemgetter(0)
"""The address in a delivery of the link."""

_log = get_logger("tannoy.history")


@dataclass(frozen=True, slots=True)
class ChannelTrackerStatistics:
    followed: int
    """Channels that are tracked now."""
    filling: int
    """Holes that are being filled, or wait for that."""
    slowest_fill: float
    """Seconds that the slowest hole took to be filled."""
    malformed: int
    """Deliveries that were dropped: they can't be read, or are not sealed by this cluster."""
    holes: int
    """Holes that were found."""
    filled: int
    """Messages that were read from history to fill holes."""
    resyncs: int
    """Times that a `resync` was sent for a channel, because messages may be missing."""
    barriers: int
    """Comparisons of heads; one a second, if Redis answers."""
    proven: int
    """Holes that only a barrier has found."""


class ChannelTracker:
    """Needs `comparison.run` running. `deliver` gets messages in order and without holes."""

    def __init__(
        self, history: HistoryReader, link: BarrierSender, *, clock: Clock, deliver: Callable[[Deliveries], None]
    ) -> None:
        self._history = history
        self._clock = clock
        self._deliver = deliver
        self._channels = TrackedChannels()
        self._schedule = ComparisonSchedule(self._channels)
        self._silent_heads = SilentHeads(history, self._channels)
        self._queue: deque[TrackedChannel] = deque()
        self._reading = 0
        self._slowest_fill = 0.0
        self._malformed = 0
        self._holes = 0
        self._filled = 0
        self._resyncs = 0
        self.comparison = HeadComparison(
            history,
            link,
            self._channels,
            self._schedule,
            clock=clock,
            deliver=self._deliver_and_check,
            each_period=self._silent_heads.release,
        )

    # ---- channels

    def follow(self, channel: Channel) -> None:
        """Track a channel to which the link is being subscribed. Without history there is nothing to track."""
        if self._history.is_kept and channel.address not in self._channels.by_address:
            self._channels.add(channel, Cursor(partial(self._reset, channel)))

    def drop(self, address: bytes) -> None:
        if tracked := self._channels.drop(address):
            self._silent_heads.note_dropped(tracked)

    def position(self, channel: Channel) -> Position | None:
        """The last message of the channel that was delivered; None if it is not known yet, or no history is kept."""
        tracked = self._channels.by_address.get(channel.address)
        return None if tracked is None or tracked.cursor.state is CursorState.UNKNOWN else tracked.cursor.position

    def start_at(self, channel: Channel, head: Position) -> None:
        """The head of the channel, read after its subscription was acknowledged."""
        if tracked := self._channels.by_address.get(channel.address):
            if tracked.cursor.state is not CursorState.UNKNOWN and head.epoch != tracked.cursor.epoch:
                tracked.strayed = head.epoch
                self._schedule.mark((tracked,))
            self._deliver_and_check(tracked, tracked.cursor.start_at(head))

    def reset_on_start(self, channel: Channel) -> None:
        """A session was admitted without a position: once it is known, the channel gets a `resync`."""
        tracked = self._channels.by_address.get(channel.address)
        if tracked is not None and tracked.cursor.state is CursorState.UNKNOWN:
            tracked.cursor.reset_on_start = True
            self._schedule.mark((tracked,))

    def suspect(self, address: bytes) -> None:
        """A delivery of this channel was dropped: compare the channel with its head soon."""
        self._schedule.active.add(address)

    # ---- live messages

    def deliver_batch(self, batch: Batch) -> None:
        """Deliver the messages of one read of the link, as far as no hole is in front of them."""
        deliveries: Deliveries = []
        tracked, unpack = self._channels.by_address, self._history.envelopes.unpack
        self._schedule.active.update(map(_address_of, batch))
        for address, payload in batch:
            try:
                message = unpack(address, payload)
            except MalformedBytes as error:
                self._malformed += 1
                _log.warning("dropped a delivery", error=str(error))
                continue
            if message.offset == 0 or (one := tracked.get(address)) is None:
                deliveries.append((address, message))
                continue
            cursor = one.cursor
            # The common case of `Cursor.handle_message`, repeated here: it saves a call and a list for each message.
            if (
                cursor.state is CursorState.FOLLOWING
                and message.offset == cursor.offset + 1
                and message.epoch == cursor.epoch
            ):
                cursor.offset = message.offset
                deliveries.append((address, message))
            else:
                deliveries += [(address, publication) for publication in cursor.handle_message(message)]
                self._check_hole(one)
                if cursor.has_lost_data:
                    self.comparison.compare_soon(one)
        self._deliver(deliveries)

    def _deliver_and_check(self, tracked: TrackedChannel, publications: list[Publication]) -> None:
        if publications:
            self._deliver([(tracked.channel.address, publication) for publication in publications])
        self._check_hole(tracked)

    def _reset(self, channel: Channel, position: Position, reason: str) -> Publication:
        self._resyncs += 1
        _log.warning("messages may be missing", channel=channel.name, reason=reason, offset=position.offset)
        encoded = encode_frame(Resync(channel, reason, position))
        return Publication(encoded, epoch=position.epoch, offset=position.offset, resets=True)

    # ---- holes

    def _check_hole(self, tracked: TrackedChannel) -> None:
        """Queue the channel to be read if its cursor has a hole and is not queued yet."""
        if tracked.cursor.state is not CursorState.FILLING:
            tracked.hole_since = None
        elif not tracked.is_queued:
            if tracked.hole_since is None:
                tracked.hole_since = self._clock.monotonic()
                self._holes += 1
            tracked.is_queued = True
            self._queue.append(tracked)
            self._read_next()

    def _read_next(self) -> None:
        while self._queue and self._reading < FILLS_AT_ONCE:
            tracked = self._queue.popleft()
            self._reading += 1
            reading = self._history.since(tracked.channel, tracked.cursor.offset, FILL_MAX_BYTES)
            reading.add_done_callback(partial(self._handle_page, tracked, tracked.cursor.epoch))

    def _handle_page(self, tracked: TrackedChannel, epoch: str, reading: asyncio.Future[HistoryPage]) -> None:
        self._reading -= 1
        tracked.is_queued = False
        error = reading.exception()
        if not self._channels.is_tracked(tracked):
            pass  # it was dropped meanwhile; if it is tracked again, that is from another position on
        elif isinstance(error, Unavailable):
            self._read_again(tracked, str(error))
        elif error is not None:
            raise error
        elif tracked.cursor.epoch != epoch:
            self._check_hole(tracked)  # the link has brought a new epoch, and the page is of the old one
        elif reading.result().head.epoch != epoch:
            # Either epoch may be the former one, if this was read on another server: a barrier shows which.
            self.comparison.compare_soon(tracked)
            self._read_again(tracked, "the log is of another epoch")
        else:
            page = reading.result()
            self._filled += len(page.entries)
            hole_since = tracked.hole_since
            self._deliver_and_check(tracked, tracked.cursor.handle_page(page))
            if hole_since is not None and tracked.hole_since is None:
                self._slowest_fill = max(self._slowest_fill, self._clock.monotonic() - hole_since)
        self._read_next()

    def _read_again(self, tracked: TrackedChannel, why: str) -> None:
        if tracked.hole_since is not None and self._clock.monotonic() - tracked.hole_since > FILL_DEADLINE:
            _log.error("a hole could not be filled", channel=tracked.channel.name, error=why)
            self._deliver_and_check(tracked, tracked.cursor.give_up())
        elif tracked.cursor.state is CursorState.FILLING:
            asyncio.get_running_loop().call_later(FILL_AGAIN_AFTER, self._check_hole, tracked)

    def statistics(self) -> ChannelTrackerStatistics:
        return ChannelTrackerStatistics(
            followed=len(self._channels),
            filling=len(self._queue) + self._reading,
            slowest_fill=round(self._slowest_fill, 3),
            malformed=self._malformed,
            holes=self._holes,
            filled=self._filled,
            resyncs=self._resyncs,
            barriers=self.comparison.barriers,
            proven=self.comparison.proven,
        )
