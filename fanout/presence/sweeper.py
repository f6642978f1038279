"""Periodic work in the rooms: leaves whose grace period has ended, counts that are due, sessions of dead processes.

Every process sweeps, and none is the leader. A room that is due is claimed for a second, every script is harmless when
two processes run it, and the rooms of a dead process are drawn at random, so that sweepers rarely do the same work.
"""

import asyncio
from dataclasses import dataclass

from ...shared.channels import PARTITIONS, Channel
from ...shared.names import RoomName
from .calls import PresenceCalls

ROOMS_PER_SWEEP = 64
"""Rooms of one dead process that are cleaned in one sweep of a partition."""


@dataclass(frozen=True, slots=True)
class SweeperStatistics:
    rooms_swept: int
    """Rooms that were due and were swept by this process."""
    leaves_shown: int
    """Leaves that it has shown to the rooms."""
    rooms_of_dead_swept: int
    """Rooms from which it has removed the sessions of a dead process."""
    dead_forgotten: int
    """Dead processes of which it has removed the last trace."""


class Sweeper:
    def __init__(self, calls: PresenceCalls) -> None:
        self._calls = calls
        self._rooms = 0
        self._leaves = 0
        self._dead_rooms = 0
        self._dead = 0

    async def sweep(self) -> None:
        """Sweep all partitions once: ask them all at once, then do one room after another. Raises Unavailable."""
        due = await asyncio.gather(*(self._calls.claim_due(part) for part in range(PARTITIONS)))
        for part, (rooms, dead) in enumerate(due):
            for name in rooms:
                self._leaves += await self._calls.sweep_room(self._room(name))
                self._rooms += 1
            for incarnation in dead:
                await self._remove_dead(part, incarnation.decode())

    async def _remove_dead(self, part: int, incarnation: str) -> None:
        """Remove a dead process from ROOMS_PER_SWEEP of its rooms, and forget it after its last room."""
        calls, rooms = self._calls, self._calls.keyspace.rooms_of_node(part, incarnation)
        names = await calls.pipeline.send("SRANDMEMBER", rooms, ROOMS_PER_SWEEP)
        for name in names:
            room = self._room(name)
            while await calls.remove_dead(room, incarnation):
                pass
            self._dead_rooms += 1
        if len(names) < ROOMS_PER_SWEEP:
            self._dead += await calls.forget_dead(part, incarnation)

    def _room(self, name: bytes) -> Channel:
        return self._calls.keyspace.room(RoomName(name.decode()))

    def statistics(self) -> SweeperStatistics:
        return SweeperStatistics(self._rooms, self._leaves, self._dead_rooms, self._dead)
