"""Raw WebSocket clients that only count received messages.

A frame that contains the payload is a message. Other frames (pings, presence, greetings) are answered if the dialect
says so, else ignored. Most sockets of a room receive the same bytes, so a chunk that equals the one parsed last is not
parsed again.
"""

import asyncio
import base64
import hashlib
import os
import socket
from collections.abc import Callable, Sequence
from itertools import count as counting
from typing import cast

from .dialects import Dialect
from .errors import BenchError

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_MASK = os.urandom(4)
CONNECT_SECONDS = 20.0


def encode_frame(text: bytes, opcode: int = _TEXT) -> bytes:
    """A masked frame, as RFC 6455 requires of clients."""
    size = len(text)
    if size < 126:
        head = bytes([0x80 | opcode, 0x80 | size])
    else:
        head = bytes([0x80 | opcode, 0x80 | 126]) + size.to_bytes(2)
    key = int.from_bytes((_MASK * (size // 4 + 1))[:size])
    return head + _MASK + (int.from_bytes(text) ^ key).to_bytes(size)


class Crowd:
    """Counts the messages of several sockets, and notices when the last of them has received a message."""

    __slots__ = ("_levels", "chunk", "chunk_messages", "everyone_has", "failure", "on_progress", "sample", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.everyone_has = 0  # messages that every socket has received
        self.on_progress: Callable[[int], None] | None = None
        self.failure: str | None = None
        self.chunk = b""  # the chunk parsed last, and its number of messages
        self.chunk_messages = 0
        self.sample = b""  # a message as it was received, to see its fields
        self._levels = [size]  # at k: the number of sockets that have received exactly k messages

    def expect(self, messages: int) -> None:
        """Expect this many further messages."""
        self._levels.extend([0] * messages)

    def advance(self, before: int, messages: int) -> None:
        """A socket that had received `before` messages has received `messages` more."""
        levels = self._levels
        if before + messages >= len(levels):
            self.failure = "a socket got more messages than were sent"
            return
        levels[before] -= 1
        levels[before + messages] += 1
        if before == self.everyone_has and not levels[before]:
            low = before + 1
            while not levels[low]:
                low += 1
            self.everyone_has = low
            if self.on_progress is not None:
                self.on_progress(low)


class Client(asyncio.Protocol):
    """One socket: its own opening handshake, then a count of the received messages."""

    __slots__ = ("_crowd", "_dialect", "_key", "_payload", "_rest", "_upgraded", "close_code", "closed", "counts",
                 "notes", "path", "ready", "received", "room", "transport", "welcome")  # fmt: skip

    def __init__(
        self, dialect: Dialect, room: str, number: int, payload: bytes, crowd: Crowd, *, counts: bool = True
    ) -> None:
        loop = asyncio.get_running_loop()
        self.room = room
        self.path = dialect.find_path(room, number)
        self.counts = counts  # False: its messages are not waited for
        self.received = 0
        self.notes: dict[bytes, int] = {}  # other text frames, by their first 16 bytes
        self.close_code: int | None = None
        self.ready: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.Transport | None = None
        self.welcome = b""  # the frame that confirmed the join
        self._crowd = crowd
        self._dialect = dialect
        self._payload = payload
        self._key = base64.b64encode(os.urandom(16))
        self._rest = b""
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the opening handshake."""
        self.transport = transport = cast("asyncio.Transport", transport)
        request = (
            f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {self._key.decode()}\r\n\r\n"
        )
        transport.write(request.encode())

    def data_received(self, data: bytes) -> None:
        """Count the messages in the data."""
        crowd = self._crowd
        if data == crowd.chunk and not self._rest:
            messages = crowd.chunk_messages
        elif self._upgraded:
            messages = self._parse(data)
        else:
            self._rest += data
            head, end, rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                return
            self._check_upgrade(head)
            self._rest = b""
            messages = self._parse(rest)
        if messages:
            before = self.received
            self.received = before + messages
            if self.counts:
                crowd.advance(before, messages)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the futures `ready` and `closed`."""
        if not self.ready.done():
            self.ready.set_exception(BenchError(f"closed before it was ready (code {self.close_code}, {exc})"))
            self.ready.exception()  # marks it as retrieved: a failed batch reports one error, not one per socket
        if not self.closed.done():
            self.closed.set_result(None)

    def send(self, text: bytes, opcode: int = _TEXT) -> None:
        """Send one frame."""
        if self.transport is not None:
            self.transport.write(encode_frame(text, opcode))

    async def close(self, seconds: float = 5.0) -> bool:
        """Close with a closing handshake; False if the server did not end the connection within `seconds`."""
        if not self.closed.done():
            self.send((1000).to_bytes(2), _CLOSE)
        done, _ = await asyncio.wait([self.closed], timeout=seconds)
        if not done and self.transport is not None:
            self.transport.abort()
        return bool(done)

    def _check_upgrade(self, head: bytes) -> None:
        status, *lines = head.split(b"\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        accept = base64.b64encode(hashlib.sha1(self._key + _GUID).digest())
        if b" 101 " not in status + b" " or headers.get(b"sec-websocket-accept") != accept:
            raise BenchError(f"no upgrade for {self.path}: {status.decode(errors='replace')}")
        self._upgraded = True
        if opening := self._dialect.encode_opening(self.room):
            self.send(opening)
        if not self._dialect.ready:
            self.ready.set_result(None)

    def _parse(self, data: bytes) -> int:
        """Count the messages in the data, and handle the other frames."""
        whole = not self._rest
        others = messages = at = 0
        if not whole:
            data = self._rest + data
        end = len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start]) if start <= end else end
            if start + size > end:
                break
            if found := data.count(self._payload, start, start + size):
                messages += found
                self._crowd.sample = data[start : start + size]
            else:
                others += 1
                self._handle_other(data[at] & 15, data[start : start + size])
            at = start + size
        self._rest = data[at:]
        if whole and messages and not others and at == end:
            self._crowd.chunk, self._crowd.chunk_messages = data, messages
        return messages

    def _handle_other(self, opcode: int, text: bytes) -> None:
        if opcode == _PING:
            self.send(text, _PONG)
        elif opcode == _CLOSE:
            self.close_code = int.from_bytes(text[:2]) if text else 1005
            self.send(text[:2], _CLOSE)
        elif opcode == _TEXT:
            for line in text.split(b"\n"):
                self._handle_line(line)

    def _handle_line(self, text: bytes) -> None:
        """A frame that is no message, or one of the lines of a frame of a server that joins them."""
        note = text[:16]
        self.notes[note] = self.notes.get(note, 0) + 1
        if (reply := self._dialect.answer(text)) is not None:
            self.send(reply)
        elif text.startswith(self._dialect.ready) and not self.ready.done():
            self.welcome = text
            self.ready.set_result(None)


def _open_socket(number: int, *, stalled: bool) -> socket.socket:
    """A socket bound to one of eight loopback addresses, so that ports do not run out."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if stalled:
        # A small window and the segment size of a real network; with those of loopback the kernel buffers megabytes.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
    sock.bind((f"127.0.0.{1 + number % 8}", 0))
    return sock


async def connect(client: Client, number: int, port: int, *, stalled: bool = False) -> Client:
    """Connect one client and wait until the server has confirmed the join."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_SECONDS):
        sock = _open_socket(number, stalled=stalled)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.create_connection(lambda: client, sock=sock)
        await client.ready
    return client


async def connect_all(clients: Sequence[Client], ports: Sequence[int], *, at_once: int = 64) -> None:
    """Connect all clients, `at_once` at a time, in turn to each port."""
    numbers = counting()

    async def work() -> None:
        while (number := next(numbers)) < len(clients):
            await connect(clients[number], number, ports[number % len(ports)])

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
