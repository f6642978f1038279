"""The fast transport: a WebSocket protocol class for uvicorn (`ws=`), with callbacks alone.

uvicorn accepts the connection, parses the HTTP request and passes both to this class. It serves the endpoints of
Tannoy without a task, a queue or an ASGI scope per socket; it passes any other path to uvicorn's own class. The node
is found in the state of the lifespan, under the key "node".
"""

import asyncio
import base64
import binascii
from collections.abc import Callable
from hashlib import sha1
from http import HTTPStatus
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from ...shared.errors import ProtocolViolation
from ..admission.handshake import Handshake, Rejected, is_endpoint
from ..problems import encode_problem
from ..protocols.framing import WEBSOCKET_FRAMES, Chunk
from ..rfc6455 import FrameReader, Opcode, close_frame, frame
from .base import CLOSE_DEADLINE, ConnectionFactory, TransportListener

TRANSPORT_HIGH_WATER = 65_536  # what asyncio and uvloop set by themselves
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3


class TannoyWebSocketProtocol(asyncio.Protocol):
    """One socket. A ClientTransport for its listener."""

    framing = WEBSOCKET_FRAMES

    __slots__ = (
        "_answer",
        "_hand_over",
        "_has_failed",
        "_listener",
        "_node",
        "_other",
        "_reader",
        "_transport",
        "_we_closed",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._node = cast(ConnectionFactory, app_state.get("node"))
        self._hand_over: Callable[[], WebSocketsSansIOProtocol] | None = lambda: WebSocketsSansIOProtocol(
            config, server_state, app_state, _loop
        )
        self._reader: FrameReader | None = None
        self._listener: TransportListener | None = None
        self._answer = b""  # to the opening handshake
        self._we_closed = False
        self._has_failed = False
        self._other: WebSocketsSansIOProtocol | None = None

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._has_failed:
            return
        if self._reader is None:
            self._handshake(data)
            return
        try:
            for event in self._reader.feed(data):
                if event.opcode <= Opcode.BINARY:
                    if not self._we_closed and self._listener is not None:
                        self._listener.on_message(event.payload, event.opcode is Opcode.BINARY)
                elif event.opcode is Opcode.PING:
                    if not self._we_closed and self._listener is not None:
                        self._listener.on_ping(event.payload)
                elif event.opcode is Opcode.CLOSE:
                    self._peer_closed(event.code)
                    return
        except ProtocolViolation as violation:
            self._fail(violation)

    def pause_writing(self) -> None:
        if self._listener is not None:
            self._listener.on_writing_paused()

    def resume_writing(self) -> None:
        if self._listener is not None:
            self._listener.on_writing_resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.on_closed()
        if self._other is not None:
            self._other.connection_lost(exc)  # before `set_protocol` took effect

    # ---- ClientTransport

    def accept(self, first: Chunk | None) -> None:
        answer, self._answer = self._answer, b""
        self._transport.write(answer if first is None else answer + cast("bytes", first))

    def writer(self) -> Callable[[Chunk], None]:
        return cast("Callable[[Chunk], None]", self._transport.write)  # a chunk of this framing is bytes

    def pong(self, payload: bytes) -> Chunk:
        return frame(Opcode.PONG, payload)

    def buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        if not self._transport.is_closing() and self._transport.is_reading():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing() and not self._transport.is_reading():
            self._transport.resume_reading()

    def close(self, code: int, reason: str) -> None:
        self._we_closed = True
        self.resume_reading()  # or the peer's close frame would not be read
        self._transport.write(close_frame(code, reason))
        if self._listener is not None:
            self._listener.on_close_sent()

    def abort(self) -> None:
        self._transport.abort()

    # ---- opening and closing handshake

    def _handshake(self, head: bytes) -> None:
        handshake, method = _parse_request(head)
        if not is_endpoint(handshake.path):
            self._give_to_uvicorn(head)
            return
        self._hand_over = None
        key = handshake.headers.get("sec-websocket-key", "")
        version = handshake.headers.get("sec-websocket-version", "")
        if version != "13" or not _is_key(key) or method != "GET":
            self._reject(426 if version != "13" else 400, b"sec-websocket-version: 13\r\n", _BAD_HANDSHAKE)
            return
        decision = self._node.admit(handshake)
        if isinstance(decision, Rejected):
            wait = b"" if decision.retry_after is None else b"retry-after: %d\r\n" % decision.retry_after
            self._reject(decision.status, wait, encode_problem(decision.status, decision.refusal))
            return
        if self._node.write_high_water != TRANSPORT_HIGH_WATER:
            self._transport.set_write_buffer_limits(high=self._node.write_high_water)
        self._reader = FrameReader(self._node.message_max_bytes)
        self._listener = self._node.connect(self, decision)
        self._answer = _accept(key, decision.subprotocol)
        self._listener.on_opened()

    def _give_to_uvicorn(self, head: bytes) -> None:
        assert self._hand_over is not None
        other = self._other = self._hand_over()
        other.connection_made(self._transport)
        other.data_received(head)
        # uvicorn sets us as the transport's protocol when this call returns: its own class has to come after.
        asyncio.get_running_loop().call_soon(self._transport.set_protocol, other)

    def _reject(self, status: int, headers: bytes, body: bytes) -> None:
        status_line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
        length = f"content-length: {len(body)}\r\n".encode()
        more = headers + b"content-type: application/problem+json\r\nconnection: close\r\n\r\n"
        self._transport.write(status_line + length + more + body)
        self._transport.close()

    def _fail(self, violation: ProtocolViolation) -> None:
        """Fail the connection (RFC 6455 §7.1.7): send the reason, and ignore what else the peer sends.

        Only the sending half of the TCP connection is closed: a full close would answer further data with a reset, on
        which the peer's system discards what it has not read yet, the close frame too.
        """
        self._has_failed = True
        if self._listener is not None and not self._we_closed:
            self._listener.on_violation(violation.code, violation.reason)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _peer_closed(self, code: int) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.on_closed()
        if not self._we_closed:
            self._transport.write(close_frame(code, ""))
        self._transport.close()
        if self._transport.get_write_buffer_size():
            # The peer has sent its close frame and reads no more: `close` alone would wait for ever.
            asyncio.get_running_loop().call_later(CLOSE_DEADLINE, self._transport.abort)


_BAD_HANDSHAKE = (
    b'{"title":"Bad Request","status":400,"code":"bad_request","detail":"not a WebSocket handshake of version 13"}'
)


def _parse_request(head: bytes) -> tuple[Handshake, str]:
    """Read the request that uvicorn has parsed, checked, and put together again, with names in lower case."""
    request_line, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = request_line.split(" ", 2)
    path, _, query = target.partition("?")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Handshake(path, query, headers), method


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _accept(key: str, subprotocol: str | None) -> bytes:
    token = base64.b64encode(sha1(key.encode() + _GUID, usedforsecurity=False).digest())
    chosen = f"sec-websocket-protocol: {subprotocol}\r\n".encode() if subprotocol else b""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: "
        + token
        + b"\r\n"
        + chosen
        + b"\r\n"
    )
