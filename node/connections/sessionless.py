"""A connection that is accepted and no session yet: what its frames may cost, and how it ends.

Hub, presence and limits do not know of it. The connection of the session takes its place at the transport.
"""

from ...shared.codes import CLOSE_RULES, CloseCode
from ...shared.protocol.frames import ByeFrame
from ..admission.other_connections import OtherConnections
from ..protocols.encoding import Encoding
from ..protocols.framing import Chunk
from ..transports.base import CLOSE_DEADLINE, ClientTransport
from .timers import TimerWheel


class SessionlessConnection:
    """What such connections share as TransportListeners, OtherConnections, and Timed by the wheel.

    `frames_max`: frames, of any kind, that the client may send before it is a session.
    """

    __slots__ = ("_encoding", "_frames", "_frames_max", "_has_ended", "_others", "_transport", "_wheel", "tick")

    def __init__(
        self,
        transport: ClientTransport,
        encoding: Encoding,
        wheel: TimerWheel,
        others: OtherConnections,
        frames_max: int,
    ) -> None:
        self.tick = 0
        self._transport = transport
        self._encoding = encoding
        self._wheel = wheel
        self._others = others
        self._frames_max = frames_max
        self._frames = 0
        self._has_ended = False

    def on_ping(self, payload: bytes) -> None:
        if not self._has_ended and not self._transport.buffered():  # a client that does not read gets no answers
            if (pong := self._transport.pong(payload)) is not None:
                self._transport.writer()(pong)

    def charge_frames(self, frames: int) -> bool:
        self._frames += frames
        return self._frames <= self._frames_max

    def on_writing_paused(self) -> None: ...
    def on_writing_resumed(self) -> None: ...
    def on_close_sent(self) -> None: ...

    def on_violation(self, code: int, reason: str) -> None:
        self._end(CloseCode(code), self._encoding.frame(ByeFrame(CloseCode(code))))

    def on_closed(self, code: int | None = None) -> None:
        self._stop()
        self._has_ended = True

    def close_waiting(self) -> None:
        self._transport.abort()

    def _end(self, code: CloseCode, last: Chunk) -> None:
        """Send `last`, which ends with `bye`, and close; a peer that does not answer is cut off."""
        if self._has_ended:
            return
        self._has_ended = True
        self._give_up()
        self._transport.writer()(last)
        self._transport.close(code, CLOSE_RULES[code].reason)
        self._wheel.schedule(self, CLOSE_DEADLINE)

    def _give_up(self) -> None:
        """End what was begun for the client, which is not to be a session."""

    def on_due(self, now: float) -> None:
        self._transport.abort()

    def _stop(self) -> None:
        self._others.remove(self)
        self._wheel.cancel(self)
