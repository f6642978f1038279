"""The presence scripts as calls: which keys and arguments each of them takes, and the shape of its reply."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...shared.channels import Channel
from ...shared.keyspace import Keyspace
from ...shared.names import RoomName, UserId
from ...shared.protocol.presence_frames import PresentUser
from ..batches import batched
from ..heads import HEAD_TTL
from ..lease_times import DEFAULT_TIMES, LeaseTimes
from ..pubsub.envelope import is_user, read_users
from ..pubsub.envelopes import PLAIN, Envelopes
from ..redis.answers import ignore_failure
from ..redis.connection import Reply, Word
from ..redis.pipeline import AnyPipeline
from ..redis.script import Script
from ..script_batches import ScriptBatches
from ..scripts import (
    PRESENCE_CHECK,
    PRESENCE_DEAD,
    PRESENCE_DUE,
    PRESENCE_FORGET,
    PRESENCE_JOIN,
    PRESENCE_LEAVE,
    PRESENCE_LIST,
    PRESENCE_SWEEP,
)
from ..unreadable import UnreadableData, parse_incarnation, parse_number, parse_room_member

PRESENCE_SCRIPTS = (
    PRESENCE_JOIN,
    PRESENCE_LEAVE,
    PRESENCE_DEAD,
    PRESENCE_SWEEP,
    PRESENCE_CHECK,
    PRESENCE_LIST,
    PRESENCE_DUE,
    PRESENCE_FORGET,
)
"""The scripts that a pipeline for presence has to load."""


ROOMS_AT_ONCE = 500
"""Names of rooms that are parsed in one turn of the event loop."""
FENCED = b"fenced"
"""A join was refused: the heartbeat of the process has expired."""
NO_HEAD = b"head"
"""A join was not carried out: the head of the room's history has to be read before, by `HistoryReader`."""
SINCE = b".since"
"""A member of the set of heartbeats that is no process (`lua/heartbeat.lua`)."""


@dataclass(frozen=True, slots=True)
class PresenceRules:
    inline_max: int
    """Users that a snapshot or an event lists; in rooms with more, snapshots of joins and events have no list."""
    events_max: int
    """Users beyond which a room gets counts instead of an event for each join and leave."""
    grace: float
    """Seconds in which a user may come back before its leave is shown."""
    head_ttl: int = HEAD_TTL
    """`HistoryRules.head_ttl`, for the head of a room's history that begins with a join."""
    told: str = ""
    """What the HTTP hooks are told of rooms and users, as `lua/presence_told_common.lua` takes it."""


class PresenceCalls:
    """Each method runs one script, of which `lua/` says more. All futures raise CommandFailed.

    Joins of one loop turn go to Redis together, and so do leaves, behind the joins, sweeps, and claims of what is due.

    `incarnation` is a process, `number` one of its sessions in a room.
    """

    def __init__(
        self,
        pipeline: AnyPipeline,
        keyspace: Keyspace,
        rules: PresenceRules,
        times: LeaseTimes = DEFAULT_TIMES,
        unreadable: UnreadableData | None = None,
        envelopes: Envelopes = PLAIN,
    ) -> None:
        self._envelopes = envelopes
        self.unreadable = unreadable or UnreadableData()
        self.pipeline = pipeline
        self.keyspace = keyspace
        self._rules = rules
        self._silent_ms = times.silent_ms
        self._lease_ms = times.lease_ms
        self._grace_ms = round(rules.grace * 1000)
        shared = (rules.inline_max, rules.events_max)
        self._batches = ScriptBatches(
            pipeline,
            {
                PRESENCE_JOIN: (*shared, rules.head_ttl, rules.told),
                PRESENCE_LEAVE: (*shared, self._grace_ms, rules.told),
                PRESENCE_SWEEP: (*shared, rules.told),
                PRESENCE_DUE: (),
            },
            self.unreadable,
        )

    def join(
        self,
        room: Channel,
        incarnation: str,
        number: int,
        user_id: UserId,
        username: str,
        *,
        is_restated: bool = False,
        with_head: bool = False,
    ) -> "asyncio.Future[list[Any] | bytes]":
        """[version, users, [user, entry, …] or None, head or None]; or FENCED or NO_HEAD, and nothing was done.

        `is_restated`: the session has been in the room before, and Redis has forgotten it. `with_head`: return the head
        of the room's history at the moment of the join.
        """
        history = self.keyspace.history(room)
        keys = (*self._keys_of_session(room, incarnation), history.head, history.log)
        words = (incarnation, number, user_id, username, int(is_restated), int(with_head))
        return self._batches.call(PRESENCE_JOIN, keys, (*self._words(room), *words))

    def leave(self, room: Channel, incarnation: str, number: int, user_id: str = "") -> asyncio.Future[int]:
        """1 if the session was in the room, else 0. `user_id`: whose session it is; empty: Redis looks it up."""
        keys = self._keys_of_session(room, incarnation)
        return self._batches.call(PRESENCE_LEAVE, keys, (*self._words(room), number, user_id))

    def remove_dead(self, room: Channel, incarnation: str) -> asyncio.Future[int]:
        """How many sessions of the dead process are still in the room."""
        keys = self._keys_of_session(room, incarnation)
        return self._run(PRESENCE_DEAD, room, keys, (incarnation, self._grace_ms, self._silent_ms))

    def check(
        self, room: Channel, incarnation: str, processes: Sequence[str], *, seen: int = 0, due: int = 0
    ) -> "asyncio.Future[list[int]]":
        """[1 if the room agrees with its sessions, else 0: check it again soon; its version, 0 without users].

        `processes`: all with heartbeats. `seen`, `due`: the versions that members here have seen, and should have.
        """
        of_all = (key for process in processes for key in self.keyspace.presence_of_node(room, process))
        keys = (*self._keys_of_session(room, incarnation), *of_all)
        return self._run(PRESENCE_CHECK, room, keys, (self._grace_ms, self._lease_ms, seen, due))

    async def list_processes(self, part: int) -> list[str]:
        """The processes that have heartbeats in a partition, dead ones until they are forgotten. In order."""
        key = self.keyspace.heartbeats(part)
        members = await self.pipeline.send("ZRANGE", key, 0, -1)
        names = {member: parse_incarnation(member) for member in members if member != SINCE}
        await self.unreadable.remove(self.pipeline, "ZREM", key, *(member for member in names if not names[member]))
        return sorted(name for name in names.values() if name)

    async def read_rooms(self, verb: str, key: bytes, part: int, members: Sequence[bytes]) -> list[RoomName]:
        """The rooms that members of a set of rooms name. What names none in this partition is removed, with `verb`."""
        rooms: dict[bytes, RoomName | None] = {}
        for batch in batched(members, ROOMS_AT_ONCE):
            rooms.update((member, parse_room_member(member, part)) for member in batch)
            await asyncio.sleep(0)  # a partition may have very many rooms
        await self.unreadable.remove(self.pipeline, verb, key, *(member for member in rooms if not rooms[member]))
        return [room for room in rooms.values() if room]

    async def read_numbers(self, key: bytes) -> set[int]:
        """The numbers of a process's sessions in a room. What is no number is removed."""
        numbers = {field: parse_number(field) for field in await self.pipeline.send("HKEYS", key)}
        odd = [field for field, number in numbers.items() if number is None]
        await self.unreadable.remove(self.pipeline, "HDEL", key, *odd)
        return {number for number in numbers.values() if number is not None}

    def read_users(self, room: Channel, flat: list[bytes]) -> tuple[PresentUser, ...]:
        """The users in a reply. An entry that is none is left out, and removed."""
        try:
            return read_users(flat)
        except ValueError:
            pass
        key = self.keyspace.presence(room).users
        readable: list[bytes] = []
        for user_id, entry in zip(flat[::2], flat[1::2], strict=True):
            if is_user(user_id, entry):
                readable += (user_id, entry)
            else:
                self.unreadable.note(key, entry)
                self.pipeline.send("HDEL", key, user_id).add_done_callback(ignore_failure)
        return read_users(readable)

    def sweep_room(self, room: Channel) -> asyncio.Future[int]:
        """How many leaves were shown; -1: nothing was done, for those swept with it had the most events of one call."""
        return self._batches.call(PRESENCE_SWEEP, self._keys_of_room(room), self._words(room))

    def list_users(self, room: Channel, limit: int) -> asyncio.Future[list[Any]]:
        """[version, users, sessions, [user, entry, …]]."""
        words = (limit, 0, *self._words(room))
        return self.pipeline.run_script(PRESENCE_LIST, self._keys_of_room(room), words)

    def claim_due(self, part: int) -> asyncio.Future[list[list[bytes]]]:
        """[[room, …], [incarnation of a dead process, …]]."""
        return self._batches.call(PRESENCE_DUE, (self.keyspace.heartbeats(part), self.keyspace.due(part)), ())

    def forget_dead(self, part: int, incarnation: str) -> asyncio.Future[int]:
        """1 if the dead process is forgotten, else 0."""
        keyspace = self.keyspace
        of_process = (keyspace.rooms_of_node(part, incarnation), keyspace.owners_of_node(part, incarnation))
        keys = (keyspace.heartbeats(part), *of_process)
        return self.pipeline.run_script(PRESENCE_FORGET, keys, (incarnation,))

    def _run(
        self, script: Script, room: Channel, keys: tuple[bytes, ...], words: tuple[Word, ...]
    ) -> asyncio.Future[Reply]:
        shared = (self._rules.inline_max, self._rules.events_max)
        return self.pipeline.run_script(script, keys, (*shared, *self._words(room), *words))

    def _keys_of_room(self, room: Channel) -> tuple[bytes, ...]:
        return (*self.keyspace.presence(room), room.address)

    def _keys_of_session(self, room: Channel, incarnation: str) -> tuple[bytes, ...]:
        return (*self._keys_of_room(room), *self.keyspace.presence_of_node(room, incarnation))

    def _words(self, room: Channel) -> tuple[Word, ...]:
        return (room.name, self._envelopes.presence_key(room.address))
