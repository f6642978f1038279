"""An echo server on the fast transport, for the Autobahn cases: `python -m tests.support.echo_server PORT [--limits]`.

`--limits`: with the default bounds of a session. Each message counts as one that others would receive, each ping frame
as a command, and every frame for the allowance of frames.
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import monotonic
from typing import TypedDict

import uvicorn
from starlette.applications import Starlette
from tannoy.node.admission.handshake import AcceptedThenClosed, Admitted, Handshake, Rejected
from tannoy.node.admission.handshake_queue import HandshakeQueue
from tannoy.node.admission.loop_shares import LoopShares
from tannoy.node.admission.other_connections import OtherConnections
from tannoy.node.admission.rate_limits import SessionBuckets, SessionRates
from tannoy.node.admission.refusals import RefusalLog
from tannoy.node.connections.inbound import FrameAllowance
from tannoy.node.protocols.session import Endpoint, Session
from tannoy.node.rfc6455 import Opcode, frame
from tannoy.node.server.http_protocol import TannoyHttpProtocol
from tannoy.node.transports.base import ClientTransport, TransportListener
from tannoy.shared.clock import SystemClock
from tannoy.shared.codes import CloseCode
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import SessionId, UserId
from tannoy.shared.protocol.codec import JSON
from tannoy.shared.protocol.frames import Author
from tannoy.shared.settings import Settings

MESSAGE_MAX_BYTES = 16 * 1024 * 1024
LIMITS = Settings.model_validate({})
"""The defaults."""


class EchoListener:
    """A TransportListener that sends back what it receives."""

    def __init__(self, transport: ClientTransport) -> None:
        self._transport = transport
        self._write = transport.writer()

    def on_opened(self) -> None:
        self._transport.accept(None)

    def on_message(self, payload: bytes, binary: bool) -> None:
        self._write(frame(Opcode.BINARY if binary else Opcode.TEXT, payload))

    def on_ping(self, payload: bytes) -> None:
        self._write(frame(Opcode.PONG, payload))

    def charge_frames(self, frames: int) -> bool:
        return True

    def on_writing_paused(self) -> None: ...
    def on_writing_resumed(self) -> None: ...
    def on_close_sent(self) -> None: ...

    def on_violation(self, code: int, reason: str) -> None:
        self._transport.close(code, reason)

    def on_closed(self, code: int | None = None) -> None: ...


class LimitedEchoListener(EchoListener):
    """One that bounds its client as a session does (`node/connections/rate_check.py`)."""

    def __init__(self, transport: ClientTransport) -> None:
        super().__init__(transport)
        self._allowance = FrameAllowance(monotonic())
        rates = SessionRates(LIMITS.rate_messages, LIMITS.rate_commands, LIMITS.rate_bytes)
        self._buckets = SessionBuckets(rates)

    def on_message(self, payload: bytes, binary: bool) -> None:
        if self._admit(len(payload), is_message=True):
            super().on_message(payload, binary)

    def on_ping(self, payload: bytes) -> None:
        if self._admit(len(payload), is_message=False):
            super().on_ping(payload)

    def charge_frames(self, frames: int) -> bool:
        return self._allowance.take(frames, monotonic())

    def _admit(self, size: int, *, is_message: bool) -> bool:
        refusal = self._buckets.take(size, monotonic(), is_message=is_message)
        if refusal is None:
            return True
        self._write(frame(Opcode.TEXT, refusal.message.encode()))
        if self._buckets.count_refusal(monotonic()):
            self._transport.close(CloseCode.TRY_AGAIN_LATER, refusal.message)
        return False


class EchoAcceptor:
    """What the transport finds instead of the clients of a node."""

    write_high_water = 65_536
    refusals = RefusalLog(SystemClock())
    other_connections = OtherConnections(SystemClock())

    def __init__(self, *, has_limits: bool = False) -> None:
        self.message_max_bytes = LIMITS.message_max_bytes if has_limits else MESSAGE_MAX_BYTES
        self._has_limits = has_limits
        self.refusal: Rejected | None = None
        self.counted = 0
        """Handshakes that a rate of their address would have counted."""
        self.heads = LoopShares(SystemClock())
        self.handshakes = HandshakeQueue(SystemClock(), lambda: 0.0)

    def is_near_file_limit(self) -> bool:
        return False

    def find_early_refusal(self, handshake: Handshake) -> Rejected | None:
        self.counted += 1
        return self.refusal

    def admit(self, handshake: Handshake) -> Admitted:
        author = Author(UserId("echo"), "echo", SessionId("echo"))
        return Admitted(Session(Endpoint.ROOMS, author, None, Keyspace("echo")), JSON, None)

    def connect(self, transport: ClientTransport, decision: Admitted | AcceptedThenClosed) -> TransportListener:
        return LimitedEchoListener(transport) if self._has_limits else EchoListener(transport)


class State(TypedDict):
    clients: EchoAcceptor


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[State]:
    yield {"clients": EchoAcceptor(has_limits="--limits" in sys.argv)}


if __name__ == "__main__":
    application = Starlette(lifespan=lifespan)
    uvicorn.run(
        application, port=int(sys.argv[1]), http=TannoyHttpProtocol, ws="none", loop="uvloop", log_level="warning"
    )
