"""Why sessions were refused or closed: the last ones of each agent and user, kept in Redis for a day.

What Redis does not take is kept here and repeated, up to `PENDING_MAX`; beyond that the oldest are lost, and counted.
"""

import asyncio
from collections import deque
from collections.abc import Iterable

import orjson

from ..shared.channels import Owner
from ..shared.errors import Unavailable
from ..shared.keyspace import Keyspace
from ..shared.sessions import Disconnect
from .redis.connection import Reply
from .redis.pipeline import AnyPipeline
from .scripts import REMEMBER_GONE

KEPT = 50
"""Disconnects of one owner."""
KEEP_SECONDS = 86_400
PENDING_MAX = 1000


class DisconnectLog:
    """Needs somebody to call `try_again` now and then."""

    def __init__(self, pipeline: AnyPipeline, keyspace: Keyspace) -> None:
        self._pipeline = pipeline
        self._keyspace = keyspace
        self._pending: deque[tuple[Owner, bytes]] = deque()
        self._remembered = 0
        self._forgotten = 0

    def remember(self, owners: Iterable[Owner], disconnect: Disconnect) -> None:
        entry = orjson.dumps(disconnect.as_object())
        for owner in owners:
            self._send(owner, entry)

    def _send(self, owner: Owner, entry: bytes) -> None:
        sent = self._pipeline.run_script(
            REMEMBER_GONE, (self._keyspace.disconnects(owner),), (entry, KEPT, KEEP_SECONDS)
        )
        sent.add_done_callback(lambda done: self._sent(owner, entry, done))

    def _sent(self, owner: Owner, entry: bytes, done: "asyncio.Future[Reply]") -> None:
        if not isinstance(done.exception(), Unavailable):
            self._remembered += 1
            return
        self._pending.append((owner, entry))
        if len(self._pending) > PENDING_MAX:
            self._pending.popleft()
            self._forgotten += 1

    def try_again(self) -> None:
        """Once Redis takes commands: what it has not taken before."""
        pending, self._pending = self._pending, deque()
        for owner, entry in pending:
            self._send(owner, entry)

    async def recent(self, owner: Owner) -> list[Disconnect]:
        """Newest first. Raises Unavailable, and MalformedBytes where something else has written there."""
        entries = await self._pipeline.send("LRANGE", self._keyspace.disconnects(owner), 0, KEPT - 1)
        return [Disconnect.parse(orjson.loads(entry)) for entry in entries]

    def statistics(self) -> dict[str, int]:
        return {"remembered": self._remembered, "pending": len(self._pending), "forgotten": self._forgotten}
