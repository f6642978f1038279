"""A connection of an attacker: bytes of its choice, and what the node answers. How the node ends it is an outcome."""

import asyncio
import re
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import msgpack
import orjson

from tests.attack.writing import text
from tests.chaos.harness.frames import frames_in
from tests.support.client_frames import CLOSE, PING, PONG, TEXT

PIECE = 65_536
LEAST = 200_000
"""Bytes below which an attacker begins no further round: what it could still send would not end it."""
LEAVES_WITHIN = 2.0
VERDICTS = ("bye", "close", "HTTP 4", "HTTP 5")
_HANDSHAKE_MAX = 1000
_PONG = text({"type": "pong"})
_PARSED_MAX = 4096
"""Bytes of a frame that is looked at; of larger ones only the size counts."""
_status_lines = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


class Gone(Exception):
    """The node has ended the connection."""


class Spent(Exception):
    """The attacker has sent as much as it may."""


class Budget:
    """Bytes that an attacker may send, over all its connections."""

    def __init__(self, allowed: int) -> None:
        self.left = allowed

    def at_most(self, size: int) -> int:
        """So many bytes, or what is left of the budget, a handshake aside. Raises Spent if that is not worth it."""
        left = self.left - _HANDSHAKE_MAX
        if left < min(size, LEAST):
            raise Spent
        return min(size, left)

    def take(self, size: int) -> None:
        """Raises Spent."""
        if size > self.left:
            raise Spent
        self.left -= size


def handshake(path: str, *headers: str) -> bytes:
    return _HANDSHAKE.format(path=path, more="".join(f"{header}\r\n" for header in headers)).encode()


class Peer(asyncio.Protocol):
    """One connection. `seen` counts what came: "HTTP 101", "ok", "error bad_request", "bye 4505", "close 1002".

    It reads all the time, unless `stop_reading` was called.
    """

    def __init__(self, budget: Budget) -> None:
        loop = asyncio.get_running_loop()
        self.seen: Counter[str] = Counter()
        self.received = 0
        """Bytes."""
        self.ended: asyncio.Future[None] = loop.create_future()
        self._budget = budget
        self._buffer = bytearray()
        self._is_upgraded = False
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._something_came = asyncio.Event()
        self._transport: asyncio.Transport

    @classmethod
    async def connect(cls, port: int, budget: Budget, *, receive_buffer: int | None = None) -> "Peer":
        """`receive_buffer`: bytes that this end's kernel takes, for those who do not read. Raises Gone."""
        raw = socket.socket()
        raw.setblocking(False)
        if receive_buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(raw, ("127.0.0.1", port))
        except OSError as error:
            raw.close()
            raise Gone from error
        _, peer = await loop.create_connection(lambda: cls(budget), sock=raw)
        return peer

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._buffer += data
        if self._is_upgraded:
            self._read_frames()
        else:
            self._read_answers()
        self._something_came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._may_write.set()
        self._something_came.set()
        if not self.ended.done():
            self.ended.set_result(None)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    # ---- what came

    def _read_answers(self) -> None:
        while found := _status_lines.search(self._buffer):
            status = int(found[1])
            if status == 101:
                head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
                if len(head) + 4 + len(rest) > len(self._buffer):
                    return  # the head is not complete
                self.seen["HTTP 101"] += 1
                self._is_upgraded = True
                self._buffer = bytearray(rest)
                self._read_frames()
                return
            self.seen[f"HTTP {status}"] += 1
            del self._buffer[: found.end()]
        del self._buffer[: max(0, len(self._buffer) - 16)]  # the beginning of a status line may have come

    def _read_frames(self) -> None:
        for opcode, payload in frames_in(self._buffer):
            if opcode == CLOSE:
                self.seen[f"close {int.from_bytes(payload[:2], 'big')}"] += 1
            elif opcode in (PING, PONG):
                self.seen["RFC ping" if opcode == PING else "RFC pong"] += 1
            elif len(payload) > _PARSED_MAX:
                self.seen["large frame"] += 1
            else:
                decoded = orjson.loads(payload) if opcode == TEXT else msgpack.unpackb(payload)
                self._note(cast("dict[str, Any]", decoded))

    def _note(self, frame: dict[str, Any]) -> None:
        kind = str(frame["type"])
        if kind == "ping":
            self._transport.write(_PONG)  # does not count: it is what any client sends
        if kind in ("error", "bye"):
            kind += f" {frame['code']}"
        self.seen[kind] += 1

    # ---- what the attacker does

    async def send(self, data: bytes) -> None:
        """Returns when the kernel has nearly all of it. Raises Gone, or Spent with nothing of it sent."""
        self._budget.take(len(data))
        for start in range(0, len(data), PIECE):
            await self._may_write.wait()
            if self.ended.done() or self._transport.is_closing():
                raise Gone
            self._transport.write(data[start : start + PIECE])
        await asyncio.sleep(0)

    async def upgrade(self, path: str, *headers: str) -> None:
        """The opening handshake; returns behind `welcome`. Raises Gone if there is none."""
        await self.send(handshake(path, *headers))
        await self.until(lambda: self.seen["welcome"] > 0 or self.seen["large frame"] > 0)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Until what came fulfils the condition. Raises Gone if the connection ends before."""
        while not condition():
            if self.ended.done():
                raise Gone
            self._something_came.clear()
            await self._something_came.wait()

    async def saw(self, *kinds: str) -> None:
        """Until one of these has come. Raises Gone."""
        await self.until(lambda: any(self.seen[kind] for kind in kinds))

    async def ask(self, data: bytes, answers: int = 1, *kinds: str) -> None:
        """Send, and wait until so many further ones have come, of these kinds or of any. Raises Gone, or Spent."""
        wanted = self._count(kinds) + answers
        await self.send(data)
        await self.until(lambda: self._count(kinds) >= wanted)

    def _count(self, kinds: tuple[str, ...]) -> int:
        return sum(self.seen[kind] for kind in kinds) if kinds else self.seen.total()

    def stop_reading(self) -> None:
        self._transport.pause_reading()

    def read_on(self) -> None:
        with suppress(RuntimeError):  # it has ended
            self._transport.resume_reading()

    def abort(self) -> None:
        """End it without a closing handshake, if it has not ended."""
        if not self.ended.done() and not self._transport.is_closing():
            self._transport.abort()

    async def ending(self, within: float) -> str:
        """What the node did with this connection: the `bye`, the close frame, the refusal, or none of them.

        Waits for any of them, and for at most `within` seconds.
        """
        with suppress(Gone, TimeoutError):
            async with asyncio.timeout(within):
                await self.until(lambda: self._verdict is not None)
        return self._verdict or ("ended" if self.ended.done() else "served")

    @property
    def _verdict(self) -> str | None:
        """The most telling thing that has come."""
        return next((what for kind in VERDICTS for what in self.seen if what.startswith(kind)), None)

    async def close(self) -> None:
        self.abort()
        await asyncio.wait((self.ended,), timeout=LEAVES_WITHIN)
