"""A connection whose client has no identity yet: it was accepted without a token, which its first frame has to bring.

It is no session: hub, presence and limits do not know of it. Once its token is verified the connection of the session
takes its place at the transport.
"""

from collections.abc import Callable
from functools import partial

from ...shared.codes import CloseCode
from ...shared.errors import BadRequest, Refused
from ...shared.protocol.command_parser import BadCommand
from ...shared.protocol.commands import Authenticate
from ...shared.protocol.frames import CommandId, OkFrame
from ..admission.handshake import AwaitsToken, close_code_of
from ..admission.handshake_queue import HandshakeQueue
from ..admission.other_connections import OtherConnections
from ..auth.token_problems import TokenProblem, TokenRefused
from ..protocols.encoding import encoding_of
from ..protocols.session import Session
from ..transports.base import ClientTransport, TransportListener
from .rejected import encode_refusal
from .sessionless import SessionlessConnection
from .timers import TimerWheel

AUTH_DEADLINE = 5.0
"""Seconds in which the first frame has to come."""
FRAMES_MAX = 256
"""Frames, of any kind, before it: a client may answer or send a few pings."""

Identify = Callable[[AwaitsToken, str], Session]
"""The session of the client with this token. Raises Refused."""


class UnidentifiedConnection(SessionlessConnection):
    """A TransportListener, an OtherConnection, and Timed by the wheel."""

    __slots__ = (
        "_connect",
        "_decision",
        "_handshakes",
        "_identify",
        "_record",
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
        super().__init__(transport, encoding_of(decision.wire, transport.framing), wheel, others, FRAMES_MAX)
        self._decision = decision
        self._handshakes = handshakes
        self._identify = identify
        self._connect = connect
        self._record = record

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

    # ---- the end

    def on_due(self, now: float) -> None:
        if self._has_ended:
            self._transport.abort()
        else:
            message = f"no token came within {AUTH_DEADLINE:g} s: send it in the handshake, or in a first frame auth"
            self._refuse(None, TokenRefused(TokenProblem.MISSING, message), CloseCode.BAD_TOKEN)

    def _refuse(self, id: CommandId | None, refusal: Refused, code: CloseCode) -> None:
        self._record(self._decision, refusal, code)
        self._end(code, encode_refusal(self._encoding, refusal, code, id))

    def _give_up(self) -> None:
        self._handshakes.remove(self)

    def _stop(self) -> None:
        self._handshakes.remove(self)
        super()._stop()
