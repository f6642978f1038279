"""Anti-entropy: what this process holds is restated to Redis again and again, so that no loss lasts.

After a new connection, or where Redis has lost data, in all partitions at once; else in each of them once a minute.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import structlog

from ..shared.channels import PARTITIONS
from ..shared.errors import Unavailable
from .disconnects import DisconnectLog
from .lease_times import DEFAULT_TIMES, LeaseTimes
from .leases.manager import LeaseManager
from .membership import Membership
from .presence.presence import Presence, Present
from .redis.pipeline import AnyPipeline

GROUP = 8
"""Partitions that are restated together: a compromise between round trips and the size of one burst."""

_log = structlog.get_logger("tannoy.repair")

ListPresent = Callable[[Collection[int]], Mapping[int, Present]]
"""The sessions of this process in the rooms of some partitions, by partition."""


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
        list_present: ListPresent,
        times: LeaseTimes = DEFAULT_TIMES,
    ) -> None:
        self._pipeline = pipeline
        self._membership = membership
        self._leases = leases
        self._presence = presence
        self._disconnects = disconnects
        self._list_present = list_present
        self._repair_seconds = times.repair_seconds
        self._round_seconds = times.round_seconds
        self._next = 0
        self._rounds = 0

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
            try:
                await self._restate(urgent)
            except Unavailable:
                self._membership.to_restate.update(urgent)
                raise
        elif is_groups_turn:
            await self._restate(self._next_group())

    def _next_group(self) -> list[int]:
        first, self._next = self._next, (self._next + GROUP) % PARTITIONS
        if self._next == 0:
            self._rounds += 1
        return list(range(first, first + GROUP))

    async def _restate(self, partitions: list[int]) -> None:
        """Raises Unavailable."""
        await self._leases.restate(self._pipeline, partitions, add_missing=False)
        for part in partitions:
            # Listed in the same turn of the loop in which `restate` begins: it knows of all that joins or leaves later.
            if not await self._presence.restate(part, self._list_present([part]).get(part, {})):
                self._membership.to_restate.add(part)

    def statistics(self) -> AntiEntropyStatistics:
        return AntiEntropyStatistics(urgent=len(self._membership.to_restate), rounds=self._rounds)
