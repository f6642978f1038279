"""The presence scripts as calls: which keys and which words each of them takes."""

import asyncio
from dataclasses import dataclass

from ...shared.channels import Channel
from ...shared.keyspace import Keyspace
from ...shared.names import UserId
from ..lease_times import DEFAULT_TIMES, LeaseTimes
from ..redis.connection import Reply, Word
from ..redis.pipeline import AnyPipeline
from ..redis.script import Script
from ..scripts import (
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
    PRESENCE_LIST,
    PRESENCE_DUE,
    PRESENCE_FORGET,
)
"""What a pipeline that is used for presence has to load."""


@dataclass(frozen=True, slots=True)
class PresenceRules:
    inline_max: int
    """Users that a snapshot or an event lists; rooms with more are told without the list."""
    events_max: int
    """Users beyond which a room's changes are told as counts."""
    grace: float
    """Seconds in which a user may come back before its leave is shown."""


class PresenceCalls:
    """Each method is one script; `scripts.py` says what it returns. All futures raise Unavailable."""

    def __init__(
        self, pipeline: AnyPipeline, keyspace: Keyspace, rules: PresenceRules, times: LeaseTimes = DEFAULT_TIMES
    ) -> None:
        self.pipeline = pipeline
        self.keyspace = keyspace
        self._rules = rules
        self._silent_ms = times.silent_ms
        self._grace_ms = round(rules.grace * 1000)

    def join(
        self, room: Channel, incarnation: str, number: int, user_id: UserId, username: str, *, again: bool = False
    ) -> asyncio.Future[Reply]:
        """`again`: it has been there all the while, and Redis has forgotten it."""
        return self._of_process(PRESENCE_JOIN, room, incarnation, incarnation, number, user_id, username, int(again))

    def leave(self, room: Channel, incarnation: str, number: int) -> asyncio.Future[Reply]:
        return self._of_process(PRESENCE_LEAVE, room, incarnation, number, self._grace_ms)

    def dead(self, room: Channel, incarnation: str) -> asyncio.Future[Reply]:
        words = (incarnation, self._grace_ms, self._silent_ms)
        return self._of_process(PRESENCE_DEAD, room, incarnation, *words)

    def sweep(self, room: Channel) -> asyncio.Future[Reply]:
        return self.pipeline.run_script(PRESENCE_SWEEP, self._keys(room), self._words(room))

    def list(self, room: Channel, limit: int) -> asyncio.Future[Reply]:
        return self.pipeline.run_script(PRESENCE_LIST, self._keys(room), (room.name, limit))

    def due(self, part: int) -> asyncio.Future[Reply]:
        return self.pipeline.run_script(PRESENCE_DUE, (self.keyspace.heartbeats(part), self.keyspace.due(part)), ())

    def forget(self, part: int, incarnation: str) -> asyncio.Future[Reply]:
        keys = (self.keyspace.heartbeats(part), self.keyspace.rooms_of_node(part, incarnation))
        return self.pipeline.run_script(PRESENCE_FORGET, keys, (incarnation,))

    def _of_process(self, script: Script, room: Channel, incarnation: str, *words: Word) -> asyncio.Future[Reply]:
        keyspace = self.keyspace
        of_process = (keyspace.sessions_of_node(room, incarnation), keyspace.rooms_of_node(room.partition, incarnation))
        return self.pipeline.run_script(script, (*self._keys(room), *of_process), (*self._words(room), *words))

    def _keys(self, room: Channel) -> tuple[bytes, ...]:
        return (*self.keyspace.presence(room), room.address)

    def _words(self, room: Channel) -> tuple[Word, ...]:
        return (room.name, self._rules.inline_max, self._rules.events_max)
