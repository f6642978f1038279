"""Listening to a channel from the command line: a session that comes back after a loss, and goes on where it was.

What was missed is recovered, or read from the history, or told to be missing: `catch_up.py` has the rules of that. When
to reconnect stands in `docs/protocol.md §5`.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlencode
from uuid import uuid4

from ..shared.backoff import full_jitter
from ..shared.errors import BadRequest
from ..shared.names import parse_agent, parse_room
from ..shared.publication import Position
from .api_client import ClientError, check_url
from .catch_up import CatchUp, Frame, Missing, position_of
from .connection import ClientConnection, ConnectionLost, connected

BACKOFF_BASE, BACKOFF_CAP = 0.5, 15.0
STABLE_SECONDS = 10.0
"""A connection that lasted as long was a good one: its loss counts as the first."""


@dataclass(frozen=True, slots=True)
class StatusLine:
    """A sentence about the line, not about what was said."""

    text: str


@dataclass(frozen=True, slots=True)
class StartFrom:
    """Where to begin: behind the offset `since`, or with the last `count` messages."""

    since: int | None = None
    count: int = 0


def websocket_path(target: str) -> str:
    """The endpoint that hears `room:NAME` or `agent:ID`. Raises BadRequest, BadName."""
    kind, _, name = target.partition(":")
    if kind == "room":
        return f"/ws/chat/{quote(parse_room(name))}"
    if kind == "agent":
        return f"/ws/agents/{quote(parse_agent(name))}"
    raise BadRequest(f"{target!r} can't be watched: room:NAME and agent:ID can")


class Subscription:
    """One channel, over one connection after another."""

    def __init__(self, url: str, target: str, beginning: StartFrom, *, comes_back: bool = True) -> None:
        """Raises ClientError, BadRequest, BadName."""
        self._url = check_url(url)
        self._target = target
        self._path = websocket_path(target)
        self._who = {"user_id": f"watch-{uuid4().hex[:8]}", "username": "tannoy watch"}
        self._beginning = beginning
        self._comes_back = comes_back
        self._reading = CatchUp()
        self._was_connected = False
        self._has_begun = False
        self._failures = 0

    async def heard(self) -> AsyncGenerator[Frame | StatusLine]:
        """All frames, each message of them once and in order, and a remark where something happens to the line.

        Raises ClientError where coming back is pointless or not wanted, and where there never was a connection.
        """
        while True:
            began = time.monotonic()
            try:
                async with self._connected() as line, aclosing(self._session(line)) as session:
                    async for told in session:
                        yield told
            except ConnectionLost as lost:
                wait = self._wait(lost, time.monotonic() - began)
                yield StatusLine(f"connection lost ({lost}), coming back in {wait:.1f} s")
                await asyncio.sleep(wait)

    def _wait(self, lost: ConnectionLost, lasted: float) -> float:
        """Seconds until the next try. Raises ClientError if there is to be none."""
        if not self._was_connected:
            raise ClientError(f"can't connect to {self._url}: {lost}. Is a cluster running there?")
        if lost.is_final:
            raise ClientError(f"the cluster closed the connection for good: {lost}")
        if not self._comes_back:
            raise ClientError(f"connection lost: {lost}")
        self._failures = 0 if lasted > STABLE_SECONDS else self._failures
        jitter = full_jitter(self._failures, base=BACKOFF_BASE, cap=BACKOFF_CAP, uniform=random.uniform)
        self._failures += 1
        if lost.retry_after is None:
            return jitter
        # The node's own wish first; one that keeps turning us away can't wish us into a tight loop.
        return lost.retry_after if self._failures == 1 else max(lost.retry_after, jitter)

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[ClientConnection]:
        """Raises ConnectionLost."""
        position = self._reading.position
        query = self._who | ({} if position is None else {"epoch": position.epoch, "offset": str(position.offset)})
        address = f"{self._url.replace('http', 'ws', 1)}{self._path}?{urlencode(query)}"
        async with connected(address) as line:
            self._was_connected = True
            yield line

    # ---- one session

    async def _session(self, line: ClientConnection) -> AsyncGenerator[Frame | StatusLine]:
        welcome = await line.frame()
        yield welcome
        if welcome["type"] == "welcome":
            async for told in self._returned(welcome, line) if self._has_begun else self._arrived(welcome, line):
                yield told
        while True:
            frame = await line.frame()
            if frame["type"] != "message" or self._reading.is_new(frame):
                yield frame
            if frame["type"] == "resync":
                async for told in self._caught_up(position_of(frame), line):
                    yield told

    async def _arrived(self, welcome: Frame, line: ClientConnection) -> AsyncIterator[Frame | StatusLine]:
        """For the first time."""
        yield StatusLine(f"watching {self._target} on {welcome['node']}")
        head, since = position_of(welcome), self._beginning.since
        if head is None:
            if self._beginning != StartFrom():
                yield StatusLine("this cluster keeps no history: there is nothing to begin with")
        elif since is None:
            await self._begin_near(head, line)
        else:
            if since > head.offset:
                yield StatusLine(f"offset {since} is not reached yet: epoch {head.epoch} is at offset {head.offset}")
            self._reading.begin(Position(head.epoch, min(since, head.offset)))
        self._has_begun = True
        if head is not None:
            async for told in self._caught_up(head, line):
                yield told

    async def _begin_near(self, head: Position, line: ClientConnection) -> None:
        """At the head, or before it by as many messages as are wanted and kept."""
        count = self._beginning.count
        page = await line.ask(since=max(0, head.offset - max(1, count)), limit=1)
        kept: list[Frame] = page["messages"] if page and page["epoch"] == head.epoch else []
        if kept and count:
            self._reading.begin(Position(head.epoch, kept[0]["offset"] - 1))
        else:
            self._reading.begin(head, before=[message for message in kept if message["offset"] <= head.offset])

    async def _returned(self, welcome: Frame, line: ClientConnection) -> AsyncIterator[Frame | StatusLine]:
        head, position = position_of(welcome), self._reading.position
        if welcome.get("recovered") and head is not None and position is not None:
            missed = head.offset - position.offset
            yield StatusLine(f"back on {welcome['node']}: {missed} message{'' if missed == 1 else 's'} said meanwhile")
            return
        yield StatusLine(f"back on {welcome['node']}")
        async for told in self._caught_up(head, line):
            yield told

    async def _caught_up(self, head: Position | None, line: ClientConnection) -> AsyncIterator[Frame | StatusLine]:
        async for told in self._reading.catch_up(head, line.ask):
            yield StatusLine(str(told)) if isinstance(told, Missing) else told
