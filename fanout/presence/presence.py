"""Presence: which users are in the rooms, over the sessions of all processes.

The scripts decide when a user joins and leaves, and publish it on the room's channel. This module handles what may fail
on the way to them: a leave that Redis has not confirmed is kept and repeated, a join that it has not confirmed is
rolled back. The number of a session is unique per process and join, so that a repeated leave never removes a later
join.
"""

import asyncio
import heapq
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from ...shared.channels import PARTITIONS, Channel
from ...shared.errors import Unavailable
from ...shared.keyspace import Keyspace
from ...shared.logs import get_logger
from ...shared.names import RoomName, UserId
from ...shared.protocol.presence_frames import PresenceSnapshot
from ...shared.publication import Position
from ..batches import batched
from ..heads import read_position
from ..lease_times import DEFAULT_TIMES, LeaseTimes
from ..pubsub.envelopes import PLAIN, Envelopes
from ..redis.answers import read_later
from ..redis.pipeline import AnyPipeline
from ..unreadable import UnreadableData, parse_room_member
from .calls import FENCED, NO_HEAD, PresenceCalls, PresenceRules
from .present import PresentSession, PresentSessions
from .room_checks import ROOMS_AT_ONCE, Restated, RoomChecks, SeenVersion, none_seen
from .sweeper import FreeLeases, Sweeper, SweeperStatistics, free_none

SESSIONS_AT_ONCE = 500
"""Joins or leaves that are sent together when many have to be repeated or restated."""
USERS_MAX = 2**53
"""More users than any room has: a score that no node has written."""

_log = get_logger("tannoy.presence")


class HeadUnknown(Unavailable):
    """Nothing was done: the head of the room's history has to be read before the join, by `HistoryReader`."""


class RoomJoin(NamedTuple):
    """A session is in the room. `head`: of the room's history at that moment, if it was asked for."""

    snapshot: PresenceSnapshot
    head: Position | None


@dataclass(frozen=True, slots=True)
class PresenceStatistics(SweeperStatistics):
    joining: int
    """Joins that Redis has not answered yet."""
    leaves_pending: int
    """Leaves that Redis has not confirmed, and that are repeated."""
    leaves_repeated: int
    """Leaves that were sent once more."""
    joins_rolled_back: int
    """Joins that Redis has not confirmed, and that were followed by a leave."""
    restated: int
    """Joins and leaves that were sent because Redis and this process did not agree."""


class Presence:
    """Needs `run` running, and a heartbeat of `incarnation`: Redis accepts no joins of a process without one."""

    def __init__(
        self,
        pipeline: AnyPipeline,
        keyspace: Keyspace,
        *,
        incarnation: str,
        rules: PresenceRules,
        times: LeaseTimes = DEFAULT_TIMES,
        unreadable: UnreadableData | None = None,
        envelopes: Envelopes = PLAIN,
        free_leases: FreeLeases = free_none,
        seen_version: SeenVersion = none_seen,
    ) -> None:
        self._pipeline = pipeline
        self._keyspace = keyspace
        self._incarnation = incarnation
        self._calls = PresenceCalls(pipeline, keyspace, rules, times, unreadable, envelopes)
        self._sweep_seconds = times.sweep_seconds
        self._sweeper = Sweeper(self._calls, free_leases)
        self._checks = RoomChecks(self._calls, incarnation, seen_version)
        self.present = PresentSessions()
        """The sessions of this process whose join Redis has confirmed, until they leave."""
        self._joining: set[int] = set()
        self._pending_leaves: dict[int, Channel] = {}  # not confirmed by Redis; bounded by the joins that it confirmed
        self._restating = 0
        self._changed: set[int] = set()  # numbers that join or leave while a restate runs, which leaves them alone
        self._rolled_back = 0
        self._repeated = 0
        self._restated = 0

    # ---- joins and leaves

    def join(
        self, room: Channel, number: int, user_id: UserId, username: str, *, with_head: bool = False
    ) -> asyncio.Future[RoomJoin]:
        """Add a session to the room; gives the snapshot after that, and the head `with_head`.

        Raises Unavailable: it is not in the room; HeadUnknown: nor has it to leave.
        """
        if not self._pipeline.connected.is_set():
            # Nothing is sent, so nothing has to be rolled back.
            refused: asyncio.Future[RoomJoin] = asyncio.get_running_loop().create_future()
            refused.set_exception(Unavailable("Redis takes no commands"))
            return refused
        self._joining.add(number)
        if self._restating:
            self._changed.add(number)
        joining = self._calls.join(room, self._incarnation, number, user_id, username, with_head=with_head)
        joined = read_later(joining, partial(self._read_join, room))
        joined.add_done_callback(partial(self._handle_joined, number, PresentSession(room, user_id, username)))
        return joined

    def _handle_joined(self, number: int, session: PresentSession, joined: asyncio.Future[RoomJoin]) -> None:
        self._joining.discard(number)
        error = None if joined.cancelled() else joined.exception()
        if isinstance(error, HeadUnknown):
            return
        if joined.cancelled() or error is not None:
            self._rolled_back += 1
            self.leave(session.room, number)  # the join may have been executed, or will be: the leave comes behind it
        else:
            self.present.add(number, session)

    def leave(self, room: Channel, number: int) -> None:
        """Remove a session from the room. Never fails: the leave is repeated until Redis confirms it."""
        session = self.present.remove(room, number)
        if self._restating:
            self._changed.add(number)
        if self._pipeline.connected.is_set():
            self._send_leave(room, number, session.user_id if session else "")
        else:
            self._pending_leaves[number] = room

    def _send_leave(self, room: Channel, number: int, user_id: str = "") -> asyncio.Future[int]:
        leaving = self._calls.leave(room, self._incarnation, number, user_id)
        leaving.add_done_callback(partial(self._handle_left, room, number))
        return leaving

    def _handle_left(self, room: Channel, number: int, leaving: asyncio.Future[int]) -> None:
        if leaving.cancelled() or leaving.exception() is not None:
            self._pending_leaves[number] = room
        else:
            self._pending_leaves.pop(number, None)

    # ---- queries

    def snapshot(self, room: Channel, limit: int) -> asyncio.Future[PresenceSnapshot]:
        """The users of the room: `limit` of them at most, drawn at random if there are more. Raises Unavailable."""
        return read_later(self._calls.list_users(room, limit), partial(self._snapshot_of_list, room))

    async def count(self, room: Channel) -> tuple[int, int]:
        """(users, sessions) in the room. Raises Unavailable."""
        _, users, sessions, _ = await self._calls.list_users(room, 0)
        return int(users), int(sessions)

    async def fullest_rooms(self, limit: int) -> tuple[list[tuple[RoomName, int]], int]:
        """([(room, users), …], number of all rooms), fullest rooms first; `limit` is at least 1. Raises Unavailable."""
        keys = [self._keyspace.rooms(part) for part in range(PARTITIONS)]
        replies = await asyncio.gather(
            *(self._pipeline.send("ZCARD", key) for key in keys),
            *(self._pipeline.send("ZRANGE", key, 0, limit - 1, "REV", "WITHSCORES") for key in keys),
        )
        found = [
            (room, int(users))
            for part, fullest in enumerate(replies[PARTITIONS:])
            for name, users in fullest
            if (room := parse_room_member(name, part)) and 0 < users < USERS_MAX
        ]
        return heapq.nsmallest(limit, found, key=lambda entry: (-entry[1], entry[0])), sum(replies[:PARTITIONS])

    def _read_join(self, room: Channel, reply: list[Any] | bytes) -> RoomJoin:
        if reply == FENCED:
            raise Unavailable("the heartbeat of this node has expired")
        if reply == NO_HEAD:
            raise HeadUnknown("the head of the room's history is not known")
        if not isinstance(reply, list):
            raise ValueError(f"unknown reply: {reply!r:.80}")
        version, users_count, flat, head = reply
        users = None if flat is None else self._calls.read_users(room, flat)
        return RoomJoin(PresenceSnapshot(version, users_count, users), None if head is None else read_position(head))

    def _snapshot_of_list(self, room: Channel, reply: list[Any]) -> PresenceSnapshot:
        version, users_count, _, flat = reply
        return PresenceSnapshot(version, users_count, self._calls.read_users(room, flat))

    # ---- periodic work

    async def run(self) -> None:
        """Repeat leaves that were not confirmed, and sweep, every `sweep_seconds`. Never returns."""
        has_failed = False
        while True:
            await self._pipeline.connected.wait()
            try:
                await self._repeat_leaves()
                await self._sweeper.sweep()
                has_failed = False
            except Unavailable as error:
                if not has_failed:
                    _log.warning("presence can't be swept; trying again", error=str(error))
                has_failed = True
            await asyncio.sleep(self._sweep_seconds)

    async def _repeat_leaves(self) -> None:
        """Send once more the leaves that are pending now. Raises Unavailable: those that fail stay pending."""
        for batch in batched(tuple(self._pending_leaves.items()), SESSIONS_AT_ONCE):
            self._repeated += len(batch)
            await asyncio.gather(*(self._send_leave(room, number) for number, room in batch))

    # ---- anti-entropy

    async def restate(self, partition: int) -> Restated:
        """Make Redis agree with the sessions of this process in the rooms of one partition, and check these rooms.

        Sessions that join or leave while this runs are left alone. Raises Unavailable.
        """
        rooms = self.present.rooms_of(partition)
        self._restating += 1
        self._changed |= self._joining
        try:
            key = self._keyspace.rooms_of_node(partition, self._incarnation)
            members = await self._pipeline.send("SMEMBERS", key)
            known = set(await self._calls.read_rooms("SREM", key, partition, members))
            names = sorted(known | rooms.keys())
            for batch in batched(names, ROOMS_AT_ONCE):
                channels = [self._keyspace.room(name) for name in batch]
                for room, stored in zip(channels, await self._numbers_in(channels), strict=True):
                    mine = rooms.get(RoomName(room.name), {})
                    await self._remove(room, stored - mine.keys() - self._changed)
                    await self._add(room, {number: mine[number] for number in mine.keys() - stored})
            return await self._checks.check(partition, set(names))
        finally:
            self._restating -= 1
            if not self._restating:
                self._changed.clear()

    async def _numbers_in(self, rooms: list[Channel]) -> list[set[int]]:
        """The numbers of the sessions of this process that Redis has in each of the rooms."""
        keys = [self._keyspace.sessions_of_node(room, self._incarnation) for room in rooms]
        return await asyncio.gather(*map(self._calls.read_numbers, keys))

    async def _remove(self, room: Channel, numbers: set[int]) -> None:
        for batch in batched(sorted(numbers), SESSIONS_AT_ONCE):
            self._restated += len(batch)
            await asyncio.gather(*(self._send_leave(room, number) for number in batch))

    async def _add(self, room: Channel, sessions: dict[int, PresentSession]) -> None:
        for batch in batched(sorted(sessions.items()), SESSIONS_AT_ONCE):
            # A session that left since the numbers were read must not be added; a later leave comes behind the join.
            absent = [
                (number, session)
                for number, session in batch
                if number not in self._changed and number not in self._pending_leaves
            ]
            self._restated += len(absent)
            joins = (
                self._calls.join(room, self._incarnation, number, session.user_id, session.username, is_restated=True)
                for number, session in absent
            )
            if FENCED in await asyncio.gather(*joins):
                raise Unavailable("the heartbeat of this node has expired")

    def statistics(self) -> PresenceStatistics:
        swept = self._sweeper.statistics()
        return PresenceStatistics(
            sweeps=swept.sweeps,
            rooms_swept=swept.rooms_swept,
            leaves_shown=swept.leaves_shown,
            rooms_of_dead_swept=swept.rooms_of_dead_swept,
            dead_forgotten=swept.dead_forgotten,
            joining=len(self._joining),
            leaves_pending=len(self._pending_leaves),
            leaves_repeated=self._repeated,
            joins_rolled_back=self._rolled_back,
            restated=self._restated,
        )
