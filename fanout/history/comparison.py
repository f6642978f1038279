"""The comparison of cursors with their heads in Redis: it finds the holes that no later message shows.

Each second the heads of channels whose turn it is (`tracked.py`) are read, and then the link sends a barrier
(`Link.send_barrier`). What was published up to a head has come before the barrier ends, or never will: a cursor behind
its head then has a hole, proven without a guess about time.

A healthy connection loses nothing: Redis closes it rather than leave a message out. So all channels are compared at
once after the link was away, and what is silent can wait for its turn otherwise.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from enum import Enum, auto
from typing import Protocol

from ...shared.channels import PARTITIONS
from ...shared.clock import Clock
from ...shared.errors import Unavailable
from ...shared.logs import get_logger
from ...shared.publication import Position, Publication
from ...shared.waiting import wait_up_to
from ..batches import batched
from ..redis.pipeline import CommandSender
from .cursor import Cursor, CursorState, TrackedChannel
from .reader import HistoryReader, read_head
from .tracked import ComparisonSchedule, Rotation, TrackedChannels

BARRIER_PERIOD = 1.0
"""Seconds between two comparisons."""
RENEW_EVERY = 600.0
"""Seconds in which the time to live of each head is renewed once; it is an hour or more."""
HEADS_AT_ONCE = 256
"""Heads that are read and judged together: so much one turn of the event loop has to do."""

_log = get_logger("tannoy.history")


class BarrierSender(Protocol):
    """What the comparison needs of the link."""

    def send_barrier(self, partition: int) -> asyncio.Future[bool]: ...


class HeadVerdict(Enum):
    """What a head in Redis says about the cursor of its channel, once a barrier has ended that began after the read."""

    IGNORED = auto()  # nothing
    VALID = auto()  # all messages up to it came, or were lost on the way
    MISSING = auto()  # it is gone, or of a server that may have lost the end of it: a new epoch begins
    DATA_LOST = auto()  # Redis has lost messages that the cursor has delivered: the epoch ends


def judge_head(cursor: Cursor, before: Position, head: Position | None) -> HeadVerdict:
    """Decide what a head says about a cursor. `before`: the cursor's position when the head was read."""
    if cursor.epoch != before.epoch:
        return HeadVerdict.IGNORED
    if head is None:
        # A channel whose position nobody knows or waits for gets a head with its next join.
        is_needed = cursor.state is not CursorState.UNKNOWN or cursor.reset_on_start
        return HeadVerdict.MISSING if is_needed else HeadVerdict.IGNORED
    if head.epoch == before.epoch and (head.offset < before.offset or cursor.has_lost_data):
        return HeadVerdict.DATA_LOST
    return HeadVerdict.VALID


class HeadComparison:
    """Needs `run` running. `deliver` gets what a cursor returns for its head; `each_period` is awaited in each period.

    `channels` and `schedule` are those of the tracker, and change while heads are read.
    """

    def __init__(
        self,
        history: HistoryReader,
        link: BarrierSender,
        channels: TrackedChannels,
        schedule: ComparisonSchedule,
        *,
        clock: Clock,
        deliver: Callable[[TrackedChannel, list[Publication]], None],
        each_period: Callable[[], Awaitable[None]],
    ) -> None:
        self.barriers = 0
        """Comparisons in which Redis has answered all questions."""
        self.proven = 0
        """Holes that only a barrier has found."""
        self._history = history
        self._link = link
        self._channels = channels
        self._schedule = schedule
        self._clock = clock
        self._deliver = deliver
        self._each_period = each_period
        self._is_due = asyncio.Event()
        self._renewal = Rotation(channels)
        self._to_renew = 0.0

    def compare_soon(self, tracked: TrackedChannel) -> None:
        """The channel may have a hole: do not wait for the next BARRIER_PERIOD."""
        self._schedule.mark((tracked,))
        self._is_due.set()

    def compare_partitions_soon(self, partitions: Collection[int] = range(PARTITIONS)) -> None:
        """Each channel of these partitions may have a hole."""
        self._schedule.mark_partitions(partitions)
        self._is_due.set()

    async def run(self) -> None:
        """Compare heads, again and again. Never returns."""
        rotated = self._clock.monotonic()
        while True:
            await wait_up_to(BARRIER_PERIOD, self._is_due)
            is_rotations_turn = not self._is_due.is_set() or self._clock.monotonic() - rotated >= BARRIER_PERIOD
            self._is_due.clear()
            is_complete = await self._compare_partitions()
            self.barriers += await self._compare_next(is_rotations_turn) and is_complete
            if is_rotations_turn:
                rotated = self._clock.monotonic()
                await self._renew()
                await self._each_period()

    async def _compare_partitions(self) -> bool:
        """Compare all channels of the partitions that are marked. Returns whether that was possible."""
        partitions = self._schedule.take_partitions()
        failed = await self._compare(self._channels.of_partitions(sorted(partitions)))
        self._schedule.mark_partitions(failed)
        return not failed

    async def _compare_next(self, is_rotations_turn: bool) -> bool:
        """Compare the channels that are due, and those whose turn it is. Returns whether that was possible."""
        due = self._schedule.take_due()
        others = self._schedule.take_in_rotation(beside=due) if is_rotations_turn else []
        failed = await self._compare(due + others)
        self._schedule.mark(tracked for tracked in due if tracked.partition in failed)
        return not failed

    async def _compare(self, channels: Iterable[TrackedChannel]) -> set[int]:
        """Returns the partitions in which heads could not be compared; those left there are not tried any more."""
        failed: set[int] = set()
        for piece in batched(channels, HEADS_AT_ONCE):
            partitions = _group_by_partition(tracked for tracked in piece if tracked.partition not in failed)
            compared = await asyncio.gather(*(self._compare_partition(*each) for each in partitions.items()))
            failed.update(part for part, is_compared in zip(partitions, compared, strict=True) if not is_compared)
        return failed

    async def _compare_partition(self, partition: int, members: list[TrackedChannel]) -> bool:
        """Compare these channels of one partition with their heads. Returns whether that was possible."""
        try:
            return await self._judge(partition, members)
        except Unavailable as error:
            _log.debug("could not compare the heads", partition=partition, error=str(error))
            return False

    async def _judge(self, partition: int, members: list[TrackedChannel]) -> bool:
        """Raises Unavailable. Returns whether the barrier ended."""
        positions = [tracked.cursor.position for tracked in members]
        strayed = [tracked.strayed for tracked in members]
        heads = await self._history.heads([tracked.channel for tracked in members])
        if not await self._link.send_barrier(partition):
            return False
        missing: list[TrackedChannel] = []
        lost: list[TrackedChannel] = []
        for tracked, before, stray, stored in zip(members, positions, strayed, heads, strict=True):
            head = read_head(stored)
            if _says_nothing(tracked, head) or not self._channels.is_tracked(tracked):
                continue
            verdict = judge_head(tracked.cursor, before, head)
            if verdict is HeadVerdict.MISSING:
                missing.append(tracked)
            elif verdict is HeadVerdict.DATA_LOST:
                lost.append(tracked)
            elif verdict is HeadVerdict.VALID and head is not None:
                self._apply(tracked, head)
                if stray is not None and stray == tracked.strayed:
                    self._lead_back(tracked, before.epoch)
            if verdict is not HeadVerdict.VALID and stray == tracked.strayed:
                tracked.strayed = None  # a `resync` has led all sessions to the cursor, or will
            if tracked.strayed is not None:
                self._schedule.mark((tracked,))
        self._schedule.mark(missing + lost)  # until it is known that the new epoch has begun
        if lost:
            await self._end_epochs(lost)
        await self._begin_epochs(missing + lost)
        return True

    def _lead_back(self, tracked: TrackedChannel, epoch: str) -> None:
        """A session had begun in another epoch before heads were compared. `epoch`: that of the cursor, until then.

        Where it is the present one still, the other was read on a server that the link has left: a `resync` leads the
        session, and all others of the channel, to where the cursor is.
        """
        cursor = tracked.cursor
        if cursor.state is CursorState.FILLING:
            return  # the next comparison of the channel does it
        is_former = cursor.epoch == epoch != tracked.strayed
        tracked.strayed = None
        if is_former:
            self._deliver(tracked, [cursor.resync()])

    async def _end_epochs(self, lost: list[TrackedChannel]) -> None:
        """End the epochs of the partition in which these channels lie. Raises Unavailable.

        A server that can't be told from the one before has older data, so nothing in it goes on in its epoch.
        """
        first = lost[0]
        _log.error("Redis has lost messages: new epochs begin", channel=first.channel.name, offset=first.cursor.offset)
        await self._history.end_epochs(first.channel, first.cursor.epoch)
        self._schedule.mark_partitions((first.partition,))

    async def end_lost_epochs(self, commands: CommandSender, partitions: Collection[int]) -> None:
        """To be called before a new connection is used: its server may lack messages that were delivered here.

        Where it tells no replication id, nothing else shows that in time, and it would give their offsets to others.
        Raises what `commands` raises.
        """
        for partition in partitions:
            for batch in batched(self._channels.of_partition(partition), HEADS_AT_ONCE):
                await self._end_epochs_lacking(batch, commands)

    async def _end_epochs_lacking(self, members: Sequence[TrackedChannel], commands: CommandSender) -> None:
        positions = [tracked.cursor.position for tracked in members]
        heads = await self._history.heads([tracked.channel for tracked in members], commands)
        for tracked, before, stored in zip(members, positions, heads, strict=True):
            if judge_head(tracked.cursor, before, read_head(stored)) is HeadVerdict.DATA_LOST:
                _log.error("Redis lacks messages: new epochs begin", channel=tracked.channel.name, offset=before.offset)
                await self._history.end_epochs(tracked.channel, before.epoch, commands)
                self.compare_partitions_soon((tracked.partition,))
                return

    async def _begin_epochs(self, missing: list[TrackedChannel]) -> None:
        """Begin new epochs for channels without a head, by reading it. Raises Unavailable."""
        for batch in batched(missing, HEADS_AT_ONCE):
            heads = await asyncio.gather(*(self._history.head(tracked.channel) for tracked in batch))
            for tracked, head in zip(batch, heads, strict=True):
                if self._channels.is_tracked(tracked):
                    self._apply(tracked, head)

    def _apply(self, tracked: TrackedChannel, head: Position) -> None:
        was_following = tracked.cursor.state is CursorState.FOLLOWING
        self._deliver(tracked, tracked.cursor.handle_barrier(head))
        if was_following and tracked.cursor.state is CursorState.FILLING:
            self.proven += 1

    async def _renew(self) -> None:
        """Extend the time to live of the next heads, so that each is extended once in RENEW_EVERY."""
        self._to_renew += len(self._channels) * BARRIER_PERIOD / RENEW_EVERY
        count = int(self._to_renew)
        self._to_renew -= count
        for piece in batched(self._renewal.take(count), HEADS_AT_ONCE):
            try:
                await self._history.renew([tracked.channel for tracked in piece])
            except Unavailable as error:
                _log.debug("could not renew heads", error=str(error))


def _says_nothing(tracked: TrackedChannel, head: Position | None) -> bool:
    """Whether the cursor is where its head is: so it is with nearly all, of which there are many."""
    cursor = tracked.cursor
    return (
        head is not None
        and head.offset == cursor.offset
        and head.epoch == cursor.epoch
        and cursor.state is CursorState.FOLLOWING
        and not cursor.has_lost_data
        and tracked.strayed is None
    )


def _group_by_partition(tracked_channels: Iterable[TrackedChannel]) -> dict[int, list[TrackedChannel]]:
    partitions: dict[int, list[TrackedChannel]] = {}
    for tracked in tracked_channels:
        partitions.setdefault(tracked.partition, []).append(tracked)
    return partitions
