"""A small WebSocket client that knows when bytes arrived, by the time stamps of the kernel.

With SO_TIMESTAMPNS `recvmsg` returns when the last byte of its data arrived. On loopback that is during the `send` of
the sender (measured: 20,000 of 20,000 sends were readable when `send` returned; 5,000 of 5,000 stamps lay between the
sender's clock before and after it), so events of many sockets have their true order, not the order of polling.
asyncio's transports do not expose the stamps, so sockets are read with `add_reader`.

The tests have three WebSocket clients: `tests/support/client.py` for tests of behaviour, `tests/support/raw_socket.py`
for frames that no correct client sends, and this one, which stamps arrivals. `limits/recorder.py` and
`messages/listener.py` subclass it to record what their checks need.
"""

import asyncio
import socket
import struct
import weakref
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
"""A masking key of zeros: allowed by RFC 6455, and it leaves the payload as it is."""


class WireFormat(StrEnum):
    JSON = "tannoy.v1.json"
    MSGPACK = "tannoy.v1.msgpack"


class _State(Enum):
    CONNECTING = auto()
    UPGRADING = auto()
    OPEN = auto()
    CLOSED = auto()


class ConnectionRegistry:
    """The open connections of a run, and the history whose clock they use."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.unstamped = 0
        """Reads without a stamp of the kernel, ends of stream excepted."""
        self.connections: set[Connection] = set()
        # The kernel stamps only while some socket requests it, and starts with a delay: this socket always does.
        self._keeper = socket.socket()
        self._keeper.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        weakref.finalize(self, self._keeper.close)  # also of a run whose nodes did not start

    async def close(self) -> None:
        for each in tuple(self.connections):
            each.disconnect()
        self._keeper.close()


class Connection:
    """One connection. `settled` is done on `welcome` or the end of the connection, `closed` on its end.

    A subclass records what it needs in `on_welcome`, `on_frame`, `on_unexpected` and `on_end`. `small_buffers`: let the
    buffers between node and client be full after about 50 kB instead of the 3 MB that are usual on loopback.
    """

    def __init__(
        self,
        registry: ConnectionRegistry,
        *,
        port: int,
        path: str,
        wire: WireFormat = WireFormat.JSON,
        small_buffers: bool = False,
    ) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self.wire = wire
        self.session_id = ""
        self.is_live = False
        self.end: End | None = None
        self.code: int | None = None
        self.retry_after: float | None = None
        self.settled: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._registry = registry
        self._buffer = bytearray()
        self._bye_received = False
        self._reading_paused = False
        self._state = _State.CONNECTING
        self._request = _REQUEST.format(path=path, wire=wire).encode()
        registry.connections.add(self)
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        # Our end may get the port of a node that is down, which has to be able to listen there again.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if small_buffers:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            # The send buffer of the other end is a multiple of the segment size.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT)
        self._socket.connect_ex(("127.0.0.1", port))
        loop.add_writer(self._socket, self._connected)

    # ---- for a subclass

    def on_welcome(self, at: float, frame: dict[str, Any]) -> None: ...

    def on_frame(self, at: float, frame: dict[str, Any]) -> None:
        """For each frame except `welcome`, `bye` and `ping`."""

    def on_unexpected(self, at: float, what: str) -> None:
        """For each frame after `bye`."""

    def on_end(self, at: float, end: End, code: int | None, retry_after: float | None) -> None: ...

    # ---- actions of the client

    def send(self, **fields: Any) -> None:
        if self.wire is WireFormat.JSON:
            self._send_frame(TEXT, orjson.dumps(fields))
        else:
            self._send_frame(BINARY, msgpack.packb(fields))

    def close(self) -> None:
        """Begin the closing handshake of RFC 6455. The session counts as ended from now on."""
        if self.end is None:
            self._ended(self.now(), End.LEFT)
            self._send_frame(CLOSE, (1000).to_bytes(2, "big"))
            self._loop.call_later(CLOSE_DEADLINE, self._drop)

    def disconnect(self, *, end: End = End.DISCONNECTED, reset: bool = False) -> None:
        """End the TCP connection without a close frame; with `reset`, by RST instead of FIN."""
        if self.end is None:
            self._ended(self.now(), end)
        if reset and self._state is not _State.CLOSED:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._drop()

    def pause_reading(self) -> None:
        """Read nothing: buffers here, on the way and then at the node fill up."""
        if not self._reading_paused:
            self._reading_paused = True
            if self._state in (_State.UPGRADING, _State.OPEN):
                self._loop.remove_reader(self._socket)

    def resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            if self._state in (_State.UPGRADING, _State.OPEN):
                self._loop.add_reader(self._socket, self._readable)

    async def wait_welcomed(self, patience: float) -> bool:
        """Wait for `welcome` or the end; disconnect after `patience` seconds. Returns whether `welcome` came."""
        try:
            async with asyncio.timeout(patience):
                await asyncio.shield(self.settled)
        except TimeoutError:
            self.disconnect(end=End.GAVE_UP)
        return self.session_id != ""

    async def wait_closed(self, seconds: float) -> None:
        """Wait until it ends, for at most `seconds`."""
        await asyncio.wait([self.closed], timeout=seconds)

    def now(self) -> float:
        return self._registry.history.now()

    # ---- bytes

    def _connected(self) -> None:
        self._loop.remove_writer(self._socket)
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or self._is_its_own_peer():
            self._lost()
            return
        self._state = _State.UPGRADING
        if not self._reading_paused:
            self._loop.add_reader(self._socket, self._readable)
        self._send(self._request)

    def _is_its_own_peer(self) -> bool:
        """If no process listens, TCP connects to itself if it happens to choose that port for its own end."""
        return bool(self._socket.getsockname() == self._socket.getpeername())

    def _send_frame(self, opcode: int, payload: bytes) -> None:
        self._send(header(opcode, len(payload)) + _NO_MASK + payload)

    def _send(self, data: bytes) -> None:
        if self._state in (_State.UPGRADING, _State.OPEN):
            try:
                is_whole = self._socket.send(data) == len(data)
            except OSError:
                return  # the reader will see that it is closed; or the node reads nothing at the moment
            if not is_whole:
                self._lost()  # half a frame was sent: nothing can follow it

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
                at: float = (seconds * 10**9 + nanoseconds - self._registry.history.base_ns) / 1e9
                return at
        self._registry.unstamped += 1
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
        elif opcode in (TEXT, BINARY) and (self.end is None or self._bye_received):
            # Frames after the client's own end are expected; frames after a `bye` of the node are not.
            decoded = orjson.loads(payload) if opcode == TEXT else msgpack.unpackb(payload)
            self._object(at, cast("dict[str, Any]", decoded))

    def _object(self, at: float, frame: dict[str, Any]) -> None:
        kind: str = frame["type"]
        if self._bye_received:
            self.on_unexpected(at, f"{kind} after bye")
        elif kind == "welcome":
            self.session_id, self.is_live = frame["session_id"], True
            self.on_welcome(at, frame)
            self._settle()
        elif kind == "bye":
            self._bye_received = True
            self._ended(at, End.BYE, frame["code"], frame.get("retry_after"))
        elif kind == "ping":
            self.send(type="pong")
        else:
            self.on_frame(at, frame)

    # ---- the end

    def _lost(self) -> None:
        if self.end is None:
            self._ended(self.now(), End.LOST)
        self._drop()

    def _ended(self, at: float, end: End, code: int | None = None, retry_after: float | None = None) -> None:
        self.end, self.code, self.retry_after = end, code, retry_after
        self.is_live = False
        self.on_end(at, end, code, retry_after)
        self._settle()
        self.closed.set_result(None)

    def _settle(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)

    def _drop(self) -> None:
        if self._state is not _State.CLOSED:
            self._state = _State.CLOSED
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._registry.connections.discard(self)
