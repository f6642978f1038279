"""A connection that is refused: it is sent `error` and `bye`, and closed."""

from ...shared.codes import CLOSE_RULES, CloseCode
from ...shared.errors import Refused
from ...shared.protocol.frames import ByeFrame, CommandId, ErrorFrame
from ..admission.handshake import AcceptedThenClosed
from ..admission.other_connections import OtherConnections
from ..protocols.encoding import Encoding, encoding_of
from ..protocols.framing import Chunk
from ..transports.base import CLOSE_DEADLINE, ClientTransport
from .timers import TimerWheel


def encode_refusal(encoding: Encoding, refusal: Refused, code: CloseCode, id: CommandId | None = None) -> Chunk:
    """The `error` and the `bye` of a client that may not have a session. `id`: of the command that is refused."""
    error = ErrorFrame(id, refusal.code, refusal.message, refusal.retry_after)
    return encoding.join((encoding.frame(error), encoding.frame(ByeFrame(code, refusal.retry_after))))


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
        self._transport.accept(encode_refusal(encoding, refusal, code))
        self._transport.close(code, CLOSE_RULES[code].reason)
        if self._others.add(self, self._decision.address):
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

    def on_closed(self, code: int | None = None) -> None:
        self._others.remove(self)
        self._wheel.cancel(self)

    def close_waiting(self) -> None:
        self._transport.abort()

    def on_due(self, now: float) -> None:
        self._transport.abort()
