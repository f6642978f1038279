"""What a connection stands on: something that takes ready frames and can close.

`uvicorn_websocket.py` and `asgi_websocket.py` are the two of them; a transport such as SSE would be a third.
"""

from collections.abc import Callable
from typing import Protocol

from ..admission.handshake import AcceptedThenClosed, Admitted, Handshake, Rejected

CLOSE_DEADLINE = 5.0
"""Seconds for a peer to end a connection that has been closed."""


class ClientTransport(Protocol):
    """The way out. Its writer takes whole frames of RFC 6455, any number of them joined.

    It calls `paused()` on its connection when what it was given piles up, and `resumed()` when that is gone.
    """

    def writer(self) -> Callable[[bytes], None]:
        """The function that takes frames; a value to keep, so that the hub calls it without a detour."""
        ...

    def buffered(self) -> int:
        """Bytes taken by the writer that the kernel has not taken yet."""
        ...

    def pause_reading(self) -> None:
        """Leave what the peer sends with the kernel until `resume_reading`."""
        ...

    def resume_reading(self) -> None: ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame behind all that was written, tell `goodbye_sent`, and end when the peer has answered."""
        ...

    def abort(self) -> None:
        """End at once."""
        ...


class TransportListener(Protocol):
    """What a carrier calls back. After `closed` nothing more comes."""

    def opened(self, opening: bytes = b"") -> None:
        """The handshake has succeeded. `opening` answers it, and has to be written before all else: with it, if there
        is something to say at once, since one write costs half of two."""
        ...

    def received(self, payload: bytes, binary: bool) -> None: ...
    def pinged(self, payload: bytes) -> None:
        """A ping of RFC 6455, which has to be answered by a pong; through the outbox, so that it is bounded."""
        ...

    def paused(self) -> None: ...
    def resumed(self) -> None: ...
    def violated(self, code: int, reason: str) -> None:
        """The peer broke RFC 6455; whoever is carried says its last words and closes with this code."""
        ...

    def goodbye_sent(self) -> None:
        """The close frame has been handed over: nothing that comes later can reach the peer."""
        ...

    def closed(self) -> None: ...


class ConnectionFactory(Protocol):
    """What a carrier finds under "node": decides over handshakes and makes connections."""

    message_max_bytes: int
    write_high_water: int

    def admit(self, handshake: Handshake) -> Admitted | AcceptedThenClosed | Rejected: ...
    def connect(self, carrier: ClientTransport, decision: Admitted | AcceptedThenClosed) -> TransportListener: ...
