"""The fast transport: a WebSocket protocol class below uvicorn, with callbacks alone.

`node/server/http_protocol.py` reads the request and passes a handshake to this class, which serves it without a task,
a queue or an ASGI scope per socket.

The event loop hands one socket up to some megabytes in one turn. So that no socket keeps the others waiting, each has
a share: when it is used up the rest of what was read waits for the next turn, and nothing more is read until then.
Each share is charged to the client, so that one that sends without end is closed. Behind the close frame little more is
read: what a peer still sends stays in the kernel, which then takes no more of it.
"""

import asyncio
import itertools
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import cast

from ...shared.codes import CloseCode
from ...shared.errors import ProtocolViolation
from ..admission.handshake import Handshake, Rejected, record_refusal
from ..admission.heads import check_upgrade
from ..problems import CONTENT_TYPE, encode_problem
from ..protocols.framing import WEBSOCKET_FRAMES, Chunk
from ..rfc6455 import Event, FrameReader, Opcode, accept_token, close_frame, frame
from .base import (
    CLOSE_DEADLINE,
    CLOSED_MAX_BYTES,
    CLOSED_SHARES_MAX,
    SHARE_BYTES,
    SHARE_FRAMES,
    ConnectionFactory,
    TransportListener,
)

TRANSPORT_HIGH_WATER = 65_536  # what asyncio and uvloop set by themselves
_RESET = struct.pack("ii", 1, 0)
"""The value of SO_LINGER with which a close sends RST, and drops what has not been sent."""


class TannoyWebSocketProtocol(asyncio.Protocol):
    """One socket. A ClientTransport for its listener."""

    framing = WEBSOCKET_FRAMES

    __slots__ = (
        "_answer",
        "_bytes_left",
        "_closed_bytes",
        "_closed_shares",
        "_frames_left",
        "_has_failed",
        "_is_paused",
        "_listener",
        "_node",
        "_reader",
        "_reads_no_more",
        "_rest",
        "_transport",
        "_we_closed",
        "_will_continue",
    )

    def __init__(self, node: ConnectionFactory) -> None:
        self._node = node
        self._reader: FrameReader | None = None
        self._listener: TransportListener | None = None
        self._answer = b""  # to the opening handshake
        self._we_closed = False
        self._has_failed = False
        self._frames_left, self._bytes_left = SHARE_FRAMES, SHARE_BYTES
        self._rest: Iterator[Event | None] | None = None  # frames that were read, and wait
        self._will_continue = False  # `_continue` has been scheduled
        self._is_paused = False  # by the listener
        self._closed_shares = self._closed_bytes = 0  # since the close frame
        self._reads_no_more = False

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._we_closed or self._has_failed:
            self._closed_bytes += len(data)
            if self._closed_bytes > CLOSED_MAX_BYTES:
                self._read_no_more()
                return
        if self._has_failed or self._reader is None:
            return
        frames = self._reader.feed(data)
        if self._rest is not None:
            self._rest = itertools.chain(self._rest, frames)
        else:
            self._handle_frames(frames)

    def _handle_frames(self, frames: Iterator[Event | None]) -> None:
        """Handle frames until the share is used up or the listener pauses; the rest waits."""
        try:
            for event in frames:
                self._frames_left -= 1
                if event is not None:
                    self._bytes_left -= len(event.payload)
                    if event.opcode <= Opcode.BINARY:
                        if not self._we_closed and self._listener is not None:
                            self._listener.on_message(event.payload, event.opcode is Opcode.BINARY)
                    elif event.opcode is Opcode.PING:
                        if not self._we_closed and self._listener is not None:
                            self._listener.on_ping(event.payload)
                    elif event.opcode is Opcode.CLOSE:
                        self._peer_closed(event.code)
                        return
                if self._is_paused or self._frames_left <= 0 or self._bytes_left <= 0:
                    self._keep_rest(frames)
                    return
        except ProtocolViolation as violation:
            self._fail(violation)

    def _keep_rest(self, frames: Iterator[Event | None]) -> None:
        self._rest = frames
        if not self._transport.is_closing() and self._transport.is_reading():
            self._transport.pause_reading()
        if not self._is_paused:
            self._continue_soon()

    def _continue_soon(self) -> None:
        """In the next turn of the event loop, when the other sockets have had theirs."""
        if not self._will_continue:
            self._will_continue = True
            asyncio.get_running_loop().call_soon(self._continue)

    def _continue(self) -> None:
        self._will_continue = False
        frames = SHARE_FRAMES - self._frames_left
        self._frames_left, self._bytes_left = SHARE_FRAMES, SHARE_BYTES
        if self._we_closed:
            self._closed_shares += 1
            if self._closed_shares >= CLOSED_SHARES_MAX:
                self._read_no_more()
                return
        if self._listener is not None and not self._listener.charge_frames(frames):
            self._rest = None
            self._fail(ProtocolViolation(CloseCode.BAD_FRAMES, "the client sends too many frames"))
            self._read_on()
            return
        rest = self._rest
        if rest is None or self._is_paused:
            return
        self._rest = None
        self._handle_frames(rest)
        self._read_on()

    def _read_on(self) -> None:
        """Read from the socket again, unless what was read before still waits."""
        is_due = self._rest is None and not self._is_paused and not self._reads_no_more
        if is_due and not self._transport.is_closing() and not self._transport.is_reading():
            self._transport.resume_reading()

    def _read_no_more(self) -> None:
        """Leave all else in the kernel until the deadline of the close ends the connection."""
        self._reads_no_more = self._has_failed = True
        self._rest = None
        if not self._transport.is_closing() and self._transport.is_reading():
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        if self._listener is not None:
            self._listener.on_writing_paused()

    def resume_writing(self) -> None:
        if self._listener is not None:
            self._listener.on_writing_resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest = None
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.on_closed()

    # ---- ClientTransport

    def accept(self, first: Chunk | None) -> None:
        answer, self._answer = self._answer, b""
        self._transport.write(answer if first is None else answer + cast("bytes", first))

    def listen(self, listener: TransportListener) -> None:
        self._listener = listener

    def writer(self) -> Callable[[Chunk], None]:
        return cast("Callable[[Chunk], None]", self._transport.write)  # a chunk of this framing is bytes

    def pong(self, payload: bytes) -> Chunk:
        return frame(Opcode.PONG, payload)

    def buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._is_paused = True
        if not self._transport.is_closing() and self._transport.is_reading():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._is_paused = False
        if self._rest is not None:
            self._continue_soon()
        else:
            self._read_on()

    def close(self, code: int, reason: str) -> None:
        self._we_closed = True
        self.resume_reading()  # or the peer's close frame would not be read
        self._transport.write(close_frame(code, reason))
        if self._listener is not None:
            self._listener.on_close_sent()

    def abort(self) -> None:
        reset(self._transport)

    # ---- opening and closing handshake

    def open(self, handshake: Handshake, rejected: Rejected | None) -> None:
        """Answer the opening handshake, with `rejected` unless it is None.

        Called once, when this is the protocol of its transport.
        """
        if rejected := rejected or check_upgrade(handshake.headers):
            record_refusal(self._node.refusals, handshake, rejected)
            self._reject(rejected)
            return
        decision = self._node.admit(handshake)
        if isinstance(decision, Rejected):
            self._reject(decision)
            return
        if self._node.write_high_water != TRANSPORT_HIGH_WATER:
            self._transport.set_write_buffer_limits(high=self._node.write_high_water)
        self._reader = FrameReader(self._node.message_max_bytes)
        self._listener = self._node.connect(self, decision)
        self._answer = _accept(handshake.headers["sec-websocket-key"], decision.subprotocol)
        self._listener.on_opened()

    def _reject(self, rejected: Rejected) -> None:
        self._transport.write(encode_rejected(rejected))
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
            listener.on_closed(code)
        if not self._we_closed:
            self._transport.write(close_frame(code, ""))
        self._transport.close()
        if self._transport.get_write_buffer_size():
            # The peer has sent its close frame and reads no more: `close` alone would wait for ever.
            asyncio.get_running_loop().call_later(CLOSE_DEADLINE, self.abort)


def reset(transport: asyncio.Transport) -> None:
    """End a connection with a reset. After a FIN the kernel would keep what the peer has not read for minutes."""
    with suppress(OSError):  # the peer has reset it already
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def encode_rejected(rejected: Rejected) -> bytes:
    """An HTTP answer with a problem document, behind which the connection is closed."""
    status, headers, body = rejected.status, rejected.headers, encode_problem(rejected.status, rejected.refusal)
    fields = {**headers, "Content-Type": CONTENT_TYPE, "Content-Length": str(len(body))}
    fields["Connection"] = ", ".join(filter(None, (headers.get("Connection"), "close")))
    head = "".join(f"{name.lower()}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n".encode() + body


def _accept(key: str, subprotocol: str | None) -> bytes:
    chosen = f"sec-websocket-protocol: {subprotocol}\r\n".encode() if subprotocol else b""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: "
        + accept_token(key)
        + b"\r\n"
        + chosen
        + b"\r\n"
    )
