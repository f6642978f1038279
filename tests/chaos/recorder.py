"""A light WebSocket client that writes down what comes, with the kernel's own time stamps.

SO_TIMESTAMPNS makes `recvmsg` tell when the last byte of what it returns arrived. On loopback that is within the
sender's `send` (measured: 20,000 of 20,000 sends were readable when `send` returned; 5,000 of 5,000 stamps lay between
the sender's clock before and after it), so events of many sockets are ordered as they happened, and not by which
socket a poll gave first. asyncio's transports do not hand the stamps out: sockets are read by `add_reader`.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, cast

import orjson

from tests.chaos.history import Attempt, End, Ended, Event, Heard, History, Spoke, Welcomed
from tests.support.client_frames import CLOSE, PING, PONG, TEXT, client_frame

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it
READ_AT_ONCE = 65_536
CLOSE_DEADLINE = 2.0
_ANCILLARY = socket.CMSG_SPACE(16)
_REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _State(Enum):
    CONNECTING = auto()
    UPGRADING = auto()
    OPEN = auto()
    CLOSED = auto()


class Recorder:
    """Hands out the numbers of sessions, and holds those that live."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.unstamped = 0
        """Reads for which the kernel gave no stamp (but an end of stream, which has none)."""
        self.asked_anew = 0
        """How often a member of a room had missed an event, and asked who is there."""
        self.sockets: set[Socket] = set()
        self.attempts = 0
        # The kernel stamps while anybody wants it to, and needs a moment to begin: so somebody always does.
        self._keeper = socket.socket()
        self._keeper.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def next_session(self) -> int:
        self.attempts += 1
        return self.attempts

    async def close(self) -> None:
        for each in tuple(self.sockets):
            each.vanish()
        self._keeper.close()


class Socket:
    """One connection. `settled` is done with its welcome or its end, `over` with its end.

    What a subclass wants to know of further frames comes to `took`.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        node: str,
        port: int,
        path: str,
        agent: str | None = None,
        room: str | None = None,
        called: str | None = None,
        user: str = "",
    ) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self.recorder = recorder
        self.number = recorder.next_session()
        self.node, self.agent, self.room, self.user = node, agent, room, user
        self.session_id = ""
        self.is_live = False
        self.end: End | None = None
        self.code: int | None = None
        self.retry_after: float | None = None
        self.settled: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        self._buffer = bytearray()
        self._said_bye = False
        self._state = _State.CONNECTING
        self._request = _REQUEST.format(path=path).encode()
        self._record(Attempt(self._now(), self.number, agent, room, node, called, user))
        recorder.sockets.add(self)
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.connect_ex(("127.0.0.1", port))
        loop.add_writer(self._socket, self._connected)

    # ---- what the client does

    def send(self, **fields: Any) -> None:
        self._send(client_frame(TEXT, json.dumps(fields).encode()))

    def leave(self) -> None:
        """Close as RFC 6455 has it. From here on the session does not count any more."""
        if self.end is None:
            self._ended(Ended(self._now(), self.number, End.LEFT))
            self._send(client_frame(CLOSE, (1000).to_bytes(2, "big")))
            self._loop.call_later(CLOSE_DEADLINE, self._drop)

    def vanish(self, *, end: End = End.VANISHED, reset: bool = False) -> None:
        """Be gone without a goodbye: as an end of stream, or as a reset."""
        if self.end is None:
            self._ended(Ended(self._now(), self.number, end))
        if reset and self._state is not _State.CLOSED:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._drop()

    async def settle(self, patience: float) -> bool:
        """Wait for `welcome` or the end, and give up after `patience` seconds; whether it was welcomed."""
        try:
            async with asyncio.timeout(patience):
                await asyncio.shield(self.settled)
        except TimeoutError:
            self.vanish(end=End.GAVE_UP)
        return self.session_id != ""

    async def stay(self, seconds: float) -> None:
        """Until it ends, or for at most so many seconds."""
        await asyncio.wait([self.over], timeout=seconds)

    # ---- what it sees

    def welcomed(self, at: float, frame: dict[str, Any]) -> None:
        """For a subclass: `welcome` has been recorded."""

    def took(self, at: float, frame: dict[str, Any]) -> None:
        """For a subclass: a frame that is neither welcome, bye, ping nor message."""

    def _now(self) -> float:
        return self.recorder.history.now()

    def _record(self, event: Event) -> None:
        self.recorder.history.add(event)

    def _connected(self) -> None:
        self._loop.remove_writer(self._socket)
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._lost()
            return
        self._state = _State.UPGRADING
        self._loop.add_reader(self._socket, self._readable)
        self._send(self._request)

    def _send(self, data: bytes) -> None:
        if self._state in (_State.UPGRADING, _State.OPEN):
            try:
                self._socket.send(data)
            except OSError:
                pass  # it is gone: the reader will see it

    def _readable(self) -> None:
        try:
            data, ancillary, _, _ = self._socket.recvmsg(READ_AT_ONCE, _ANCILLARY)
        except BlockingIOError:
            return
        except OSError:
            self._lost()
            return
        if not data:
            self._lost()
            return
        at = self._stamp(ancillary)
        self._buffer += data
        if self._state is _State.UPGRADING and not self._upgraded(at):
            return
        for opcode, payload in _frames(self._buffer):
            self._frame(at, opcode, payload)

    def _stamp(self, ancillary: list[tuple[int, int, bytes]]) -> float:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", data)
                at: float = (seconds * 10**9 + nanoseconds - self.recorder.history.base_ns) / 1e9
                return at
        self.recorder.unstamped += 1
        return self._now()

    def _upgraded(self, at: float) -> bool:
        head, found, _ = bytes(self._buffer).partition(b"\r\n\r\n")
        if not found:
            return False
        status = int(head.split(b" ", 2)[1])
        if status != 101:
            if self.end is None:
                self._ended(Ended(at, self.number, End.REFUSED, status))
            self._drop()
            return False
        del self._buffer[: len(head) + 4]
        self._state = _State.OPEN
        return True

    def _frame(self, at: float, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._send(client_frame(PONG, payload))
        elif opcode == CLOSE:
            if self.end is None:
                self._ended(Ended(at, self.number, End.CLOSED, int.from_bytes(payload[:2], "big")))
            self._send(client_frame(CLOSE, payload[:2]))
        elif opcode == TEXT and (self.end is None or self._said_bye):
            # What comes after the client's own end is its own business; what comes after the node's bye is not.
            self._object(at, cast("dict[str, Any]", orjson.loads(payload)))

    def _object(self, at: float, frame: dict[str, Any]) -> None:
        kind: str = frame["type"]
        if self._said_bye:
            self._record(Spoke(at, self.number, f"{kind} after bye"))
        elif kind == "message":
            if not self.is_live:
                self._record(Spoke(at, self.number, "a message before welcome"))
            self._record(Heard(at, self.number, frame["content"]["n"]))
        elif kind == "welcome":
            self.session_id, self.is_live = frame["session_id"], True
            self._record(Welcomed(at, self.number, self.session_id))
            self.welcomed(at, frame)
            self._settle()
        elif kind == "bye":
            self._said_bye = True
            self._ended(Ended(at, self.number, End.BYE, frame["code"], frame.get("retry_after")))
        elif kind == "ping":
            self.send(type="pong")
        else:
            self.took(at, frame)

    # ---- the end

    def _lost(self) -> None:
        if self.end is None:
            self._ended(Ended(self._now(), self.number, End.LOST))
        self._drop()

    def _ended(self, event: Ended) -> None:
        self.end, self.code, self.retry_after = event.end, event.code, event.retry_after
        self.is_live = False
        self._record(event)
        self._settle()
        self.over.set_result(None)

    def _settle(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)

    def _drop(self) -> None:
        if self._state is not _State.CLOSED:
            self._state = _State.CLOSED
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self.recorder.sockets.discard(self)


def _frames(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Whole frames of a server, taken out of the buffer. It sends none in fragments."""
    at = 0
    while len(buffer) - at >= 2:
        length, head = buffer[at + 1], 2
        if length >= 126:
            head = 4 if length == 126 else 10
            length = int.from_bytes(buffer[at + 2 : at + head], "big")
        if len(buffer) - at < head + length or len(buffer) - at < head:
            break
        opcode = buffer[at] & 0x0F
        payload = bytes(buffer[at + head : at + head + length])
        at += head + length
        yield opcode, payload
    del buffer[:at]
