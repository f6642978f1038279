"""The cursors of all channels of this node: live messages go through them, and their holes are filled from history.

A hole shows itself with the next message. After the last message of all there is none; so each second the heads of all
channels are read, and then the link sends a barrier (`Link.send_barrier`). What was published up to a head has come
before the barrier ends, or never will: a cursor behind its head then has a hole, proven without a guess about time.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from ...shared.channels import Channel
from ...shared.clock import Clock
from ...shared.errors import MalformedBytes, Unavailable
from ...shared.protocol.codec import encode_frame
from ...shared.protocol.frames import Resync
from ...shared.publication import Position, Publication
from ..batches import batched
from ..pubsub.envelope import unpack_delivery
from ..pubsub.link_state import Batch
from .cursor import Cursor, CursorState
from .reader import HistoryPage, HistoryReader, StoredHead, read_head

BARRIER_PERIOD = 1.0
"""Seconds between two comparisons of all heads."""
FILLS_AT_ONCE = 64
"""Holes that are filled at the same time; further ones wait, so that their pages do not pile up in memory."""
FILL_DEADLINE = 2.0
"""Seconds from finding a hole until it has to be filled: live messages wait behind it."""
FILL_AGAIN_AFTER = 0.1
"""Seconds between two attempts to fill a hole."""
RENEW_EVERY = 600.0
"""Seconds between two renewals of the heads' time to live, which is an hour or more."""
HEADS_PER_COMMAND = 512
"""Heads that are read with one command."""

Deliveries = list[tuple[bytes, Publication]]
"""What may be delivered to clients, in order: (address of the channel, publication)."""

_log = structlog.get_logger("tannoy.history")


class BarrierSender(Protocol):
    """What the tracker needs of the link."""

    def send_barrier(self, partition: int) -> asyncio.Future[bool]: ...


class TrackedChannel:
    """A channel with its cursor, and the state of the hole that is being filled."""

    __slots__ = ("channel", "cursor", "hole_since", "is_queued")

    def __init__(self, channel: Channel, cursor: Cursor) -> None:
        self.channel = channel
        self.cursor = cursor
        self.hole_since: float | None = None  # monotonic seconds; None: there is no hole
        self.is_queued = False  # its history is being read, or will be


@dataclass(frozen=True, slots=True)
class ChannelTrackerStatistics:
    followed: int
    """Channels that are tracked now."""
    filling: int
    """Holes that are being filled, or wait for that."""
    slowest_fill: float
    """Seconds that the slowest hole took to be filled."""
    malformed: int
    """Deliveries that could not be read, and were dropped."""
    holes: int
    """Holes that were found."""
    filled: int
    """Messages that were read from history to fill holes."""
    resyncs: int
    """Times that a `resync` was sent for a channel, because messages may be missing."""
    barriers: int
    """Comparisons of all heads."""
    proven: int
    """Holes that only a barrier has found."""


class ChannelTracker:
    """Needs `run` running. `deliver` gets messages in order and without holes."""

    def __init__(
        self, history: HistoryReader, link: BarrierSender, *, clock: Clock, deliver: Callable[[Deliveries], None]
    ) -> None:
        self._history = history
        self._link = link
        self._clock = clock
        self._deliver = deliver
        self._tracked: dict[bytes, TrackedChannel] = {}
        self._queue: deque[TrackedChannel] = deque()
        self._reading = 0
        self._barrier_due = asyncio.Event()
        self._slowest_fill = 0.0
        self._malformed = 0
        self._holes = 0
        self._filled = 0
        self._resyncs = 0
        self._barriers = 0
        self._proven = 0

    # ---- channels

    def follow(self, channel: Channel) -> None:
        """Track a channel to which the link is being subscribed. Without history there is nothing to track."""
        if self._history.is_kept and channel.address not in self._tracked:
            self._tracked[channel.address] = TrackedChannel(channel, Cursor(partial(self._reset, channel)))

    def drop(self, address: bytes) -> None:
        self._tracked.pop(address, None)

    def position(self, channel: Channel) -> Position | None:
        """The last message of the channel that was delivered; None if it is not known yet, or no history is kept."""
        tracked = self._tracked.get(channel.address)
        return None if tracked is None or tracked.cursor.state is CursorState.UNKNOWN else tracked.cursor.position

    def start_at(self, channel: Channel, head: Position) -> None:
        """The head of the channel, read after its subscription was acknowledged."""
        if tracked := self._tracked.get(channel.address):
            self._deliver_and_check(tracked, tracked.cursor.start_at(head))

    def reset_on_start(self, channel: Channel) -> None:
        """A session was admitted without a position: once it is known, the channel gets a `resync`."""
        tracked = self._tracked.get(channel.address)
        if tracked is not None and tracked.cursor.state is CursorState.UNKNOWN:
            tracked.cursor.reset_on_start = True

    # ---- live messages

    def deliver_batch(self, batch: Batch) -> None:
        """Deliver the messages of one read of the link, as far as no hole is in front of them."""
        deliveries: Deliveries = []
        tracked = self._tracked
        for address, payload in batch:
            try:
                message = unpack_delivery(payload)
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
                    self._barrier_due.set()
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
            reading = self._history.since(tracked.channel, tracked.cursor.offset)
            reading.add_done_callback(partial(self._handle_page, tracked, tracked.cursor.epoch))

    def _handle_page(self, tracked: TrackedChannel, epoch: str, reading: asyncio.Future[HistoryPage]) -> None:
        self._reading -= 1
        tracked.is_queued = False
        error = reading.exception()
        if self._tracked.get(tracked.channel.address) is not tracked:
            pass  # it was dropped meanwhile; if it is tracked again, that is from another position on
        elif isinstance(error, Unavailable):
            self._read_again(tracked, error)
        elif error is not None:
            raise error
        elif tracked.cursor.epoch != epoch:
            self._check_hole(tracked)  # the link has brought a new epoch, and the page is of the old one
        else:
            page = reading.result()
            self._filled += len(page.entries)
            hole_since = tracked.hole_since
            self._deliver_and_check(tracked, tracked.cursor.handle_page(page))
            if hole_since is not None and tracked.hole_since is None:
                self._slowest_fill = max(self._slowest_fill, self._clock.monotonic() - hole_since)
        self._read_next()

    def _read_again(self, tracked: TrackedChannel, error: Unavailable) -> None:
        if tracked.hole_since is not None and self._clock.monotonic() - tracked.hole_since > FILL_DEADLINE:
            _log.error("a hole could not be filled", channel=tracked.channel.name, error=str(error))
            self._deliver_and_check(tracked, tracked.cursor.give_up())
        elif tracked.cursor.state is CursorState.FILLING:
            asyncio.get_running_loop().call_later(FILL_AGAIN_AFTER, self._check_hole, tracked)

    # ---- the barrier

    def compare_soon(self) -> None:
        """The link was away, so each of its channels may have a hole: do not wait for the next BARRIER_PERIOD."""
        self._barrier_due.set()

    async def run(self) -> None:
        """Compare all heads, again and again. Never returns."""
        renewed = self._clock.monotonic()
        while True:
            try:
                async with asyncio.timeout(BARRIER_PERIOD):
                    await self._barrier_due.wait()
            except TimeoutError:
                pass
            self._barrier_due.clear()
            try:
                await self._compare_all()
                if self._clock.monotonic() - renewed > RENEW_EVERY:
                    renewed = self._clock.monotonic()
                    await self._renew()
            except Unavailable as error:
                _log.debug("could not compare the heads", error=str(error))

    async def _compare_all(self) -> None:
        """Raises Unavailable."""
        partitions = self._by_partition()
        await asyncio.gather(*(self._compare(partition, members) for partition, members in partitions.items()))
        self._barriers += 1

    def _by_partition(self) -> dict[int, list[TrackedChannel]]:
        partitions: dict[int, list[TrackedChannel]] = {}
        for tracked in self._tracked.values():
            partitions.setdefault(tracked.channel.partition, []).append(tracked)
        return partitions

    async def _compare(self, partition: int, members: list[TrackedChannel]) -> None:
        """Compare the channels of one partition with their heads. Raises Unavailable."""
        positions = [tracked.cursor.position for tracked in members]
        heads: list[StoredHead] = []
        for batch in batched(members, HEADS_PER_COMMAND):
            heads += await self._history.heads([tracked.channel for tracked in batch])
        if not await self._link.send_barrier(partition):
            return
        headless: list[TrackedChannel] = []
        overtaken: list[TrackedChannel] = []
        for tracked, position, stored in zip(members, positions, heads, strict=True):
            if self._tracked.get(tracked.channel.address) is not tracked or tracked.cursor.epoch != position.epoch:
                continue  # dropped, or in a new epoch: the head that was read says nothing about it
            head = read_head(stored)
            if head is None:
                if tracked.cursor.state is not CursorState.UNKNOWN or tracked.cursor.reset_on_start:
                    headless.append(tracked)
            elif head.epoch == position.epoch and (head.offset < position.offset or tracked.cursor.has_lost_data):
                overtaken.append(tracked)
            else:
                self._prove(tracked, head)
        if overtaken:
            await self._end_epochs(overtaken)
        await self._restart(headless + overtaken)

    async def _end_epochs(self, overtaken: list[TrackedChannel]) -> None:
        """Redis has lost messages that these channels have delivered: a server that can't be told from the one before
        has older data. So nothing in their partition goes on in its epoch. Raises Unavailable.
        """
        first = overtaken[0]
        _log.error("Redis has lost messages: new epochs begin", channel=first.channel.name, offset=first.cursor.offset)
        await self._history.end_epochs(first.channel, first.cursor.epoch)

    async def _restart(self, headless: list[TrackedChannel]) -> None:
        """Begin new epochs for channels without a head: it is gone, or of a server that may have lost the end of it.

        Raises Unavailable.
        """
        for batch in batched(headless, HEADS_PER_COMMAND):
            heads = await asyncio.gather(*(self._history.head(tracked.channel) for tracked in batch))
            for tracked, head in zip(batch, heads, strict=True):
                if self._tracked.get(tracked.channel.address) is tracked:
                    self._prove(tracked, head)

    def _prove(self, tracked: TrackedChannel, head: Position) -> None:
        was_following = tracked.cursor.state is CursorState.FOLLOWING
        self._deliver_and_check(tracked, tracked.cursor.handle_barrier(head))
        if was_following and tracked.cursor.state is CursorState.FILLING:
            self._proven += 1

    async def _renew(self) -> None:
        """Raises Unavailable."""
        for channels in batched([tracked.channel for tracked in self._tracked.values()], HEADS_PER_COMMAND):
            await self._history.renew(channels)

    def statistics(self) -> ChannelTrackerStatistics:
        return ChannelTrackerStatistics(
            followed=len(self._tracked),
            filling=len(self._queue) + self._reading,
            slowest_fill=round(self._slowest_fill, 3),
            malformed=self._malformed,
            holes=self._holes,
            filled=self._filled,
            resyncs=self._resyncs,
            barriers=self._barriers,
            proven=self._proven,
        )
