"""Anti-entropy: what this process holds, stated again and again, so that nothing that got lost stays lost.

After a new connection, or where Redis was another one, all partitions at once; else each of them once a minute.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping

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
"""Partitions that are stated together."""
ROUND = 60.0
"""Seconds in which every partition has had its turn."""

_log = structlog.get_logger("tannoy.repair")


class AntiEntropy:
    """Needs `run` running. `present` gives the sessions of this process in the rooms of some partitions."""

    def __init__(
        self,
        pipeline: AnyPipeline,
        membership: Membership,
        leases: LeaseManager,
        presence: Presence,
        disconnects: DisconnectLog,
        present: Callable[[Collection[int]], Mapping[int, Present]],
        times: LeaseTimes = DEFAULT_TIMES,
    ) -> None:
        self._pipeline = pipeline
        self._membership = membership
        self._leases = leases
        self._presence = presence
        self._disconnects = disconnects
        self._present = present
        self._turn_seconds = times.repair_seconds
        self._next = 0
        self._rounds = 0

    async def run(self) -> None:
        """For ever. What Redis does not confirm is stated again later."""
        turns = 0
        turns_between = max(1, int(ROUND / self._turn_seconds) * GROUP // PARTITIONS)
        while True:
            await self._pipeline.connected.wait()
            turns += 1
            try:
                self._leases.send_pending_releases()
                self._disconnects.try_again()
                await self._leases.confirm_local()
                if urgent := self._urgent():
                    # Taken out first: what is marked meanwhile is looked at again.
                    self._membership.to_look_at.difference_update(urgent)
                    try:
                        await self._state(urgent)
                    except Unavailable:
                        self._membership.to_look_at.update(urgent)
                        raise
                elif turns % turns_between == 0:
                    await self._state(self._next_group())
            except Unavailable as error:
                _log.info("repair was cut short, and will be taken up again", error=str(error))
            await asyncio.sleep(self._turn_seconds)

    def _urgent(self) -> list[int]:
        return sorted(self._membership.to_look_at)[: 2 * GROUP]

    def _next_group(self) -> list[int]:
        first, self._next = self._next, (self._next + GROUP) % PARTITIONS
        if self._next == 0:
            self._rounds += 1
        return list(range(first, first + GROUP))

    async def _state(self, partitions: list[int]) -> None:
        """Raises Unavailable."""
        await self._leases.restate(self._pipeline, partitions, add_missing=False)
        for part in partitions:
            # Read in this very turn: whoever comes or goes from now on is known to `restate`.
            await self._presence.restate(part, self._present([part]).get(part, {}))

    def statistics(self) -> dict[str, int]:
        return {"urgent": len(self._membership.to_look_at), "rounds": self._rounds}
