"""One WebSocket connection of a client: frames in order, answers to commands, pings, and the reason of its end."""

import asyncio
import itertools
import json
import random
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection as WebSocketConnection
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from ..shared.backoff import full_jitter
from ..shared.codes import ErrorCode
from ..shared.protocol.codec import JSON
from .catch_up import Frame
from .errors import ConnectionLost
from .proxies import Proxy

ANSWER_TIMEOUT = 5.0
"""Seconds in which a node has to answer a command."""
HISTORY_TRIES = 5
"""Requests for a page of history until it counts as unavailable."""
BACKOFF_BASE, BACKOFF_CAP = 0.5, 2.0
"""Seconds between two tries, with full jitter."""
QUEUED_FRAMES_MAX = 10_000
"""Frames that are kept while an answer is awaited."""


@asynccontextmanager
async def open_connection(address: str, proxy: Proxy | None) -> AsyncGenerator["ClientConnection"]:
    """Connect to a WebSocket URL for the length of a block, through a proxy if there is one.

    Raises ConnectionLost, also if connecting fails.
    """
    protocols, way = [Subprotocol(JSON.subprotocol)], None if proxy is None else proxy.url
    try:
        async with connect(address, subprotocols=protocols, max_size=None, proxy=way) as socket:
            yield ClientConnection(socket)
    except InvalidStatus as refused:
        raise _handshake_refused(refused) from refused
    except (OSError, InvalidHandshake) as error:
        raise ConnectionLost(str(error) or type(error).__name__) from error


class ClientConnection:
    """Every method raises ConnectionLost."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket
        self._queued: deque[Frame] = deque()
        self._ids = itertools.count(1)
        self._bye: Frame = {}

    async def next_frame(self) -> Frame:
        """The next frame. Pings are answered and left out."""
        return self._queued.popleft() if self._queued else await self._receive()

    async def request_history(self, **fields: int) -> Frame | None:
        """The `ok` frame of a `history` command, or None if the node refused it. Other frames are queued meanwhile.

        Tried again, with back-off, while the node answers `unavailable` or `rate_limited`.
        """
        for attempt in itertools.count():
            answer = await self._call("history", **fields)
            if answer["type"] == "ok":
                return answer
            if attempt == HISTORY_TRIES - 1 or answer["code"] not in (ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED):
                break
            await asyncio.sleep(full_jitter(attempt, base=BACKOFF_BASE, cap=BACKOFF_CAP, uniform=random.uniform))
        return None

    async def _call(self, kind: str, **fields: int) -> Frame:
        """Send a command and wait for its answer."""
        id = next(self._ids)
        await self._send({"type": kind, "id": id, **fields})
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                while len(self._queued) < QUEUED_FRAMES_MAX:
                    frame = await self._receive()
                    if frame.get("id") == id:
                        return frame
                    self._queued.append(frame)
        except TimeoutError as error:
            raise ConnectionLost(f"the node did not answer within {ANSWER_TIMEOUT:g} s") from error
        raise ConnectionLost(f"more than {QUEUED_FRAMES_MAX} frames came before the answer")

    async def _receive(self) -> Frame:
        while True:
            try:
                frame: Frame = json.loads(await self._socket.recv())
            except ConnectionClosed as closed:
                raise self._lost(closed) from closed
            if frame["type"] == "ping":
                await self._send({"type": "pong"})
            else:
                self._bye = frame if frame["type"] == "bye" else self._bye
                return frame

    async def _send(self, frame: Frame) -> None:
        try:
            await self._socket.send(json.dumps(frame))
        except ConnectionClosed as closed:
            raise self._lost(closed) from closed

    def _lost(self, closed: ConnectionClosed) -> ConnectionLost:
        """The reason in the node's `bye`; without a `bye`, the reason in its close frame."""
        code, reason = (1006, "no close frame") if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)
        code, reason = self._bye.get("code", code), self._bye.get("reason", reason)
        is_final = not self._bye.get("reconnect", code < 4500)
        return ConnectionLost(f"{code} {reason}", is_final=is_final, retry_after=self._bye.get("retry_after"))


def _handshake_refused(refused: InvalidStatus) -> ConnectionLost:
    """The handshake was answered with an HTTP error: 5xx and 429 are temporary, every other 4xx is final."""
    response = refused.response
    retry_after = response.headers.get("Retry-After", "")
    return ConnectionLost(
        f"HTTP {response.status_code}",
        is_final=400 <= response.status_code < 500 and response.status_code != 429,
        retry_after=float(retry_after) if retry_after.isdecimal() else None,
    )
