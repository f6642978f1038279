"""uvicorn's WebSocket class, which hands the sockets of an embedded node over to the fast transport.

`uvicorn app:app --ws tannoy.node.server:Protocol`. A handshake goes through the host application as always, with its
middleware and its routes. If it arrives at an embedded node, that takes the socket, and the call of the application
ends; every other WebSocket of the host is served by uvicorn.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from ..transports.handover import EXTENSION


class Protocol(WebSocketsSansIOProtocol):
    """One socket, until its handshake is answered. A SocketHolder."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:  # otherwise it is answered, and has no scope
            cast(dict[str, Any], self.scope)["extensions"][EXTENSION] = self

    def has_closed(self) -> bool:
        return bool(self.transport.is_closing())

    def hand_over(self, successor: asyncio.Protocol) -> None:
        transport = self.transport
        self.transport = _NoTransport()
        self.connections.discard(self)
        self.handshake_complete = True  # for `run_asgi`, which answers by itself where the application has not
        successor.connection_made(transport)
        transport.set_protocol(successor)


class _NoTransport(asyncio.Transport):
    """What a protocol without a socket writes and closes."""

    def write(self, data: object) -> None: ...

    def close(self) -> None: ...

    def is_closing(self) -> bool:
        return True
