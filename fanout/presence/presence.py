"""Who is in the rooms: the sessions of this process as Redis knows them, and what all processes together say.

The scripts decide who came and who went, and tell it on the rooms' channels. Here is what may fail on the way to them:
a leave that Redis has not confirmed is kept and repeated, a join that it has not confirmed is taken back. The number
of a session is unique per process and join, so that what is repeated never hits a later join.
"""

import asyncio
import heapq
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import islice
from typing import TypeVar

import structlog

from ...shared.channels import PARTITIONS, Channel
from ...shared.errors import Unavailable
from ...shared.keyspace import Keyspace
from ...shared.names import RoomName, UserId
from ...shared.protocol.frames import PresenceSnapshot
from ..lease_times import DEFAULT_TIMES, LeaseTimes
from ..pubsub.envelope import read_users
from ..redis.connection import Reply
from ..redis.pipeline import AnyPipeline, read_later
from .calls import PresenceCalls, PresenceRules
from .sweeper import Sweeper

AT_ONCE = 500
"""Joins or leaves that go out together when much has to be repeated or restated."""
ROOMS_AT_ONCE = 64
"""Rooms whose sessions are compared together."""

Present = Mapping[Channel, Mapping[int, tuple[UserId, str]]]
"""The sessions of this process: room → number → user id and username."""

T = TypeVar("T")
_log = structlog.get_logger("tannoy.presence")


class Presence:
    """Needs `run` running, and a heartbeat of `incarnation`: Redis lets the dead put nobody in."""

    def __init__(
        self,
        pipeline: AnyPipeline,
        keyspace: Keyspace,
        *,
        incarnation: str,
        rules: PresenceRules,
        times: LeaseTimes = DEFAULT_TIMES,
    ) -> None:
        self._pipeline = pipeline
        self._keyspace = keyspace
        self._incarnation = incarnation
        self._calls = PresenceCalls(pipeline, keyspace, rules, times)
        self._sweep_seconds = times.sweep_seconds
        self._sweeper = Sweeper(self._calls)
        self._joining: set[int] = set()
        self._owed: dict[int, Channel] = {}  # leaves that Redis has not confirmed; bounded by what it was told to hold
        self._restating = 0
        self._moved: set[int] = set()  # numbers that come or go while something is restated: left alone by it
        self._taken_back = 0
        self._repeated = 0
        self._restated = 0

    # ---- in and out

    def join(self, room: Channel, number: int, user_id: UserId, username: str) -> asyncio.Future[PresenceSnapshot]:
        """Put a session into the room; its roll as of then. Raises Unavailable: then the session is not in it."""
        if not self._pipeline.connected.is_set():
            # Not even asked, so that nothing has to be taken back.
            refused: asyncio.Future[PresenceSnapshot] = asyncio.get_running_loop().create_future()
            refused.set_exception(Unavailable("Redis takes no commands"))
            return refused
        self._joining.add(number)
        if self._restating:
            self._moved.add(number)
        asked = self._calls.join(room, self._incarnation, number, user_id, username)
        snapshot = read_later(asked, _roll_of_join)
        # A turn later: until then whoever asked has not noted it.
        asked.add_done_callback(lambda _: asyncio.get_running_loop().call_soon(self._joining.discard, number))
        snapshot.add_done_callback(partial(self._joined, room, number))
        return snapshot

    def _joined(self, room: Channel, number: int, snapshot: asyncio.Future[PresenceSnapshot]) -> None:
        if snapshot.cancelled() or snapshot.exception() is not None:
            self._taken_back += 1
            self.leave(room, number)  # it may have been carried out, or will be: the leave comes behind it

    def leave(self, room: Channel, number: int) -> None:
        """Take a session out of the room. Never fails: what Redis does not confirm is repeated until it does."""
        if self._restating:
            self._moved.add(number)
        if self._pipeline.connected.is_set():
            self._send_leave(room, number)
        else:
            self._owed[number] = room

    def _send_leave(self, room: Channel, number: int) -> asyncio.Future[Reply]:
        asked = self._calls.leave(room, self._incarnation, number)
        asked.add_done_callback(partial(self._left, room, number))
        return asked

    def _left(self, room: Channel, number: int, asked: asyncio.Future[Reply]) -> None:
        if asked.cancelled() or asked.exception() is not None:
            self._owed[number] = room
        else:
            self._owed.pop(number, None)

    # ---- asking

    def snapshot(self, room: Channel, limit: int) -> asyncio.Future[PresenceSnapshot]:
        """Who is in the room: at most `limit` of them, any where there are more. Raises Unavailable."""
        return read_later(self._calls.list(room, limit), _roll_of_list)

    async def room(self, room: Channel) -> tuple[int, int]:
        """How many users and how many sessions are in the room. Raises Unavailable."""
        _, users, sessions, _ = await self._calls.list(room, 0)
        return int(users), int(sessions)

    async def rooms(self, limit: int) -> tuple[list[tuple[RoomName, int]], int]:
        """The fullest rooms, 1 to `limit` of them, each with its number of users; and how many rooms there are at all.

        Raises Unavailable.
        """
        keys = [self._keyspace.rooms(part) for part in range(PARTITIONS)]
        replies = await asyncio.gather(
            *(self._pipeline.send("ZCARD", key) for key in keys),
            *(self._pipeline.send("ZRANGE", key, 0, limit - 1, "REV", "WITHSCORES") for key in keys),
        )
        found = [(RoomName(name.decode()), int(users)) for fullest in replies[PARTITIONS:] for name, users in fullest]
        return heapq.nsmallest(limit, found, key=lambda entry: (-entry[1], entry[0])), sum(replies[:PARTITIONS])

    # ---- for ever

    async def run(self) -> None:
        """Repeat what was not confirmed, and sweep, every `sweep_seconds`. Never ends by itself."""
        away = False
        while True:
            await self._pipeline.connected.wait()
            try:
                await self._repeat_leaves()
                await self._sweeper.sweep()
                away = False
            except Unavailable as error:
                if not away:
                    _log.warning("presence can't be swept; trying again", error=str(error))
                away = True
            await asyncio.sleep(self._sweep_seconds)

    async def _repeat_leaves(self) -> None:
        """Those that were owed when it began. Raises Unavailable: what is left is still owed."""
        for piece in _pieces(tuple(self._owed.items()), AT_ONCE):
            self._repeated += len(piece)
            await asyncio.gather(*(self._send_leave(room, number) for number, room in piece))

    # ---- against drift

    async def restate(self, partition: int, present: Present) -> None:
        """Make Redis agree with what is true here, in the rooms of one partition. Raises Unavailable.

        `present` may go on changing: whoever joins or leaves meanwhile is left alone.
        """
        rooms = {room.name: sessions for room, sessions in present.items() if room.partition == partition}
        self._restating += 1
        self._moved |= self._joining
        try:
            on = await self._pipeline.send("SMEMBERS", self._keyspace.rooms_of_node(partition, self._incarnation))
            names = sorted({name.decode() for name in on} | rooms.keys())
            for piece in _pieces(names, ROOMS_AT_ONCE):
                channels = [self._keyspace.room(RoomName(name)) for name in piece]
                for room, there in zip(channels, await self._numbers_in(channels), strict=True):
                    mine = rooms.get(room.name, {})
                    await self._take_out(room, there - mine.keys() - self._moved)
                    await self._put_in(room, {number: mine[number] for number in mine.keys() - there})
        finally:
            self._restating -= 1
            if not self._restating:
                self._moved.clear()

    async def _numbers_in(self, rooms: list[Channel]) -> list[set[int]]:
        """The numbers of this process that Redis has in each of the rooms."""
        keys = [self._keyspace.sessions_of_node(room, self._incarnation) for room in rooms]
        replies = await asyncio.gather(*(self._pipeline.send("HKEYS", key) for key in keys))
        return [set(map(int, reply)) for reply in replies]

    async def _take_out(self, room: Channel, numbers: set[int]) -> None:
        for piece in _pieces(sorted(numbers), AT_ONCE):
            self._restated += len(piece)
            await asyncio.gather(*(self._send_leave(room, number) for number in piece))

    async def _put_in(self, room: Channel, sessions: dict[int, tuple[UserId, str]]) -> None:
        for piece in _pieces(sorted(sessions.items()), AT_ONCE):
            # Whoever left since the numbers were read must not come back; a leave from now on comes behind the join.
            absent = [(number, who) for number, who in piece if number not in self._moved and number not in self._owed]
            self._restated += len(absent)
            joins = (self._calls.join(room, self._incarnation, number, *who, again=True) for number, who in absent)
            if None in await asyncio.gather(*joins):
                raise Unavailable("this node's heartbeat has run out")

    def statistics(self) -> dict[str, int]:
        return {
            "joining": len(self._joining),
            "leaves_owed": len(self._owed),
            "leaves_repeated": self._repeated,
            "joins_taken_back": self._taken_back,
            "restated": self._restated,
            **self._sweeper.statistics(),
        }


def _roll_of_join(reply: Reply) -> PresenceSnapshot:
    if reply is None:
        raise Unavailable("this node's heartbeat has run out")
    version, users_count, flat = reply
    return PresenceSnapshot(version, users_count, None if flat is None else read_users(flat))


def _roll_of_list(reply: Reply) -> PresenceSnapshot:
    version, users_count, _, flat = reply
    return PresenceSnapshot(version, users_count, read_users(flat))


def _pieces(things: Iterable[T], size: int) -> Iterable[list[T]]:
    source = iter(things)
    while piece := list(islice(source, size)):
        yield piece
