"""All cursors of this node: what the link brings goes through them, and the holes they find are filled from the log.

A hole shows itself when the next message comes. For the last message of all there is none; so each second the heads of
all channels are read, and after that the link's nonce is awaited (`Link.proof`). What was published up to a head has
come before the nonce, or it never will: a cursor behind its head is then a hole, proven without a guess about time.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

import structlog

from ...shared.channels import Channel
from ...shared.clock import Clock
from ...shared.errors import MalformedBytes, Unavailable
from ...shared.protocol.codec import encode_frame
from ...shared.protocol.frames import Resync
from ...shared.publication import Position, Publication
from ..pubsub.envelope import unpack_delivery
from ..pubsub.link_state import Batch
from .cursor import Cursor, CursorState
from .reader import HistoryPage, HistoryReader, read_head

BARRIER_PERIOD = 1.0
"""Seconds between two comparisons of all heads."""
AT_ONCE = 64
"""Holes that are filled at the same time; more wait, so that their answers do not pile up here."""
FILL_DEADLINE = 2.0
"""Seconds in which a hole has to be filled, from when it was found. Live messages wait behind it."""
FILL_AGAIN_AFTER = 0.1
RENEW_EVERY = 600.0
"""Seconds between two renewals of the heads' time to live."""
PIECE = 512
"""Heads that are read with one command."""

Deliveries = list[tuple[bytes, Publication]]
"""What may go to the sockets, in order: (address of the channel, publication)."""

_log = structlog.get_logger("tannoy.history")


class Listening(Protocol):
    """The link, as seen from here."""

    def send_barrier(self, partition: int) -> asyncio.Future[bool]: ...


class TrackedChannel:
    """A channel with its cursor, and since when a hole in it is being filled."""

    __slots__ = ("channel", "cursor", "is_asked", "since")

    def __init__(self, channel: Channel, cursor: Cursor) -> None:
        self.channel = channel
        self.cursor = cursor
        self.since: float | None = None
        self.is_asked = False  # in the queue, or being read


class ChannelTracker:
    """Needs `run` running. `deliver` gets what has no hole."""

    def __init__(
        self, history: HistoryReader, link: Listening, *, clock: Clock, deliver: Callable[[Deliveries], None]
    ) -> None:
        self._history = history
        self._link = link
        self._clock = clock
        self._deliver = deliver
        self._tracked: dict[bytes, TrackedChannel] = {}
        self._queue: deque[TrackedChannel] = deque()
        self._reading = 0
        self._hurry = asyncio.Event()
        self._filled_slowest = 0.0
        self._counts = dict.fromkeys(("malformed", "duplicates", "holes", "filled", "resyncs", "barriers", "proven"), 0)

    # ---- which channels

    def follow(self, channel: Channel) -> None:
        """From now on the link is to bring what this channel says."""
        if self._history.is_kept and channel.address not in self._tracked:
            self._tracked[channel.address] = TrackedChannel(channel, Cursor(partial(self._reset, channel)))

    def drop(self, address: bytes) -> None:
        self._tracked.pop(address, None)

    def position(self, channel: Channel) -> Position | None:
        """Up to where this node has passed the channel on; None if that is not known yet, or no history is kept."""
        tracked = self._tracked.get(channel.address)
        return None if tracked is None or tracked.cursor.state is CursorState.UNKNOWN else tracked.cursor.position

    def known(self, channel: Channel, head: Position) -> None:
        """A head that was asked for after the channel's subscription was confirmed."""
        if tracked := self._tracked.get(channel.address):
            self._pass_on(tracked, tracked.cursor.known(head))

    def unplaced(self, channel: Channel) -> None:
        """Somebody was let in without a position: as soon as it is known, the channel is told."""
        tracked = self._tracked.get(channel.address)
        if tracked is not None and tracked.cursor.state is CursorState.UNKNOWN:
            tracked.cursor.unplaced = True

    # ---- what the link brings

    def received(self, batch: Batch) -> None:
        deliveries: Deliveries = []
        tracked = self._tracked
        for address, payload in batch:
            try:
                message = unpack_delivery(payload)
            except MalformedBytes as error:
                self._counts["malformed"] += 1
                _log.warning("dropped a delivery", error=str(error))
                continue
            if message.offset == 0 or (one := tracked.get(address)) is None:
                deliveries.append((address, message))
                continue
            cursor = one.cursor
            if (
                cursor.state is CursorState.FOLLOWING
                and message.offset == cursor.offset + 1
                and message.epoch == cursor.epoch
            ):
                cursor.offset = message.offset
                deliveries.append((address, message))
            else:
                deliveries += [(address, told) for told in cursor.take(message)]
                self._look_at(one)
        self._deliver(deliveries)

    def _pass_on(self, tracked: TrackedChannel, told: list[Publication]) -> None:
        if told:
            self._deliver([(tracked.channel.address, publication) for publication in told])
        self._look_at(tracked)

    def _reset(self, channel: Channel, position: Position, reason: str) -> Publication:
        self._counts["resyncs"] += 1
        _log.warning("messages may be missing", channel=channel.name, reason=reason, offset=position.offset)
        encoded = encode_frame(Resync(channel, reason, position))
        return Publication(encoded, epoch=position.epoch, offset=position.offset, resets=True)

    # ---- holes

    def _look_at(self, tracked: TrackedChannel) -> None:
        """Has its cursor a hole, and is anybody at it?"""
        if tracked.cursor.state is not CursorState.FILLING:
            tracked.since = None
        elif not tracked.is_asked:
            if tracked.since is None:
                tracked.since = self._clock.monotonic()
                self._counts["holes"] += 1
            tracked.is_asked = True
            self._queue.append(tracked)
            self._read_next()

    def _read_next(self) -> None:
        while self._queue and self._reading < AT_ONCE:
            tracked = self._queue.popleft()
            self._reading += 1
            asked = self._history.since(tracked.channel, tracked.cursor.offset)
            asked.add_done_callback(partial(self._read, tracked, tracked.cursor.epoch))

    def _read(self, tracked: TrackedChannel, epoch: str, asked: asyncio.Future[HistoryPage]) -> None:
        self._reading -= 1
        tracked.is_asked = False
        error = asked.exception()
        if self._tracked.get(tracked.channel.address) is not tracked:
            pass  # dropped meanwhile: whoever hears the channel now hears it from another position on
        elif isinstance(error, Unavailable):
            self._read_again(tracked, error)
        elif error is not None:
            raise error
        elif tracked.cursor.epoch != epoch:
            self._look_at(tracked)  # the link was faster: what was read is of an epoch that has ended
        else:
            page = asked.result()
            self._counts["filled"] += len(page.entries)
            began = tracked.since
            self._pass_on(tracked, tracked.cursor.found(page))
            if began is not None and tracked.since is None:
                self._filled_slowest = max(self._filled_slowest, self._clock.monotonic() - began)
        self._read_next()

    def _read_again(self, tracked: TrackedChannel, error: Unavailable) -> None:
        if tracked.since is not None and self._clock.monotonic() - tracked.since > FILL_DEADLINE:
            _log.error("a hole could not be filled", channel=tracked.channel.name, error=str(error))
            self._pass_on(tracked, tracked.cursor.give_up())
        elif tracked.cursor.state is CursorState.FILLING:
            asyncio.get_running_loop().call_later(FILL_AGAIN_AFTER, self._look_at, tracked)

    # ---- the barrier

    def hurry(self) -> None:
        """The link has been away: each of its channels may have a hole."""
        self._hurry.set()

    async def run(self) -> None:
        """Compare all heads, again and again. Never ends by itself."""
        renewed = self._clock.monotonic()
        while True:
            try:
                async with asyncio.timeout(BARRIER_PERIOD):
                    await self._hurry.wait()
            except TimeoutError:
                pass
            self._hurry.clear()
            try:
                await self._barrier()
                if self._clock.monotonic() - renewed > RENEW_EVERY:
                    renewed = self._clock.monotonic()
                    await self._renew()
            except Unavailable as error:
                _log.debug("could not compare the heads", error=str(error))

    async def _barrier(self) -> None:
        """Raises Unavailable."""
        partitions = self._by_partition()
        await asyncio.gather(*(self._compare(partition, members) for partition, members in partitions.items()))
        self._counts["barriers"] += 1

    def _by_partition(self) -> dict[int, list[TrackedChannel]]:
        partitions: dict[int, list[TrackedChannel]] = {}
        for tracked in self._tracked.values():
            partitions.setdefault(tracked.channel.partition, []).append(tracked)
        return partitions

    async def _compare(self, partition: int, members: list[TrackedChannel]) -> None:
        epochs = [tracked.cursor.epoch for tracked in members]
        found: list[tuple[bytes | None, bytes | None]] = []
        for start in range(0, len(members), PIECE):
            found += await self._history.heads([tracked.channel for tracked in members[start : start + PIECE]])
        if not await self._link.send_barrier(partition):
            return
        lost: list[TrackedChannel] = []
        for tracked, epoch, (life, head) in zip(members, epochs, found, strict=True):
            if self._tracked.get(tracked.channel.address) is not tracked or tracked.cursor.epoch != epoch:
                continue  # gone, or begun anew: the head that was read says nothing about it
            position = read_head(life, head)
            if position is not None:
                self._prove(tracked, position)
            elif tracked.cursor.state is not CursorState.UNKNOWN or tracked.cursor.unplaced:
                lost.append(tracked)
        await self._begin_anew(lost)

    async def _begin_anew(self, lost: list[TrackedChannel]) -> None:
        """Their history is gone, or of a server that may have lost the end of it: a new epoch. Raises Unavailable."""
        for start in range(0, len(lost), PIECE):
            piece = lost[start : start + PIECE]
            heads = await asyncio.gather(*(self._history.head(tracked.channel) for tracked in piece))
            for tracked, head in zip(piece, heads, strict=True):
                if self._tracked.get(tracked.channel.address) is tracked:
                    self._prove(tracked, head)

    def _prove(self, tracked: TrackedChannel, head: Position) -> None:
        was_whole = tracked.cursor.state is CursorState.FOLLOWING
        self._pass_on(tracked, tracked.cursor.proven(head))
        if was_whole and tracked.cursor.state is CursorState.FILLING:
            self._counts["proven"] += 1

    async def _renew(self) -> None:
        """Raises Unavailable."""
        for members in _pieces([tracked.channel for tracked in self._tracked.values()]):
            await self._history.renew(members)

    def statistics(self) -> dict[str, int | float]:
        return {
            "followed": len(self._tracked),
            "filling": len(self._queue) + self._reading,
            "slowest_fill": round(self._filled_slowest, 3),
            **self._counts,
        }


def _pieces(channels: list[Channel]) -> Iterable[list[Channel]]:
    return (channels[start : start + PIECE] for start in range(0, len(channels), PIECE))
