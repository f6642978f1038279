"""Why sessions were refused or closed: the last entries of each agent and user, kept in Redis for a day.

Bounded in all: clients that are refused under ever new names push out the owners whose last entry is oldest.

What Redis does not confirm is kept here and sent again. Beyond PENDING_MAX the oldest are lost, and counted.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from ..shared.channels import Owner
from ..shared.errors import MalformedBytes, Unavailable
from ..shared.keyspace import Keyspace
from ..shared.sessions import Disconnect
from .redis.answers import ignore_failure
from .redis.connection import Reply
from .redis.pipeline import AnyPipeline
from .scripts import REMEMBER_GONE
from .unreadable import UnreadableData, parse_owner_member

KEPT = 50
"""Entries of one owner."""
OWNERS_MAX = 256
"""Owners of one partition that have entries: 16,384 in all."""
KEEP_SECONDS = 86_400
"""A day, from the last entry on: for an operator who looks the next morning."""
PENDING_MAX = 1000
"""Entries that Redis has not confirmed: they are for people, and may not fill the memory during an outage."""


@dataclass(frozen=True, slots=True)
class DisconnectLogStatistics:
    remembered: int
    """Entries since the start that Redis has confirmed."""
    pending: int
    """Entries that it has not."""
    forgotten: int
    """Entries since the start that were lost, because more than PENDING_MAX were pending."""


class DisconnectLog:
    """Needs `send_pending` to be called now and then."""

    def __init__(self, pipeline: AnyPipeline, keyspace: Keyspace, unreadable: UnreadableData | None = None) -> None:
        self._unreadable = unreadable or UnreadableData()
        self._pipeline = pipeline
        self._keyspace = keyspace
        self._pending: deque[tuple[Owner, bytes]] = deque()
        self._remembered = 0
        self._forgotten = 0

    def remember(self, owners: Iterable[Owner], disconnect: Disconnect) -> None:
        """Add an entry to the log of each owner."""
        entry = orjson.dumps(disconnect.as_object())
        for owner in owners:
            self._send(owner, entry)

    def _send(self, owner: Owner, entry: bytes) -> None:
        """Sending an entry twice is harmless: the script adds it once."""
        keys = (self._keyspace.disconnects(owner), self._keyspace.owners_with_disconnects(owner.partition))
        words = (entry, KEPT, KEEP_SECONDS, owner.member, OWNERS_MAX)
        sent = self._pipeline.run_script(REMEMBER_GONE, keys, words)
        sent.add_done_callback(lambda done: self._on_answer(owner, entry, done))

    def _on_answer(self, owner: Owner, entry: bytes, done: "asyncio.Future[Reply]") -> None:
        if not isinstance(done.exception(), Unavailable):
            self._remembered += 1
            if done.exception() is None:
                self._delete(owner.partition, done.result())
            return
        self._pending.append((owner, entry))
        if len(self._pending) > PENDING_MAX:
            self._pending.popleft()
            self._forgotten += 1

    def _delete(self, partition: int, members: Iterable[bytes]) -> None:
        """Delete the entries of owners that are too many. What Redis does not confirm is gone after a day."""
        for member in members:
            if owner := parse_owner_member(member, partition):
                self._pipeline.send("DEL", self._keyspace.disconnects(owner)).add_done_callback(ignore_failure)
            else:
                self._unreadable.note(self._keyspace.owners_with_disconnects(partition), member)

    def send_pending(self) -> None:
        """Send again what Redis has not confirmed; to be called while it takes commands."""
        pending, self._pending = self._pending, deque()
        for owner, entry in pending:
            self._send(owner, entry)

    async def recent(self, owner: Owner) -> list[Disconnect]:
        """Newest first. Raises Unavailable."""
        key = self._keyspace.disconnects(owner)
        found: list[Disconnect] = []
        for entry in await self._pipeline.send("LRANGE", key, 0, KEPT - 1):
            try:
                found.append(Disconnect.parse(orjson.loads(entry)))
            except (MalformedBytes, orjson.JSONDecodeError):
                self._unreadable.note(key, entry)  # the list is trimmed with each entry that comes
        return found

    def statistics(self) -> DisconnectLogStatistics:
        return DisconnectLogStatistics(
            remembered=self._remembered, pending=len(self._pending), forgotten=self._forgotten
        )
