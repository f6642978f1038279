"""Anti-entropy: what this process holds is restated to Redis again and again, so that no loss lasts.

After a new connection, or where Redis has lost data, in all partitions at once; else in each of them once a minute. A
process with sessions in very many rooms takes longer: it restates so many rooms in a second, and no more.
"""

import asyncio
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from ..shared.channels import PARTITIONS
from ..shared.errors import Unavailable
from ..shared.logs import get_logger
from .disconnects import DisconnectLog
from .lease_times import DEFAULT_TIMES, LeaseTimes
from .leases.manager import LeaseManager
from .membership import Membership
from .presence.presence import Presence
from .redis.pipeline import AnyPipeline

GROUP = 8
"""Partitions that are restated together: a compromise between round trips and the size of one burst."""
ROOMS_PER_TURN = 256
"""Rooms that are restated in one turn if nothing is urgent, on average: some 20 ms of CPU."""

_log = get_logger("tannoy.repair")


@dataclass(frozen=True, slots=True)
class AntiEntropyStatistics:
    urgent: int
    """Partitions in which something may have been lost, and that are not restated yet."""
    rounds: int
    """Rounds over all partitions since the start."""


class AntiEntropy:
    """Needs `run` running."""

    def __init__(
        self,
        pipeline: AnyPipeline,
        membership: Membership,
        leases: LeaseManager,
        presence: Presence,
        disconnects: DisconnectLog,
        times: LeaseTimes = DEFAULT_TIMES,
    ) -> None:
        self._pipeline = pipeline
        self._membership = membership
        self._leases = leases
        self._presence = presence
        self._disconnects = disconnects
        self._repair_seconds = times.repair_seconds
        self._round_seconds = times.round_seconds
        self._next = 0
        self._rounds = 0
        self._waiting: deque[int] = deque()  # partitions of the last group that are not restated yet
        self._rooms_left = 0  # that may be restated in this turn; below 0: the last partition had more

    async def run(self) -> None:
        """For ever. What Redis does not confirm is restated later."""
        turns = 0
        turns_between = max(1, int(self._round_seconds / self._repair_seconds) * GROUP // PARTITIONS)
        while True:
            await self._pipeline.connected.wait()
            turns += 1
            try:
                await self._repair(is_groups_turn=turns % turns_between == 0)
            except Unavailable as error:
                _log.info("anti-entropy was interrupted, and goes on with the next turn", error=str(error))
            await asyncio.sleep(self._repair_seconds)

    async def _repair(self, *, is_groups_turn: bool) -> None:
        """What is urgent, else, on its turn, the next group of the round. Raises Unavailable."""
        self._leases.send_pending_releases()
        self._disconnects.send_pending()
        await self._leases.confirm_local()
        if urgent := sorted(self._membership.to_restate)[: 2 * GROUP]:
            # Taken out first, so that what is marked in the meantime is restated again.
            self._membership.to_restate.difference_update(urgent)
            await self._restate(urgent)
        else:
            await self._go_on(is_groups_turn=is_groups_turn)

    async def _go_on(self, *, is_groups_turn: bool) -> None:
        """Restate the next partitions of the round, as far as ROOMS_PER_TURN allows. Raises Unavailable."""
        if is_groups_turn and not self._waiting:
            self._waiting.extend(self._next_group())
        self._rooms_left = min(self._rooms_left + ROOMS_PER_TURN, ROOMS_PER_TURN)
        while self._waiting and self._rooms_left > 0:
            self._rooms_left -= await self._restate((self._waiting.popleft(),))

    def _next_group(self) -> list[int]:
        first, self._next = self._next, (self._next + GROUP) % PARTITIONS
        if self._next == 0:
            self._rounds += 1
        return list(range(first, first + GROUP))

    async def _restate(self, partitions: Collection[int]) -> int:
        """Returns how many rooms that were. Raises Unavailable; then all of these partitions are urgent."""
        rooms = 0
        try:
            await self._leases.restate(self._pipeline, partitions, add_missing=False)
            for part in partitions:
                restated = await self._presence.restate(part)
                rooms += restated.rooms
                if not restated.is_right:
                    self._membership.to_restate.add(part)
        except Unavailable:
            self._membership.to_restate.update(partitions)
            raise
        return rooms

    def statistics(self) -> AntiEntropyStatistics:
        return AntiEntropyStatistics(urgent=len(self._membership.to_restate), rounds=self._rounds)
