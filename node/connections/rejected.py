"""A connection that is refused: it is sent `error` and `bye`, and closed."""

from ...shared.codes import CLOSE_RULES
from ...shared.protocol.frames import ByeFrame, ErrorFrame
from ..admission.handshake import AcceptedThenClosed
from ..admission.other_connections import OtherConnections
from ..protocols.encoding import encoding_of
from ..transports.base import CLOSE_DEADLINE, ClientTransport
from .timers import TimerWheel


class RejectedConnection:
    """A TransportListener, an OtherConnection, and Timed by the wheel. What the peer sends is ignored."""

    __slots__ = ("_decision", "_others", "_transport", "_wheel", "tick")

    def __init__(
        self, transport: ClientTransport, decision: AcceptedThenClosed, wheel: TimerWheel, others: OtherConnections
    ) -> None:
        self.tick = 0
        self._transport = transport
        self._decision = decision
        self._wheel = wheel
        self._others = others

    def on_opened(self) -> None:
        refusal, code = self._decision.refusal, self._decision.code
        encoding = encoding_of(self._decision.wire, self._transport.framing)
        error = encoding.frame(ErrorFrame(None, refusal.code, refusal.message, refusal.retry_after))
        self._transport.accept(encoding.join((error, encoding.frame(ByeFrame(code, refusal.retry_after)))))
        self._transport.close(code, CLOSE_RULES[code].reason)
        if self._others.add(self):
            self._wheel.schedule(self, CLOSE_DEADLINE)
        else:
            self._transport.abort()

    def on_message(self, payload: bytes, binary: bool) -> None: ...
    def on_ping(self, payload: bytes) -> None: ...
    def charge_frames(self, frames: int) -> bool:
        return False  # its peer has been told to go

    def on_writing_paused(self) -> None: ...
    def on_writing_resumed(self) -> None: ...
    def on_close_sent(self) -> None: ...

    def on_violation(self, code: int, reason: str) -> None:
        self._transport.abort()

    def on_closed(self) -> None:
        self._others.remove(self)
        self._wheel.cancel(self)

    def close_waiting(self) -> None:
        self._transport.abort()

    def on_due(self, now: float) -> None:
        self._transport.abort()
