"""The presence scripts as calls: which keys and arguments each of them takes, and the shape of its reply."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...shared.channels import Channel
from ...shared.keyspace import Keyspace
from ...shared.names import UserId
from ..lease_times import DEFAULT_TIMES, LeaseTimes
from ..redis.connection import Reply, Word
from ..redis.pipeline import AnyPipeline
from ..redis.script import Script
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


@dataclass(frozen=True, slots=True)
class PresenceRules:
    inline_max: int
    """Users that a snapshot or an event lists; in rooms with more, snapshots of joins and events have no list."""
    events_max: int
    """Users beyond which a room gets counts instead of an event for each join and leave."""
    grace: float
    """Seconds in which a user may come back before its leave is shown."""


class PresenceCalls:
    """Each method runs one script, of which `lua/` says more. All futures raise CommandFailed.

    `incarnation` is a process, `number` one of its sessions in a room.
    """

    def __init__(
        self, pipeline: AnyPipeline, keyspace: Keyspace, rules: PresenceRules, times: LeaseTimes = DEFAULT_TIMES
    ) -> None:
        self.pipeline = pipeline
        self.keyspace = keyspace
        self._rules = rules
        self._silent_ms = times.silent_ms
        self._lease_ms = times.lease_ms
        self._grace_ms = round(rules.grace * 1000)

    def join(
        self,
        room: Channel,
        incarnation: str,
        number: int,
        user_id: UserId,
        username: str,
        *,
        is_restated: bool = False,
    ) -> "asyncio.Future[list[Any] | None]":
        """[version, users, [user, entry, …] or None]; or None: the heartbeat of the process has expired.

        `is_restated`: the session has been in the room before, and Redis has forgotten it.
        """
        words = (incarnation, number, user_id, username, int(is_restated))
        return self._run_for_process(PRESENCE_JOIN, room, incarnation, *words)

    def leave(self, room: Channel, incarnation: str, number: int) -> asyncio.Future[int]:
        """1 if the session was in the room, else 0."""
        return self._run_for_process(PRESENCE_LEAVE, room, incarnation, number, self._grace_ms)

    def remove_dead(self, room: Channel, incarnation: str) -> asyncio.Future[int]:
        """How many sessions of the dead process are still in the room."""
        words = (incarnation, self._grace_ms, self._silent_ms)
        return self._run_for_process(PRESENCE_DEAD, room, incarnation, *words)

    def check(self, room: Channel, incarnation: str, processes: Sequence[str]) -> asyncio.Future[int]:
        """1 if the room agrees with its sessions, else 0: check it again soon. `processes`: all with heartbeats."""
        keyspace = self.keyspace
        own = (keyspace.sessions_of_node(room, incarnation), keyspace.rooms_of_node(room.partition, incarnation))
        of_all = (keyspace.sessions_of_node(room, process) for process in processes)
        words = (*self._words(room), self._grace_ms, self._lease_ms)
        return self.pipeline.run_script(PRESENCE_CHECK, (*self._keys(room), *own, *of_all), words)

    async def list_processes(self, part: int) -> list[str]:
        """The processes that have heartbeats in a partition, dead ones until they are forgotten. In order."""
        members = await self.pipeline.send("ZRANGE", self.keyspace.heartbeats(part), 0, -1)
        return sorted(name for member in members if not (name := member.decode()).startswith("."))

    def sweep_room(self, room: Channel) -> asyncio.Future[int]:
        """How many leaves were shown."""
        return self.pipeline.run_script(PRESENCE_SWEEP, self._keys(room), self._words(room))

    def list_users(self, room: Channel, limit: int) -> asyncio.Future[list[Any]]:
        """[version, users, sessions, [user, entry, …]]."""
        return self.pipeline.run_script(PRESENCE_LIST, self._keys(room), (room.name, limit))

    def claim_due(self, part: int) -> asyncio.Future[list[list[bytes]]]:
        """[[room, …], [incarnation of a dead process, …]]."""
        return self.pipeline.run_script(PRESENCE_DUE, (self.keyspace.heartbeats(part), self.keyspace.due(part)), ())

    def forget_dead(self, part: int, incarnation: str) -> asyncio.Future[int]:
        """1 if the dead process is forgotten, else 0."""
        keys = (self.keyspace.heartbeats(part), self.keyspace.rooms_of_node(part, incarnation))
        return self.pipeline.run_script(PRESENCE_FORGET, keys, (incarnation,))

    def _run_for_process(self, script: Script, room: Channel, incarnation: str, *words: Word) -> asyncio.Future[Reply]:
        keyspace = self.keyspace
        of_process = (keyspace.sessions_of_node(room, incarnation), keyspace.rooms_of_node(room.partition, incarnation))
        return self.pipeline.run_script(script, (*self._keys(room), *of_process), (*self._words(room), *words))

    def _keys(self, room: Channel) -> tuple[bytes, ...]:
        return (*self.keyspace.presence(room), room.address)

    def _words(self, room: Channel) -> tuple[Word, ...]:
        return (room.name, self._rules.inline_max, self._rules.events_max)
