"""A connection that is only told why it can't be one: `error`, `bye`, close."""

from ...shared.codes import CLOSE_RULES
from ...shared.protocol.frames import ByeFrame, ErrorFrame
from ..admission.handshake import AcceptedThenClosed
from ..protocols.framing import frame_object
from ..transports.base import CLOSE_DEADLINE, ClientTransport
from .timers import TimerWheel


class RejectedConnection:
    """A Carried, and Timed by the wheel. Whatever the peer says meanwhile is not heard."""

    __slots__ = ("_transport", "_turned_away", "_wheel", "tick")

    def __init__(self, transport: ClientTransport, turned_away: AcceptedThenClosed, wheel: TimerWheel) -> None:
        self.tick = 0
        self._transport = transport
        self._turned_away = turned_away
        self._wheel = wheel

    def opened(self, opening: bytes = b"") -> None:
        refusal, code, wire = self._turned_away.refusal, self._turned_away.code, self._turned_away.wire
        failure = ErrorFrame(None, refusal.code, refusal.message, refusal.retry_after)
        self._transport.writer()(
            opening + frame_object(failure, wire) + frame_object(ByeFrame(code, refusal.retry_after), wire)
        )
        self._transport.close(code, CLOSE_RULES[code].reason)
        self._wheel.set(self, CLOSE_DEADLINE)

    def received(self, payload: bytes, binary: bool) -> None: ...
    def pinged(self, payload: bytes) -> None: ...
    def paused(self) -> None: ...
    def resumed(self) -> None: ...
    def goodbye_sent(self) -> None: ...

    def violated(self, code: int, reason: str) -> None:
        self._transport.abort()

    def closed(self) -> None:
        self._wheel.clear(self)

    def due(self, now: float) -> None:
        self._transport.abort()
