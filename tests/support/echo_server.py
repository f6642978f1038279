"""An echo server on the fast transport, for the Autobahn cases: `python -m tests.support.echo_server PORT`."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypedDict

import uvicorn
from starlette.applications import Starlette
from tannoy.node.admission.handshake import AcceptedThenClosed, Admitted, Handshake
from tannoy.node.admission.other_connections import OtherConnections
from tannoy.node.admission.refusals import RefusalLog
from tannoy.node.protocols.session import Endpoint, Session
from tannoy.node.rfc6455 import Opcode, frame
from tannoy.node.server.http_protocol import TannoyHttpProtocol
from tannoy.node.transports.base import ClientTransport, TransportListener
from tannoy.shared.clock import SystemClock
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import SessionId, UserId
from tannoy.shared.protocol.codec import JSON
from tannoy.shared.protocol.frames import Author

MESSAGE_MAX_BYTES = 16 * 1024 * 1024


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


class EchoAcceptor:
    """What the transport finds instead of the clients of a node."""

    message_max_bytes = MESSAGE_MAX_BYTES
    write_high_water = 65_536
    refusals = RefusalLog(SystemClock())
    other_connections = OtherConnections(SystemClock())

    def admit(self, handshake: Handshake) -> Admitted:
        author = Author(UserId("echo"), "echo", SessionId("echo"))
        return Admitted(Session(Endpoint.ROOMS, author, None, Keyspace("echo")), JSON, None)

    def connect(self, transport: ClientTransport, decision: Admitted | AcceptedThenClosed) -> TransportListener:
        return EchoListener(transport)


class State(TypedDict):
    clients: EchoAcceptor


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[State]:
    yield {"clients": EchoAcceptor()}


if __name__ == "__main__":
    application = Starlette(lifespan=lifespan)
    uvicorn.run(
        application, port=int(sys.argv[1]), http=TannoyHttpProtocol, ws="none", loop="uvloop", log_level="warning"
    )
