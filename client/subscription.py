"""A subscription to a channel that reconnects after a loss and goes on at its position.

What was missed is recovered on connect, or read from the history, or reported as missing: `catch_up.py` has these
rules. When a client may reconnect is in docs/protocol.md §5.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import uuid4

from ..shared.backoff import full_jitter
from ..shared.publication import Position
from .catch_up import CatchUp, Frame, Missing, position_of
from .connection import ClientConnection, open_connection
from .errors import ClientError, ConnectionLost
from .proxies import describe_way, find_proxy
from .targets import check_url, websocket_path

BACKOFF_BASE, BACKOFF_CAP = 0.5, 15.0
"""Seconds until the next connection, with full jitter."""
STABLE_SECONDS = 10.0
"""After a connection that lasted longer, the back-off starts anew."""


@dataclass(frozen=True, slots=True)
class StatusLine:
    """A sentence about the state of the connection, not about a message."""

    text: str


@dataclass(frozen=True, slots=True)
class StartFrom:
    """Where to start: after the offset `since`, or with the last `count` messages."""

    since: int | None = None
    count: int = 0


class Subscription:
    """One channel, over one connection after another."""

    def __init__(self, url: str, target: str, start: StartFrom, *, reconnects: bool = True) -> None:
        """`target` is `room:NAME` or `agent:ID`. Raises ClientError, BadRequest, BadName."""
        self._url = check_url(url)
        self._proxy = find_proxy(self._url)
        self._target = target
        self._path = websocket_path(target)
        self._identity = {"user_id": f"watch-{uuid4().hex[:8]}", "username": "tannoy watch"}
        self._start = start
        self._reconnects = reconnects
        self._reading = CatchUp()
        self._was_connected = False
        self._has_started = False
        self._failures = 0

    async def frames(self) -> AsyncGenerator[Frame | StatusLine]:
        """All frames, each message once and in order, and a StatusLine where the state of the connection changes.

        Raises ClientError if the first connection fails, if the node says not to reconnect, and, without
        `reconnects`, when the connection is lost.
        """
        while True:
            began = time.monotonic()
            try:
                async with self._connect() as connection, aclosing(self._run_session(connection)) as session:
                    async for item in session:
                        yield item
            except ConnectionLost as lost:
                wait = self._seconds_until_retry(lost, time.monotonic() - began)
                yield StatusLine(f"connection lost ({lost}), reconnecting in {wait:.1f} s")
                await asyncio.sleep(wait)

    def _seconds_until_retry(self, lost: ConnectionLost, lasted: float) -> float:
        """`lasted` is in seconds. Raises ClientError if there is to be no further try."""
        if not self._was_connected:
            raise ClientError(
                f"can't connect to {self._url}{describe_way(self._proxy)}: {lost}. Is a cluster running there?"
            )
        if lost.is_final:
            raise ClientError(f"the cluster closed the connection for good: {lost}")
        if not self._reconnects:
            raise ClientError(f"connection lost: {lost}")
        self._failures = 0 if lasted > STABLE_SECONDS else self._failures
        jitter = full_jitter(self._failures, base=BACKOFF_BASE, cap=BACKOFF_CAP, uniform=random.uniform)
        self._failures += 1
        if lost.retry_after is None:
            return jitter
        # The first retry follows the node. A node that refuses again and again can't cause a tight loop.
        return lost.retry_after if self._failures == 1 else max(lost.retry_after, jitter)

    @asynccontextmanager
    async def _connect(self) -> AsyncGenerator[ClientConnection]:
        """Connect, with the position to recover from. Raises ConnectionLost."""
        position = self._reading.position
        query = self._identity | ({} if position is None else {"epoch": position.epoch, "offset": str(position.offset)})
        address = f"{self._url.replace('http', 'ws', 1)}{self._path}?{urlencode(query)}"
        async with open_connection(address, self._proxy) as connection:
            self._was_connected = True
            yield connection

    # ---- one session

    async def _run_session(self, connection: ClientConnection) -> AsyncGenerator[Frame | StatusLine]:
        welcome = await connection.next_frame()
        yield welcome
        if welcome["type"] == "welcome":
            begin = self._continue_reading if self._has_started else self._start_reading
            async for item in begin(welcome, connection):
                yield item
        while True:
            frame = await connection.next_frame()
            if frame["type"] != "message" or self._reading.accept(frame):
                yield frame
            if frame["type"] == "resync":
                async for item in self._read_missed(position_of(frame), connection):
                    yield item

    async def _start_reading(self, welcome: Frame, connection: ClientConnection) -> AsyncIterator[Frame | StatusLine]:
        """In the first session: find the position to start from, and read up to the head."""
        yield StatusLine(f"watching {self._target} on {welcome['node']}")
        head, since = position_of(welcome), self._start.since
        if head is None:
            if self._start != StartFrom():
                yield StatusLine("this cluster keeps no history: only new messages can be shown")
        elif since is None:
            await self._start_near(head, connection)
        else:
            if since > head.offset:
                yield StatusLine(f"offset {since} is not reached yet: epoch {head.epoch} is at offset {head.offset}")
            self._reading.start_after(Position(head.epoch, min(since, head.offset)))
        self._has_started = True
        if head is not None:
            async for item in self._read_missed(head, connection):
                yield item

    async def _start_near(self, head: Position, connection: ClientConnection) -> None:
        """Start at the head, or before it by the wanted number of messages, as far as they are kept."""
        count = self._start.count
        page = await connection.request_history(since=max(0, head.offset - max(1, count)), limit=1)
        kept: list[Frame] = page["messages"] if page and page["epoch"] == head.epoch else []
        if kept and count:
            self._reading.start_after(Position(head.epoch, kept[0]["offset"] - 1))
        else:
            known = [message for message in kept if message["offset"] <= head.offset]
            self._reading.start_after(head, known)

    async def _continue_reading(
        self, welcome: Frame, connection: ClientConnection
    ) -> AsyncIterator[Frame | StatusLine]:
        """After a reconnect: the node recovers what was missed, or it is read from the history."""
        head, position = position_of(welcome), self._reading.position
        if welcome.get("recovered") and head is not None and position is not None:
            missed = head.offset - position.offset
            messages = "1 message" if missed == 1 else f"{missed} messages"
            yield StatusLine(f"reconnected to {welcome['node']}: {messages} published meanwhile")
            return
        yield StatusLine(f"reconnected to {welcome['node']}")
        async for item in self._read_missed(head, connection):
            yield item

    async def _read_missed(
        self, head: Position | None, connection: ClientConnection
    ) -> AsyncIterator[Frame | StatusLine]:
        async for item in self._reading.read_missed(head, connection.request_history):
            yield StatusLine(str(item)) if isinstance(item, Missing) else item
