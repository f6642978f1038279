"""What has to be done in the rooms for nobody in particular: leaves whose time has come, counts that are owed, and the
sessions of processes that have died.

Every process sweeps, and none is the leader. What is due is claimed for a second, every script is harmless when two
run it, and the rooms of a dead process are drawn at random, so that sweepers rarely meet.
"""

import asyncio

from ...shared.channels import PARTITIONS, Channel
from ...shared.names import RoomName
from .calls import PresenceCalls

ROOMS_AT_ONCE = 64
"""Rooms of one dead process that one sweep of a partition takes care of."""


class Sweeper:
    def __init__(self, calls: PresenceCalls) -> None:
        self._calls = calls
        self._rooms = 0
        self._leaves = 0
        self._dead_rooms = 0
        self._dead = 0

    async def sweep(self) -> None:
        """Once over all partitions: ask them in one go, then one room at a time. Raises Unavailable."""
        found = await asyncio.gather(*(self._calls.due(part) for part in range(PARTITIONS)))
        for part, (rooms, dead) in enumerate(found):
            for name in rooms:
                self._leaves += await self._calls.sweep(self._room(name))
                self._rooms += 1
            for incarnation in dead:
                await self._take_out(part, incarnation.decode())

    async def _take_out(self, part: int, incarnation: str) -> None:
        """A dead process, out of as many rooms as are done in one sweep; after its last room it is forgotten."""
        calls, on = self._calls, self._calls.keyspace.rooms_of_node(part, incarnation)
        names = await calls.pipeline.send("SRANDMEMBER", on, ROOMS_AT_ONCE)
        for name in names:
            room = self._room(name)
            while await calls.dead(room, incarnation):
                pass
            self._dead_rooms += 1
        if len(names) < ROOMS_AT_ONCE:
            self._dead += await calls.forget(part, incarnation)

    def _room(self, name: bytes) -> Channel:
        return self._calls.keyspace.room(RoomName(name.decode()))

    def statistics(self) -> dict[str, int]:
        return {
            "rooms_swept": self._rooms,
            "leaves_shown": self._leaves,
            "rooms_of_dead_swept": self._dead_rooms,
            "dead_forgotten": self._dead,
        }
