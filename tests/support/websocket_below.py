"""The protocol class of the fast transport over a socket that a test sees: what it reads, writes and pauses."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from tannoy.node.admission.handshake import Handshake
from tannoy.node.transports.base import ClientTransport, ConnectionFactory
from tannoy.node.transports.uvicorn_websocket import TRANSPORT_HIGH_WATER, TannoyWebSocketProtocol

HANDSHAKE = Handshake(
    "/ws",
    "",
    {
        "host": "127.0.0.1",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
    },
)


class SocketTransport(asyncio.Transport):
    """A socket whose peer reads everything."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reads = True
        self.is_closed = False

    def write(self, data: object) -> None:
        self.written += cast(bytes, data)

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_reading(self) -> bool:
        return self.reads

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


class Listener:
    """Keeps what comes; after `pause_after` messages it pauses reading."""

    def __init__(self, transport: ClientTransport) -> None:
        self.transport = transport
        self.messages: list[bytes] = []
        self.pings = 0
        self.violation: int | None = None
        self.pause_after: int | None = None
        self.charged: list[int] = []
        self.frames_allowed = 1_000_000

    def on_message(self, payload: bytes, binary: bool) -> None:
        self.messages.append(payload)
        if len(self.messages) == self.pause_after:
            self.transport.pause_reading()

    def on_ping(self, payload: bytes) -> None:
        self.pings += 1

    def charge_frames(self, frames: int) -> bool:
        self.charged.append(frames)
        return sum(self.charged) <= self.frames_allowed

    def on_violation(self, code: int, reason: str) -> None:
        self.violation = code

    def on_opened(self) -> None: ...
    def on_writing_paused(self) -> None: ...
    def on_writing_resumed(self) -> None: ...
    def on_close_sent(self) -> None: ...
    def on_closed(self, code: int | None = None) -> None: ...


class Admission:
    """A node that admits every handshake."""

    message_max_bytes = 1_000_000
    write_high_water = TRANSPORT_HIGH_WATER
    listener: Listener

    def admit(self, handshake: Handshake) -> Any:
        return SimpleNamespace(subprotocol=None)

    def connect(self, transport: ClientTransport, decision: object) -> Listener:
        self.listener = Listener(transport)
        return self.listener


class Socket:
    """One socket that has been accepted."""

    def __init__(self) -> None:
        node = Admission()
        self.transport = SocketTransport()
        self.protocol = TannoyWebSocketProtocol(cast(ConnectionFactory, node))
        self.protocol.connection_made(self.transport)
        self.protocol.open(HANDSHAKE, None)
        self.listener = node.listener
