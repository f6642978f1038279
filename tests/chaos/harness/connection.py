"""A light WebSocket client that knows when things came: by the kernel's own time stamps.

SO_TIMESTAMPNS makes `recvmsg` tell when the last byte of what it returns arrived. On loopback that is within the
sender's `send` (measured: 20,000 of 20,000 sends were readable when `send` returned; 5,000 of 5,000 stamps lay between
the sender's clock before and after it), so events of many sockets are ordered as they happened, and not by which
socket a poll gave first. asyncio's transports do not hand the stamps out: sockets are read by `add_reader`.
"""

import asyncio
import socket
import struct
from enum import Enum, StrEnum, auto
from typing import Any, cast

import msgpack
import orjson

from tests.chaos.harness.frames import frames_in
from tests.chaos.harness.history import End, History
from tests.support.client_frames import BINARY, CLOSE, PING, PONG, TEXT, header

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it
READ_AT_ONCE = 65_536
CLOSE_DEADLINE = 2.0
SMALL_SEGMENT = 536
SMALL_BUFFER = 4096
_ANCILLARY = socket.CMSG_SPACE(16)
_REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {wire}\r\n\r\n"
)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_NO_MASK = bytes(4)
"""A masking key that changes nothing: legal, and free of cost."""


class WireFormat(StrEnum):
    JSON = "tannoy.v1.json"
    MSGPACK = "tannoy.v1.msgpack"


class _State(Enum):
    CONNECTING = auto()
    UPGRADING = auto()
    OPEN = auto()
    CLOSED = auto()


class Switchboard:
    """Holds the connections of a run that are open, and its clock."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.unstamped = 0
        """Reads for which the kernel gave no stamp (but an end of stream, which has none)."""
        self.connections: set[Connection] = set()
        # The kernel stamps while anybody wants it to, and needs a moment to begin: so somebody always does.
        self._keeper = socket.socket()
        self._keeper.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    async def close(self) -> None:
        for each in tuple(self.connections):
            each.vanish()
        self._keeper.close()


class Connection:
    """One connection. `settled` is done with its welcome or its end, `over` with its end.

    A subclass says what is to be written down: `welcomed`, `took`, `out_of_turn`, `ended`. `small`: with buffers on
    the way that are full after some 50 kB, and not after 3 MB as is usual on loopback.
    """

    def __init__(
        self,
        switchboard: Switchboard,
        *,
        port: int,
        path: str,
        wire: WireFormat = WireFormat.JSON,
        small: bool = False,
    ) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self.wire = wire
        self.session_id = ""
        self.is_live = False
        self.end: End | None = None
        self.code: int | None = None
        self.retry_after: float | None = None
        self.settled: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        self._switchboard = switchboard
        self._buffer = bytearray()
        self._said_bye = False
        self._holds = False
        self._state = _State.CONNECTING
        self._request = _REQUEST.format(path=path, wire=wire).encode()
        switchboard.connections.add(self)
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        # Our own end may get the port of a node that is down at the moment, which will want to listen there again.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if small:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            # What the other end buffers is a multiple of the segments that we allow it.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT)
        self._socket.connect_ex(("127.0.0.1", port))
        loop.add_writer(self._socket, self._connected)

    # ---- for a subclass

    def welcomed(self, at: float, frame: dict[str, Any]) -> None: ...

    def took(self, at: float, frame: dict[str, Any]) -> None:
        """A frame that is neither welcome, bye nor ping."""

    def out_of_turn(self, at: float, what: str) -> None:
        """Something came that may not come any more."""

    def ended(self, at: float, end: End, code: int | None, retry_after: float | None) -> None: ...

    # ---- what the client does

    def send(self, **fields: Any) -> None:
        if self.wire is WireFormat.JSON:
            self._send_frame(TEXT, orjson.dumps(fields))
        else:
            self._send_frame(BINARY, msgpack.packb(fields))

    def leave(self) -> None:
        """Close as RFC 6455 has it. From here on the session does not count any more."""
        if self.end is None:
            self._ended(self.now(), End.LEFT)
            self._send_frame(CLOSE, (1000).to_bytes(2, "big"))
            self._loop.call_later(CLOSE_DEADLINE, self._drop)

    def vanish(self, *, end: End = End.VANISHED, reset: bool = False) -> None:
        """Be gone without a goodbye: as an end of stream, or as a reset."""
        if self.end is None:
            self._ended(self.now(), end)
        if reset and self._state is not _State.CLOSED:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._drop()

    def stop_reading(self) -> None:
        """What comes waits: with us, on the way, and then at the node."""
        if not self._holds:
            self._holds = True
            if self._state in (_State.UPGRADING, _State.OPEN):
                self._loop.remove_reader(self._socket)

    def read_on(self) -> None:
        if self._holds:
            self._holds = False
            if self._state in (_State.UPGRADING, _State.OPEN):
                self._loop.add_reader(self._socket, self._readable)

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

    def now(self) -> float:
        return self._switchboard.history.now()

    # ---- bytes

    def _connected(self) -> None:
        self._loop.remove_writer(self._socket)
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or self._is_its_own_peer():
            self._lost()
            return
        self._state = _State.UPGRADING
        if not self._holds:
            self._loop.add_reader(self._socket, self._readable)
        self._send(self._request)

    def _is_its_own_peer(self) -> bool:
        """Where nobody listens, TCP connects to itself if it happens to choose that port for its own end."""
        return bool(self._socket.getsockname() == self._socket.getpeername())

    def _send_frame(self, opcode: int, payload: bytes) -> None:
        self._send(header(opcode, len(payload)) + _NO_MASK + payload)

    def _send(self, data: bytes) -> None:
        if self._state in (_State.UPGRADING, _State.OPEN):
            try:
                is_whole = self._socket.send(data) == len(data)
            except OSError:
                return  # it is gone, and the reader will see it; or the node takes nothing in at the moment
            if not is_whole:
                self._lost()  # half a frame is out: nothing more can be said behind it

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
        for opcode, payload in frames_in(self._buffer):
            self._frame(at, opcode, payload)

    def _stamp(self, ancillary: list[tuple[int, int, bytes]]) -> float:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", data)
                at: float = (seconds * 10**9 + nanoseconds - self._switchboard.history.base_ns) / 1e9
                return at
        self._switchboard.unstamped += 1
        return self.now()

    def _upgraded(self, at: float) -> bool:
        head, found, _ = bytes(self._buffer).partition(b"\r\n\r\n")
        if not found:
            return False
        status = int(head.split(b" ", 2)[1])
        if status != 101:
            if self.end is None:
                self._ended(at, End.REFUSED, status)
            self._drop()
            return False
        del self._buffer[: len(head) + 4]
        self._state = _State.OPEN
        return True

    # ---- frames

    def _frame(self, at: float, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._send_frame(PONG, payload)
        elif opcode == CLOSE:
            if self.end is None:
                self._ended(at, End.CLOSED, int.from_bytes(payload[:2], "big"))
            self._send_frame(CLOSE, payload[:2])
        elif opcode in (TEXT, BINARY) and (self.end is None or self._said_bye):
            # What comes after the client's own end is its own business; what comes after the node's bye is not.
            decoded = orjson.loads(payload) if opcode == TEXT else msgpack.unpackb(payload)
            self._object(at, cast("dict[str, Any]", decoded))

    def _object(self, at: float, frame: dict[str, Any]) -> None:
        kind: str = frame["type"]
        if self._said_bye:
            self.out_of_turn(at, f"{kind} after bye")
        elif kind == "welcome":
            self.session_id, self.is_live = frame["session_id"], True
            self.welcomed(at, frame)
            self._settle()
        elif kind == "bye":
            self._said_bye = True
            self._ended(at, End.BYE, frame["code"], frame.get("retry_after"))
        elif kind == "ping":
            self.send(type="pong")
        else:
            self.took(at, frame)

    # ---- the end

    def _lost(self) -> None:
        if self.end is None:
            self._ended(self.now(), End.LOST)
        self._drop()

    def _ended(self, at: float, end: End, code: int | None = None, retry_after: float | None = None) -> None:
        self.end, self.code, self.retry_after = end, code, retry_after
        self.is_live = False
        self.ended(at, end, code, retry_after)
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
            self._switchboard.connections.discard(self)
