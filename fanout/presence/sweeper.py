"""Periodic work in the rooms: leaves whose grace period has ended, counts that are due, what dead processes have left.

Every process sweeps, and none is the leader. A room that is due is claimed for a second, every script is harmless when
two processes run it, and the rooms of a dead process are drawn at random, so that sweepers rarely do the same work.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ...shared.channels import PARTITIONS, Channel
from ...shared.names import RoomName
from ..unreadable import parse_incarnation
from .calls import PresenceCalls

ROOMS_PER_SWEEP = 64
"""Rooms of one dead process that are cleaned in one sweep of a partition."""
LEASES_AFTER = 10
"""Sweeps in a row that have found a process dead before its leases are freed. Whoever needs one takes it at once; and
where the clock of Redis was set forward, all are dead until their next heartbeat."""

LATER = -1
"""Instead of how many leaves of a room were shown: it has to be swept again."""

FreeLeases = Callable[[int, str], Awaitable[None]]
"""Frees leases of a dead process in a partition, so many at a time. Raises Unavailable."""


async def free_none(partition: int, incarnation: str) -> None:
    """For rooms whose processes hold no leases."""


@dataclass(frozen=True, slots=True)
class SweeperStatistics:
    sweeps: int
    """Sweeps over all partitions since the start."""
    rooms_swept: int
    """Rooms that were due and were swept by this process."""
    leaves_shown: int
    """Leaves that it has shown to the rooms."""
    rooms_of_dead_swept: int
    """Rooms from which it has removed the sessions of a dead process."""
    dead_forgotten: int
    """Dead processes of which it has removed the last trace."""


class Sweeper:
    def __init__(self, calls: PresenceCalls, free_leases: FreeLeases = free_none) -> None:
        self._calls = calls
        self._free_leases = free_leases
        self._sweeps = 0
        self._rooms = 0
        self._leaves = 0
        self._dead_rooms = 0
        self._dead = 0
        self._looks: dict[tuple[int, bytes], int] = {}  # partition and process → sweeps in a row that found it dead

    async def sweep(self) -> None:
        """Sweep all partitions once: ask them all at once, then do one room after another. Raises Unavailable."""
        due = await asyncio.gather(*(self._calls.claim_due(part) for part in range(PARTITIONS)))
        looks = self._looks
        found = ((part, member) for part, (_, dead) in enumerate(due) for member in dead)
        self._looks = {each: looks.get(each, 0) + 1 for each in found}
        for part, (rooms, dead) in enumerate(due):
            await self._sweep_rooms(await self._calls.read_rooms("ZREM", self._calls.keyspace.due(part), part, rooms))
            for member in dead:
                await self._remove_dead(part, member)
        self._sweeps += 1

    async def _sweep_rooms(self, names: list[RoomName]) -> None:
        rooms: list[Channel] = [self._calls.keyspace.room(name) for name in names]
        while rooms:
            shown: list[int] = await asyncio.gather(*(self._calls.sweep_room(room) for room in rooms))
            self._rooms += len(shown) - shown.count(LATER)
            self._leaves += sum(leaves for leaves in shown if leaves != LATER)
            rooms = [room for room, leaves in zip(rooms, shown, strict=True) if leaves == LATER]

    async def _remove_dead(self, part: int, member: bytes) -> None:
        """Remove a dead process from ROOMS_PER_SWEEP of its rooms, and forget it after its last room and lease."""
        calls, incarnation = self._calls, parse_incarnation(member)
        if incarnation is None:
            await calls.unreadable.remove(calls.pipeline, "ZREM", calls.keyspace.heartbeats(part), member)
            return
        key = calls.keyspace.rooms_of_node(part, incarnation)
        names = await calls.pipeline.send("SRANDMEMBER", key, ROOMS_PER_SWEEP)
        for name in await calls.read_rooms("SREM", key, part, names):
            while await calls.remove_dead(calls.keyspace.room(name), incarnation):
                pass
            self._dead_rooms += 1
        if self._looks[part, member] > LEASES_AFTER:
            await self._free_leases(part, incarnation)
        if len(names) < ROOMS_PER_SWEEP:
            self._dead += await calls.forget_dead(part, incarnation)

    def statistics(self) -> SweeperStatistics:
        return SweeperStatistics(self._sweeps, self._rooms, self._leaves, self._dead_rooms, self._dead)
