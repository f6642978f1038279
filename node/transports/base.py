"""The interface between a connection and its transport, which writes chunks of one framing and closes.

`uvicorn_websocket.py` and `asgi_websocket.py` implement it; a transport of Server-Sent Events would be a third one.
"""

from collections.abc import Callable
from typing import Protocol

from ..admission.handshake import Accepted, Handshake, Rejected
from ..admission.handshake_queue import HandshakeQueue
from ..admission.loop_shares import LoopShares
from ..admission.other_connections import OtherConnections
from ..admission.refusals import RefusalLog
from ..protocols.framing import Chunk, Framing

CLOSE_DEADLINE = 5.0
"""Seconds in which a peer has to end a connection that has been closed."""
SHARE_FRAMES = 64
"""Frames of one socket between two breaks, in which the other sockets have their turn."""
SHARE_BYTES = 16_384
"""Bytes of their payloads: one frame may exceed it, the next one waits. It is what a few milliseconds of decoding take
in, if they hold as many small values as they can."""
CLOSED_SHARES_MAX = 16
"""Shares that are handled behind the close frame, for the peer's own one: a client that goes on sending would else
cost the node a core until its time to leave is over."""
CLOSED_MAX_BYTES = 8 * 1024 * 1024
"""Bytes that are read behind the close frame: what is left unread ends in a reset, with which a peer that is still
sending loses `bye`. Megabytes may be under way."""

Decision = Accepted | Rejected
"""On a handshake."""


class ClientTransport(Protocol):
    """The transport of one client. It calls `on_writing_paused` of its listener when its write buffer is full."""

    @property
    def framing(self) -> Framing:
        """The framing of the chunks that the writer takes."""
        ...

    def accept(self, first: Chunk | None) -> None:
        """Answer the opening handshake, and write `first` with it: one write costs half of two. Called once, first."""
        ...

    def listen(self, listener: "TransportListener") -> None:
        """Call this listener from now on, in place of the one before. It is accepted already."""
        ...

    def writer(self) -> Callable[[Chunk], None]:
        """Return the function that writes chunks; the outbox calls it directly."""
        ...

    def buffered(self) -> int:
        """Return how many bytes were written that the kernel has not taken yet."""
        ...

    def pong(self, payload: bytes) -> Chunk | None:
        """Return the answer to a ping frame, to be written through the outbox; None if the server below answers."""
        ...

    def pause_reading(self) -> None:
        """Leave what the peer sends in the kernel's buffer until `resume_reading`."""
        ...

    def resume_reading(self) -> None: ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame behind all that was written, call `on_close_sent`, and end when the peer has answered."""
        ...

    def abort(self) -> None:
        """End the connection at once."""
        ...


class TransportListener(Protocol):
    """The callbacks of a transport. After `on_closed` it calls none any more."""

    def on_opened(self) -> None:
        """The client is admitted: call `accept`, now or later."""
        ...

    def on_message(self, payload: bytes, binary: bool) -> None: ...

    def on_ping(self, payload: bytes) -> None:
        """Answer a ping frame with the transport's `pong`, through the outbox, so that the answers are bounded."""
        ...

    def charge_frames(self, frames: int) -> bool:
        """Charge the client for a share: so many frames of it, of any kind, that have been handled.

        False: it sends too many. The transport then calls `on_violation` with 4505 and ignores what else it sends.
        """
        ...

    def on_writing_paused(self) -> None: ...

    def on_writing_resumed(self) -> None: ...

    def on_violation(self, code: int, reason: str) -> None:
        """The peer broke RFC 6455, or sends too many frames: send `bye` and close with this code."""
        ...

    def on_close_sent(self) -> None:
        """The close frame has been handed over: nothing that is written later can reach the peer."""
        ...

    def on_closed(self, code: int | None = None) -> None:
        """The connection has ended. `code`: that of the client's close frame; None: it sent none."""
        ...


class ConnectionFactory(Protocol):
    """What decides on handshakes, and connects: a transport finds it under "clients" in the lifespan's state."""

    message_max_bytes: int
    write_high_water: int
    refusals: RefusalLog
    other_connections: OtherConnections
    heads: LoopShares
    """Of the work on what is read of requests and handshakes."""
    handshakes: HandshakeQueue
    """In which they wait for their turn: none is passed to `admit` before."""

    def is_near_file_limit(self) -> bool:
        """Whether a connection that was just accepted may have a file of the reserve."""
        ...

    def find_early_refusal(self, handshake: Handshake) -> Rejected | None:
        """Find how a handshake is refused that need not wait for its turn, and record nothing. None: it may wait.

        It counts against the rate of its client's address: so this is called once for each, whatever it is like.
        """
        ...

    def admit(self, handshake: Handshake) -> Decision:
        """Decide on a handshake; a refusal is recorded. What a transport refuses by itself it records itself."""
        ...

    def connect(self, transport: ClientTransport, decision: Accepted) -> TransportListener: ...
