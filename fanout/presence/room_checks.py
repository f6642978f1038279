"""The check of rooms: whether Redis agrees with itself about their users, and with what members have heard of them.

**Versions.** A room's version rises with every event, so members drop what does not lie above what they have seen. Two
cases leave them behind for ever, if nobody looks: Redis was replaced by a server whose version is lower, because the
former one was still written to; or an event was published while the link had no connection, and none came after it.
So each check tells Redis what members here have seen, and what they should have seen since the check before. Where that
does not agree, `lua/presence_check.lua` publishes a count behind a gap, and members request a new snapshot.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple
from zlib import crc32

from ...shared.channels import Channel
from ...shared.names import RoomName
from ..batches import batched
from .calls import PresenceCalls

ROOMS_AT_ONCE = 32
"""Rooms that are compared or checked together: so much one turn of the event loop has to do."""

SeenVersion = Callable[[Channel], int]
"""The latest version of a room that members at this process have seen; 0: none."""


def none_seen(room: Channel) -> int:
    return 0


class Restated(NamedTuple):
    is_right: bool
    """Whether all rooms agree with their sessions; if not, the partition has to be restated again soon."""
    rooms: int
    """How many rooms were compared or checked."""


class RoomChecks:
    """`incarnation`: this process."""

    def __init__(self, calls: PresenceCalls, incarnation: str, seen_version: SeenVersion = none_seen) -> None:
        self._calls = calls
        self._incarnation = incarnation
        self._seen_version = seen_version
        self._due: dict[int, dict[RoomName, int]] = {}
        """By partition, versions that the last check found and that members had not seen; bounded by their rooms."""

    async def check(self, partition: int, mine: set[RoomName]) -> Restated:
        """Whether the rooms of this process, and its share of the others, agree with the sessions of all processes.

        Raises Unavailable.
        """
        calls = self._calls
        key = calls.keyspace.rooms(partition)
        processes, members = await asyncio.gather(
            calls.list_processes(partition), calls.pipeline.send("ZRANGE", key, 0, -1)
        )
        listed = await calls.read_rooms("ZREM", key, partition, members)
        names = sorted(mine.union(name for name in listed if self._is_mine_to_check(name, processes)))
        due, self._due[partition] = self._due.get(partition, {}), {}
        is_right = True
        for batch in batched(names, ROOMS_AT_ONCE):
            checked = await asyncio.gather(
                *(self._check_room(calls.keyspace.room(name), processes, due.get(name, 0)) for name in batch)
            )
            is_right = is_right and all(checked)
        return Restated(is_right, len(names))

    async def _check_room(self, room: Channel, processes: list[str], due: int) -> bool:
        seen = self._seen_version(room)
        is_right, version = await self._calls.check(room, self._incarnation, processes, seen=seen, due=due)
        if 0 < seen < version:  # the events between them may still be on their way
            self._due.setdefault(room.partition, {})[RoomName(room.name)] = version
        return bool(is_right)

    def _is_mine_to_check(self, room: str, processes: list[str]) -> bool:
        """Each room is checked by one process more than those that have sessions in it: there may be none."""
        return bool(processes) and processes[crc32(room.encode()) % len(processes)] == self._incarnation
