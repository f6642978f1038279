"""The fast transport for a node inside a host application: it takes the socket of a handshake that arrives there.

The server below has read the handshake, and the host's middleware and routes have seen it as an ASGI scope. Where the
server offers its socket in that scope, `node/transports/uvicorn_websocket.py` serves it from then on, and the call of
the application ends.
"""

import asyncio
from typing import Protocol, cast

from starlette.types import Scope

from ..admission.heads import check_head
from .asgi_websocket import handshake_of, target_length
from .base import ConnectionFactory
from .handshake_turns import wait_for_turn
from .uvicorn_websocket import TannoyWebSocketProtocol

EXTENSION = "tannoy.socket"
"""Under which the extensions of a scope have the SocketHolder."""


class SocketHolder(Protocol):
    """What has the socket of a WebSocket whose handshake is not answered yet (`node/server/embedded_protocol.py`)."""

    def has_closed(self) -> bool:
        """Whether the client has left: nobody would be told again."""
        ...

    def hand_over(self, successor: asyncio.Protocol) -> None:
        """Let `successor` have the socket, and answer the handshake."""
        ...


def find_socket(scope: Scope) -> SocketHolder | None:
    """Return what has the socket of this scope; None: the server below does not offer it."""
    return cast("SocketHolder | None", scope.get("extensions", {}).get(EXTENSION))


async def serve_socket(scope: Scope, holder: SocketHolder, node: ConnectionFactory) -> None:
    """Answer the handshake of a scope in its turn; its socket is served from then on, until it ends.

    Returns when the scope is not needed any more: what the host's middleware has opened for it may be closed then.
    """
    handshake = handshake_of(scope)
    rejected = check_head(target_length(scope), scope["headers"]) or await wait_for_turn(node, handshake)
    if holder.has_closed():
        holder.hand_over(asyncio.Protocol())
        return
    protocol = TannoyWebSocketProtocol(node)
    holder.hand_over(protocol)
    protocol.open(handshake, rejected)
    if handshake.request is not None and handshake.request.decision is not None:
        await asyncio.wait((handshake.request.decision,))
