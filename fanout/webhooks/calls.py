"""The scripts of the HTTP hooks as typed calls. Every call raises Unavailable."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from ...shared.errors import MalformedBytes
from ...shared.keyspace import Keyspace
from ..backlog import Waiting, read_waiting
from ..batches import batched
from ..redis.pipeline import AnyPipeline
from ..scripts import HOOKS_BURY, HOOKS_DEAD, HOOKS_LEAD, HOOKS_READ, HOOKS_RESEND, HOOKS_SESSIONS
from ..unreadable import UnreadableData, parse_incarnation
from .events import Event, EventReader, QueuedEvent

DEAD_LETTERS_MAX = 10_000
"""That Redis keeps; then the oldest go, and are counted."""
RESENT_AT_ONCE = 100
"""Dead letters in one call of a script: Redis carries out nothing else meanwhile, for 4 ms where each has 64 KB."""
LISTED_AT_ONCE = 16
"""Dead letters that Redis is asked for at once: their size shows only when they are read."""
LISTED_MAX_BYTES = 1_048_576
"""Of the events of one list, from which on no more are read."""


class SessionChange(NamedTuple):
    """A session has opened or closed. `is_told`: the target hears of it; else it is only remembered or forgotten."""

    has_opened: bool
    is_told: bool
    number: int
    event: Event

    def words(self) -> tuple[str, int, bytes]:
        what = "o" if self.has_opened else "c"
        return (what.upper() if self.is_told else what, self.number, orjson.dumps(self.event))


class DeadLetter(NamedTuple):
    """An event that was not delivered. `id`: of the letter, and no event's."""

    id: str
    event: Event
    reason: str


class HookCalls:
    """`backlog`: events of a partition that may wait for delivery."""

    def __init__(
        self,
        pipeline: AnyPipeline,
        keyspace: Keyspace,
        reader: EventReader,
        *,
        backlog: int,
        unreadable: UnreadableData | None = None,
    ) -> None:
        self.pipeline = pipeline
        self._keyspace = keyspace
        self._reader = reader
        self._backlog = backlog
        self._unreadable = unreadable or UnreadableData()

    # ---- delivery

    async def lead(self, process: str, milliseconds: int) -> bool:
        """Whether this process is the one that delivers, for so long. 0: another one may be it from now on."""
        key = self._keyspace.hooks_leader()
        return bool(await self.pipeline.run_script(HOOKS_LEAD, (key,), (process, milliseconds)))

    async def waiting(self) -> dict[int, Waiting]:
        """Of each partition in which anything waits, or has been lost."""
        return await read_waiting(self.pipeline, self._keyspace.hooks, self._keyspace.hooks_lost)

    async def read(self, partition: int, events: int, max_bytes: int) -> list[QueuedEvent]:
        """The oldest events that wait. What no node has written is counted, and removed."""
        key = self._keyspace.hooks(partition)
        found: list[QueuedEvent] = []
        odd: list[bytes] = []
        for entry_id, words in await self.pipeline.run_script(HOOKS_READ, (key,), (events, max_bytes)):
            try:
                found.append(self._reader.read(partition, entry_id, words))
            except MalformedBytes as error:
                self._unreadable.note(key, str(error))
                odd.append(entry_id)
        if odd:
            await self.pipeline.send("XDEL", key, *odd)
        return found

    async def confirm(self, events: Sequence[QueuedEvent]) -> None:
        """These are delivered, or dead letters: they wait no more."""
        ids: dict[int, list[bytes]] = {}
        for event in events:
            ids.setdefault(event.partition, []).append(event.entry_id)
        await asyncio.gather(
            *(self.pipeline.send("XDEL", self._keyspace.hooks(part), *those) for part, those in ids.items())
        )

    # ---- sessions

    async def tell_sessions(self, incarnation: str, changes: Sequence[SessionChange]) -> None:
        """Sessions of a process have opened or closed, in this order. To repeat it tells of none twice, but of closes,
        with the same id.
        """
        keys = (*self._hooks(), *self._keyspace.hooks_sessions(incarnation))
        words = [word for change in changes for word in change.words()]
        await self.pipeline.run_script(HOOKS_SESSIONS, keys, (self._backlog, incarnation, *words))

    async def list_processes(self) -> list[str]:
        """Those that have told of sessions, until the last one of a dead process has been told of."""
        _, key = self._keyspace.hooks_sessions("")
        members: list[bytes] = await self.pipeline.send("SMEMBERS", key)
        names = {member: parse_incarnation(member) for member in members}
        await self._unreadable.remove(self.pipeline, "SREM", key, *(member for member in names if not names[member]))
        return sorted(name for name in names.values() if name)

    async def end_dead(self, incarnation: str, *, is_told: bool) -> int:
        """How many sessions of a dead process are left to be told of; -1: it is alive."""
        keys = (*self._hooks(), *self._keyspace.hooks_sessions(incarnation), self._keyspace.heartbeats(0))
        return int(await self.pipeline.run_script(HOOKS_DEAD, keys, (self._backlog, incarnation, int(is_told))))

    # ---- dead letters

    async def bury(self, events: Sequence[Event], reason: str) -> None:
        words = [word for event in events for word in (orjson.dumps(event), reason)]
        await self.pipeline.run_script(HOOKS_BURY, self._keyspace.hooks_dead(), (DEAD_LETTERS_MAX, *words))

    async def list_dead(self, limit: int, after: str | None) -> list[DeadLetter]:
        """The oldest ones, behind the one with the id `after`; fewer, but one, where they are large."""
        key, _ = self._keyspace.hooks_dead()
        letters: list[DeadLetter] = []
        size = 0
        while len(letters) < limit and size < LISTED_MAX_BYTES:
            start = "-" if after is None else f"({after}"
            asked = min(limit - len(letters), LISTED_AT_ONCE)
            entries = await self.pipeline.send("XRANGE", key, start, "+", "COUNT", asked)
            for entry_id, words in entries:
                letters.append(DeadLetter(entry_id.decode(), orjson.loads(words[1]), words[3].decode()))
                size += len(words[1])
            if len(entries) < asked:
                break
            after = letters[-1].id
        return letters

    async def count_dead(self) -> tuple[int, int]:
        """How many there are, and how many had to go for want of room."""
        letters, lost = self._keyspace.hooks_dead()
        count, gone = await asyncio.gather(self.pipeline.send("XLEN", letters), self.pipeline.send("GET", lost))
        return int(count), int(gone or 0)

    async def resend(self, ids: Sequence[str]) -> int:
        """Let these dead letters wait for delivery again; how many there were."""
        letters, _ = self._keyspace.hooks_dead()
        keys = (*self._hooks(), letters)
        count = 0
        for some in batched(ids, RESENT_AT_ONCE):
            count += int(await self.pipeline.run_script(HOOKS_RESEND, keys, (self._backlog, *some)))
        return count

    async def delete_dead(self, ids: Sequence[str]) -> int:
        """How many there were."""
        letters, _ = self._keyspace.hooks_dead()
        return int(await self.pipeline.send("XDEL", letters, *ids))

    def _hooks(self) -> tuple[bytes, bytes]:
        """Where what concerns no room waits."""
        return self._keyspace.hooks(0), self._keyspace.hooks_lost(0)
