"""The comparison of all cursors with their heads in Redis: it finds the holes that no later message shows.

Each second the heads of all channels are read, and then the link sends a barrier (`Link.send_barrier`). What was
published up to a head has come before the barrier ends, or never will: a cursor behind its head then has a hole, proven
without a guess about time.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Protocol

import structlog

from ...shared.clock import Clock
from ...shared.errors import Unavailable
from ...shared.publication import Position, Publication
from ...shared.waiting import wait_up_to
from ..batches import batched
from ..redis.pipeline import CommandSender
from .cursor import Cursor, CursorState, TrackedChannel
from .reader import HistoryReader, StoredHead, read_head

BARRIER_PERIOD = 1.0
"""Seconds between two comparisons of all heads."""
RENEW_EVERY = 600.0
"""Seconds between two renewals of the heads' time to live, which is an hour or more."""
HEADS_PER_COMMAND = 512
"""Heads that are read with one command."""

_log = structlog.get_logger("tannoy.history")


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
    """Needs `run` running. `deliver` gets what a cursor returns for its head.

    `tracked_channels` is the tracker's own mapping, by address: it changes while heads are read.
    """

    def __init__(
        self,
        history: HistoryReader,
        link: BarrierSender,
        tracked_channels: Mapping[bytes, TrackedChannel],
        *,
        clock: Clock,
        deliver: Callable[[TrackedChannel, list[Publication]], None],
    ) -> None:
        self.barriers = 0
        """Comparisons of all heads."""
        self.proven = 0
        """Holes that only a barrier has found."""
        self._history = history
        self._link = link
        self._tracked = tracked_channels
        self._clock = clock
        self._deliver = deliver
        self._is_due = asyncio.Event()

    def compare_soon(self) -> None:
        """A channel may have a hole: do not wait for the next BARRIER_PERIOD."""
        self._is_due.set()

    async def run(self) -> None:
        """Compare all heads, again and again. Never returns."""
        renewed = self._clock.monotonic()
        while True:
            await wait_up_to(BARRIER_PERIOD, self._is_due)
            self._is_due.clear()
            try:
                await self._compare_all()
                if self._clock.monotonic() - renewed > RENEW_EVERY:
                    renewed = self._clock.monotonic()
                    await self._renew()
            except Unavailable as error:
                _log.debug("could not compare the heads", error=str(error))

    async def _compare_all(self) -> None:
        """Raises Unavailable."""
        partitions = _group_by_partition(self._tracked.values())
        await asyncio.gather(*(self._compare(partition, members) for partition, members in partitions.items()))
        self.barriers += 1

    async def _compare(self, partition: int, members: list[TrackedChannel]) -> None:
        """Compare the channels of one partition with their heads. Raises Unavailable."""
        positions = [tracked.cursor.position for tracked in members]
        strayed = [tracked.strayed for tracked in members]
        heads: list[StoredHead] = []
        for batch in batched(members, HEADS_PER_COMMAND):
            heads += await self._history.heads([tracked.channel for tracked in batch])
        if not await self._link.send_barrier(partition):
            return
        missing: list[TrackedChannel] = []
        lost: list[TrackedChannel] = []
        for tracked, before, stray, stored in zip(members, positions, strayed, heads, strict=True):
            if not self._is_tracked(tracked):
                continue
            head = read_head(stored)
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
        if lost:
            await self._end_epochs(lost)
        await self._begin_epochs(missing + lost)

    def _lead_back(self, tracked: TrackedChannel, epoch: str) -> None:
        """A session had begun in another epoch before heads were compared. `epoch`: that of the cursor, until then.

        Where it is the present one still, the other was read on a server that the link has left: a `resync` leads the
        session, and all others of the channel, to where the cursor is.
        """
        cursor = tracked.cursor
        if cursor.state is CursorState.FILLING:
            return  # the next comparison does it
        is_former = cursor.epoch == epoch != tracked.strayed
        tracked.strayed = None
        if is_former:
            self._deliver(tracked, [cursor.resync()])

    def _is_tracked(self, tracked: TrackedChannel) -> bool:
        """Whether it was not dropped meanwhile; if its channel is tracked again, that is from another position on."""
        return self._tracked.get(tracked.channel.address) is tracked

    async def _end_epochs(self, lost: list[TrackedChannel]) -> None:
        """End the epochs of the partition in which these channels lie. Raises Unavailable.

        A server that can't be told from the one before has older data, so nothing in it goes on in its epoch.
        """
        first = lost[0]
        _log.error("Redis has lost messages: new epochs begin", channel=first.channel.name, offset=first.cursor.offset)
        await self._history.end_epochs(first.channel, first.cursor.epoch)

    async def end_lost_epochs(self, commands: CommandSender, partitions: Collection[int]) -> None:
        """To be called before a new connection is used: its server may lack messages that were delivered here.

        Where it tells no replication id, nothing else shows that in time, and it would give their offsets to others.
        Raises what `commands` raises.
        """
        for partition, members in _group_by_partition(self._tracked.values()).items():
            if partition in partitions:
                for batch in batched(members, HEADS_PER_COMMAND):
                    await self._end_epochs_lacking(batch, commands)

    async def _end_epochs_lacking(self, members: Sequence[TrackedChannel], commands: CommandSender) -> None:
        positions = [tracked.cursor.position for tracked in members]
        heads = await self._history.heads([tracked.channel for tracked in members], commands)
        for tracked, before, stored in zip(members, positions, heads, strict=True):
            if judge_head(tracked.cursor, before, read_head(stored)) is HeadVerdict.DATA_LOST:
                _log.error("Redis lacks messages: new epochs begin", channel=tracked.channel.name, offset=before.offset)
                await self._history.end_epochs(tracked.channel, before.epoch, commands)
                self.compare_soon()
                return

    async def _begin_epochs(self, missing: list[TrackedChannel]) -> None:
        """Begin new epochs for channels without a head, by reading it. Raises Unavailable."""
        for batch in batched(missing, HEADS_PER_COMMAND):
            heads = await asyncio.gather(*(self._history.head(tracked.channel) for tracked in batch))
            for tracked, head in zip(batch, heads, strict=True):
                if self._is_tracked(tracked):
                    self._apply(tracked, head)

    def _apply(self, tracked: TrackedChannel, head: Position) -> None:
        was_following = tracked.cursor.state is CursorState.FOLLOWING
        self._deliver(tracked, tracked.cursor.handle_barrier(head))
        if was_following and tracked.cursor.state is CursorState.FILLING:
            self.proven += 1

    async def _renew(self) -> None:
        """Raises Unavailable."""
        for channels in batched([tracked.channel for tracked in self._tracked.values()], HEADS_PER_COMMAND):
            await self._history.renew(channels)


def _group_by_partition(tracked_channels: Iterable[TrackedChannel]) -> dict[int, list[TrackedChannel]]:
    partitions: dict[int, list[TrackedChannel]] = {}
    for tracked in tracked_channels:
        partitions.setdefault(tracked.channel.partition, []).append(tracked)
    return partitions
