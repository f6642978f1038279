"""A client for the benchmarks that wait for single frames: JSON, with the `websockets` library."""

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

from .errors import BenchError

Frame = dict[str, Any]
FRAME_TIMEOUT = 20.0
"""Seconds in which an expected frame has to come; more than any needs."""


class Session:
    """One WebSocket connection. Frames that are not expected yet are queued."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._queued: deque[Frame] = deque()

    @classmethod
    async def open(cls, url: str) -> Self:
        return cls(await connect(url, max_size=None, compression=None))

    async def call(self, type: str, **fields: Any) -> Frame:
        """Send a command; returns its `ok`. Raises BenchError if it is refused or not answered."""
        id = next(self._ids)
        await self._socket.send(json.dumps({"type": type, "id": id, **fields}))
        answer = await self.find(lambda frame: frame.get("id") == id)
        if answer["type"] != "ok":
            raise BenchError(f"{type} was refused: {answer['code']}")
        return answer

    async def expect(self, type: str) -> Frame:
        """The next frame of a type. Raises BenchError."""
        return await self.find(lambda frame: frame["type"] == type)

    async def find(self, matches: Callable[[Frame], bool]) -> Frame:
        """The first queued or received frame that matches. Raises BenchError."""
        for frame in self._queued:
            if matches(frame):
                self._queued.remove(frame)
                return frame
        try:
            async with asyncio.timeout(FRAME_TIMEOUT):
                while not matches(frame := await self._receive()):
                    self._queued.append(frame)
        except TimeoutError:
            raise BenchError(f"an expected frame did not come within {FRAME_TIMEOUT:g} s") from None
        return frame

    async def _receive(self) -> Frame:
        while True:
            frame: Frame = json.loads(await self._socket.recv())
            if frame["type"] != "ping":
                return frame
            await self._socket.send('{"type":"pong"}')

    async def close(self) -> None:
        await self._socket.close()

    def abort(self) -> None:
        """Close the TCP connection without a closing handshake."""
        self._socket.transport.abort()
