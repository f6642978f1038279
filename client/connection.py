"""A client's connection, for the command line: frames in order, the answer to a question, pings, and how it ended."""

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

ANSWER_SECONDS = 5.0
ASK_TRIES = 5
BACKOFF_BASE, BACKOFF_CAP = 0.5, 2.0
HELD_MAX = 10_000
"""Frames that wait behind a question."""


class ConnectionLost(Exception):
    """The connection has ended. `is_final`: for good, coming back is pointless. `retry_after` is in seconds."""

    def __init__(self, reason: str, *, is_final: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.is_final = is_final
        self.retry_after = retry_after


@asynccontextmanager
async def connected(address: str) -> AsyncGenerator["ClientConnection"]:
    """Raises ConnectionLost, also where there was never a connection."""
    try:
        async with connect(address, subprotocols=[Subprotocol(JSON.subprotocol)], max_size=None) as socket:
            yield ClientConnection(socket)
    except InvalidStatus as refused:
        raise _turned_away(refused) from refused
    except (OSError, InvalidHandshake) as error:
        raise ConnectionLost(str(error) or type(error).__name__) from error


class ClientConnection:
    """Every method raises ConnectionLost."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket
        self._held: deque[Frame] = deque()
        self._ids = itertools.count(1)
        self._bye: Frame = {}

    async def frame(self) -> Frame:
        """The next one, but for pings."""
        return self._held.popleft() if self._held else await self._receive()

    async def ask(self, **fields: int) -> Frame | None:
        """The answer to a `history` command; None if there is none to be had. Frames that come before it wait."""
        for attempt in itertools.count():
            answer = await self._answer_to("history", **fields)
            if answer["type"] == "ok":
                return answer
            if attempt == ASK_TRIES - 1 or answer["code"] not in (ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED):
                break
            await asyncio.sleep(full_jitter(attempt, base=BACKOFF_BASE, cap=BACKOFF_CAP, uniform=random.uniform))
        return None

    async def _answer_to(self, kind: str, **fields: int) -> Frame:
        id = next(self._ids)
        await self._send({"type": kind, "id": id, **fields})
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while len(self._held) < HELD_MAX:
                    frame = await self._receive()
                    if frame.get("id") == id:
                        return frame
                    self._held.append(frame)
        except TimeoutError as error:
            raise ConnectionLost("the node does not answer") from error
        raise ConnectionLost("more is said than can be read")

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
        """What the node's goodbye says; without one, what its close frame says."""
        code, reason = (1006, "without a goodbye") if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)
        code, reason = self._bye.get("code", code), self._bye.get("reason", reason)
        is_final = not self._bye.get("reconnect", code < 4500)
        return ConnectionLost(f"{code} {reason}", is_final=is_final, retry_after=self._bye.get("retry_after"))


def _turned_away(refused: InvalidStatus) -> ConnectionLost:
    """The handshake was answered with an error: 503 and 429 pass, another 4xx does not."""
    response = refused.response
    retry_after = response.headers.get("Retry-After", "")
    return ConnectionLost(
        f"HTTP {response.status_code}",
        is_final=400 <= response.status_code < 500 and response.status_code != 429,
        retry_after=float(retry_after) if retry_after.isdecimal() else None,
    )
