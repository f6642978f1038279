"""A connection whose client has no identity yet: it was accepted without a token, which its first frame has to bring.

It is no session: hub, presence and limits do not know of it. Once its token is verified the connection of the session
takes its place at the transport.
"""

from collections.abc import Callable
from functools import partial

from ...shared.codes import CLOSE_RULES, CloseCode
from ...shared.errors import BadRequest, Refused
from ...shared.protocol.command_parser import BadCommand
from ...shared.protocol.commands import Authenticate
from ...shared.protocol.frames import ByeFrame, CommandId, OkFrame
from ..admission.handshake import AwaitsToken, close_code_of
from ..admission.handshake_queue import HandshakeQueue
from ..admission.other_connections import OtherConnections
from ..auth.token_problems import TokenProblem, TokenRefused
from ..protocols.encoding import encoding_of
from ..protocols.framing import Chunk
from ..protocols.session import Session
from ..transports.base import CLOSE_DEADLINE, ClientTransport, TransportListener
from .rejected import encode_refusal
from .timers import TimerWheel

AUTH_DEADLINE = 5.0
"""Seconds in which the first frame has to come."""
FRAMES_MAX = 256
"""Frames, of any kind, before it: a client may answer or send a few pings."""

Identify = Callable[[AwaitsToken, str], Session]
"""The session of the client with this token. Raises Refused."""


class UnidentifiedConnection:
    """A TransportListener, an OtherConnection, and Timed by the wheel."""

    __slots__ = (
        "_connect",
        "_decision",
        "_encoding",
        "_frames",
        "_handshakes",
        "_has_ended",
        "_identify",
        "_others",
        "_record",
        "_transport",
        "_wheel",
        "tick",
    )

    def __init__(
        self,
        transport: ClientTransport,
        decision: AwaitsToken,
        wheel: TimerWheel,
        others: OtherConnections,
        handshakes: HandshakeQueue,
        *,
        identify: Identify,
        connect: Callable[[ClientTransport, AwaitsToken, Session], TransportListener],
        record: Callable[[AwaitsToken, Refused, CloseCode], None],
    ) -> None:
        """`connect`: creates the connection of the session, whose transport is accepted already. `record`: counts and
        logs a refusal.
        """
        self.tick = 0
        self._transport = transport
        self._decision = decision
        self._encoding = encoding_of(decision.wire, transport.framing)
        self._wheel = wheel
        self._others = others
        self._handshakes = handshakes
        self._identify = identify
        self._connect = connect
        self._record = record
        self._frames = 0
        self._has_ended = False

    # ---- TransportListener

    def on_opened(self) -> None:
        self._transport.accept(None)
        if self._others.add(self, self._decision.address):
            self._wheel.schedule(self, AUTH_DEADLINE)
        else:
            self._transport.abort()

    def on_message(self, payload: bytes, binary: bool) -> None:
        if self._has_ended:
            return
        try:
            command = self._encoding.decode_command(payload, binary)
        except BadCommand as bad:
            self._refuse(bad.id, bad.refusal, CloseCode.BAD_TOKEN)
            return
        if not isinstance(command, Authenticate):
            refusal = BadRequest(f"this node asks for a token: the first frame has to be auth, not {command.type}")
            self._refuse(command.id, refusal, CloseCode.BAD_TOKEN)
            return
        if (rejected := self._handshakes.find_refusal()) is not None:
            self._refuse(command.id, rejected.refusal, close_code_of(rejected.refusal))
        elif not self._handshakes.run(self, partial(self._authenticate, command)):
            self._transport.pause_reading()
            self._wheel.cancel(self)  # the token has come in time
            self._others.begin_answer(self)

    def _authenticate(self, command: Authenticate) -> None:
        self._transport.resume_reading()
        self._others.end_answer(self)
        try:
            session = self._identify(self._decision, command.token)
        except Refused as refusal:
            self._refuse(command.id, refusal, close_code_of(refusal))
            return
        self._hand_over(session, command.id)

    def _hand_over(self, session: Session, id: CommandId | None) -> None:
        self._stop()
        if id is not None:
            self._transport.writer()(self._encoding.frame(OkFrame(id, {})))
        connection = self._connect(self._transport, self._decision, session)
        self._transport.listen(connection)
        connection.on_opened()

    def on_ping(self, payload: bytes) -> None:
        if not self._has_ended and not self._transport.buffered():  # a client that does not read gets no answers
            if (pong := self._transport.pong(payload)) is not None:
                self._transport.writer()(pong)

    def charge_frames(self, frames: int) -> bool:
        self._frames += frames
        return self._frames <= FRAMES_MAX

    def on_writing_paused(self) -> None: ...
    def on_writing_resumed(self) -> None: ...
    def on_close_sent(self) -> None: ...

    def on_violation(self, code: int, reason: str) -> None:
        self._end(CloseCode(code), self._encoding.frame(ByeFrame(CloseCode(code))))

    def on_closed(self, code: int | None = None) -> None:
        self._stop()
        self._has_ended = True

    # ---- the end

    def close_waiting(self) -> None:
        self._transport.abort()

    def on_due(self, now: float) -> None:
        if self._has_ended:
            self._transport.abort()
        else:
            message = f"no token came within {AUTH_DEADLINE:g} s: send it in the handshake, or in a first frame auth"
            self._refuse(None, TokenRefused(TokenProblem.MISSING, message), CloseCode.BAD_TOKEN)

    def _refuse(self, id: CommandId | None, refusal: Refused, code: CloseCode) -> None:
        self._record(self._decision, refusal, code)
        self._end(code, encode_refusal(self._encoding, refusal, code, id))

    def _end(self, code: CloseCode, last: Chunk) -> None:
        """Send `last`, which ends with `bye`, and close; a peer that does not answer is cut off."""
        if self._has_ended:
            return
        self._has_ended = True
        self._handshakes.remove(self)
        self._transport.writer()(last)
        self._transport.close(code, CLOSE_RULES[code].reason)
        self._wheel.schedule(self, CLOSE_DEADLINE)

    def _stop(self) -> None:
        self._handshakes.remove(self)
        self._others.remove(self)
        self._wheel.cancel(self)
