"""A small WebSocket client that knows when frames arrived, by the time stamps of the kernel (`stamped_socket.py`).

The tests have three WebSocket clients: `tests/support/client.py` for tests of behaviour, `tests/support/raw_socket.py`
for frames that no correct client sends, and this one, which stamps arrivals. `limits/recorder.py` and
`messages/listener.py` subclass it to record what their checks need.
"""

import asyncio
from enum import StrEnum
from typing import Any, cast

import msgpack
import orjson

from tests.chaos.harness.frames import frames_in
from tests.chaos.harness.history import End, History
from tests.chaos.harness.stamped_socket import StampClock, StampedSocket
from tests.support.client_frames import BINARY, CLOSE, PING, PONG, TEXT, header

CLOSE_DEADLINE = 2.0
_REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {wire}\r\n\r\n"
)
_NO_MASK = bytes(4)
"""A masking key of zeros: allowed by RFC 6455, and it leaves the payload as it is."""


class WireFormat(StrEnum):
    JSON = "tannoy.v1.json"
    MSGPACK = "tannoy.v1.msgpack"


class ConnectionRegistry(StampClock):
    """The open connections of a run, and the clock by which they stamp what arrives."""

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self.connections: set[Connection] = set()

    def close(self) -> None:
        for each in tuple(self.connections):
            each.disconnect()
        super().close()


class Connection:
    """One connection. `settled` is done on `welcome` or the end of the connection, `closed` on its end.

    A subclass records what it needs in `on_welcome`, `on_frame`, `on_unexpected` and `on_end`. `small_buffers`: see
    StampedSocket.
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
        self._is_upgraded = False
        self._request = _REQUEST.format(path=path, wire=wire).encode()
        registry.connections.add(self)
        self._socket = StampedSocket(registry, self, port=port, small_buffers=small_buffers)

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
        self._socket.read_arrived()  # or a `bye` that lies there would never be seen, and this end be too late
        if self.end is None:
            self._ended(self.now(), End.LEFT)
            self._send_frame(CLOSE, (1000).to_bytes(2, "big"))
            self._loop.call_later(CLOSE_DEADLINE, self._drop)

    def disconnect(self, *, end: End = End.DISCONNECTED, reset: bool = False) -> None:
        """End the TCP connection without a close frame; with `reset`, by RST instead of FIN."""
        self._socket.read_arrived()
        if self.end is None:
            self._ended(self.now(), end)
        self._drop(reset=reset)

    def pause_reading(self) -> None:
        """Read nothing: buffers here, on the way and then at the node fill up."""
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        self._socket.resume_reading()

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

    def on_connected(self) -> None:
        self._socket.send(self._request)

    def on_data(self, at: float, data: bytes) -> None:
        self._buffer += data
        if not self._is_upgraded and not self._upgraded(at):
            return
        for opcode, payload in frames_in(self._buffer):
            self._frame(at, opcode, payload)

    def on_lost(self) -> None:
        if self.end is None:
            self._ended(self.now(), End.LOST)
        self._drop()

    def _send_frame(self, opcode: int, payload: bytes) -> None:
        if self._is_upgraded:
            self._socket.send(header(opcode, len(payload)) + _NO_MASK + payload)

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
        self._is_upgraded = True
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

    def _ended(self, at: float, end: End, code: int | None = None, retry_after: float | None = None) -> None:
        self.end, self.code, self.retry_after = end, code, retry_after
        self.is_live = False
        self.on_end(at, end, code, retry_after)
        self._settle()
        self.closed.set_result(None)

    def _settle(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)

    def _drop(self, *, reset: bool = False) -> None:
        self._socket.close(reset=reset)
        self._registry.connections.discard(self)
