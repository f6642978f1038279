"""One connection, whatever carries it: from the handshake over its place and its keepalive to the reason it ends.

No task of its own, but while it waits for a place.
"""

import asyncio
import random
from enum import Enum, auto

import structlog

from ...fanout.leases.lease import Lease
from ...shared.channels import Owner, OwnerKind
from ...shared.codes import CLOSE_RULES, CloseCode
from ...shared.errors import LimitReached, Refused
from ...shared.protocol.frames import ByeFrame, PresenceSnapshot, Resync
from ...shared.publication import NO_HISTORY, StartPosition
from ...shared.sessions import CloseOrder
from ..delivery.outbox import Outbox
from ..delivery.watermark import Watermark
from ..protocols.effects import JoinChannel
from ..protocols.encoding import Encoding
from ..protocols.framing import Chunk
from ..protocols.session import Session
from ..transports.base import CLOSE_DEADLINE, ClientTransport
from .command_loop import CommandLoop
from .context import ConnectionContext

PONG_DEADLINE = 10.0
COME_BACK_AFTER = (1.0, 2.0)
"""Seconds after which somebody who found no place may ask again, spread so that not all ask at once."""

_log = structlog.get_logger("tannoy.connection")


class _State(Enum):
    OPENING = auto()  # until `welcome`
    OPEN = auto()
    CLOSING = auto()  # our close frame is out
    CLOSED = auto()


class Connection(CommandLoop):
    """A Carried, a Member of the hub, and Timed by the wheel."""

    __slots__ = ("_is_accepted", "_leases", "_ping_out", "_start", "_state", "_transport", "connected_at", "tick")

    def __init__(
        self, context: ConnectionContext, transport: ClientTransport, session: Session, encoding: Encoding
    ) -> None:
        outbox = Outbox(
            transport, context.limits, session.session_id, on_overflow=self._overflowed, on_skipped=self._skipped
        )
        super().__init__(context, session, encoding, outbox)
        self.tick = 0
        self.connected_at = context.clock.now()
        self._transport = transport
        self._state = _State.OPENING
        self._ping_out = False
        self._is_accepted = False
        self._start: asyncio.Task[tuple[Lease, ...]] | None = None  # until there are places
        self._leases: tuple[Lease, ...] = ()
        context.connections += 1

    @property
    def is_open(self) -> bool:
        return self._state is _State.OPEN

    @property
    def is_arriving(self) -> bool:
        return self._state is _State.OPENING

    @property
    def has_ended(self) -> bool:
        return self._state in (_State.CLOSING, _State.CLOSED)

    @property
    def may_serve(self) -> bool:
        return not self._leases or self._context.session_leases.may_serve

    def _fence_if_expired(self) -> bool:
        """Begin input and timers of a session with this; True: it holds leases that may be another's by now."""
        return bool(self._leases) and self._context.session_leases.fence_if_expired()

    # ---- from the handshake to `welcome`

    def on_opened(self) -> None:
        context = self._context
        context.hub.register(self)
        context.wheel.set(self, context.ping_interval)
        if context.session_leases.are_limited(self.session):
            self._accept(None)  # acquiring a lease may take a while
            take = context.session_leases.take(self.session, self.connected_at, self._lost_place)
            self._start = asyncio.get_running_loop().create_task(take)
            self._start.add_done_callback(self._arrived)
        else:
            self._enter_home()

    def _arrived(self, start: asyncio.Task[tuple[Lease, ...]]) -> None:
        self._start = None
        if start.cancelled():
            return
        error = start.exception()
        if self.has_ended:
            self._context.session_leases.give_back(() if error else start.result())
        elif error is None:
            self._leases = start.result()
            if self.may_serve:
                self._enter_home()
        elif isinstance(error, LimitReached):
            closing = CloseOrder(CloseCode.TRY_AGAIN_LATER, Owner(OwnerKind(error.kind), error.name), error.count)
            self.close(CloseCode.TRY_AGAIN_LATER, closing=closing)
        elif isinstance(error, Refused):
            self.close(CloseCode.TRY_AGAIN_LATER)
        else:
            self.close(CloseCode.INTERNAL)
            raise error

    def _enter_home(self) -> None:
        if self.session.home is None:
            self.welcome(None, NO_HISTORY)
            self._go_on()
        else:
            self.enter(JoinChannel(self.session.home, None, self.session.recover))

    def welcome(self, snapshot: PresenceSnapshot | None, start: StartPosition) -> None:
        self._state = _State.OPEN
        welcome = self.session.welcome(self._context.node_id, self._context.ping_interval, snapshot, start)
        if self._is_accepted:
            self.outbox.write_direct(self.encoding.frame(welcome))
        else:
            self._accept(self.encoding.frame(welcome))

    def _accept(self, first: Chunk | None) -> None:
        self._is_accepted = True
        self._transport.accept(first)

    # ---- TransportListener

    def on_message(self, payload: bytes, binary: bool) -> None:
        if not self.has_ended and not self._fence_if_expired():
            self.hear(payload, binary)

    def on_ping(self, payload: bytes) -> None:
        if not self._fence_if_expired():
            pong = self._transport.pong(payload)
            if pong is not None:
                self.outbox.write_direct(pong)

    def on_writing_paused(self) -> None:
        self.outbox.pause()

    def on_writing_resumed(self) -> None:
        if not self._fence_if_expired():
            self.outbox.resume()

    def on_violation(self, code: int, reason: str) -> None:
        _log.debug("broke RFC 6455", session=self.session.session_id, reason=reason)
        self.close(CloseCode(code))

    def on_close_sent(self) -> None:
        """Only now may somebody else have the place."""
        leases, self._leases = self._leases, ()
        self._context.session_leases.give_back(leases)

    def on_closed(self) -> None:
        self._end()
        self._state = _State.CLOSED
        self._context.wheel.clear(self)
        self._context.connections -= 1
        self.on_close_sent()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    # ---- the end

    def close(self, code: CloseCode, *, retry_after: float | None = None, closing: CloseOrder | None = None) -> None:
        """Say `bye`, close. From here on nothing is delivered; a peer that does not answer is cut off.

        `closing` tells what is remembered of it. 1013 always says when to come back.
        """
        if self.has_ended:
            return
        if retry_after is None and code is CloseCode.TRY_AGAIN_LATER:
            retry_after = round(random.uniform(*COME_BACK_AFTER), 2)
        self._end()
        self._state = _State.CLOSING
        bye = self.encoding.frame(ByeFrame(code, retry_after))
        if self._is_accepted:
            self._transport.writer()(bye)
        else:
            self._accept(bye)
        self._transport.close(code, CLOSE_RULES[code].reason)
        self._context.wheel.set(self, CLOSE_DEADLINE)
        self._context.session_leases.remember(self.session, code, closing)
        _log.debug("closing", session=self.session.session_id, user=self.user_id, code=int(code))

    def _end(self) -> None:
        if self.has_ended:
            return
        if self._start is not None:
            self._start.cancel()
        self.leave_everything()
        self._context.hub.unregister(self)

    def _lost_place(self, closing: CloseOrder) -> None:
        self.close(closing.code, closing=closing)

    def _overflowed(self) -> None:
        self.close(CloseCode.TOO_SLOW)

    def _skipped(self) -> None:
        for joined in tuple(self.session.joined.values()):  # an answer too many closes, and leaves them all
            position = self._context.tracker.position(joined.channel)
            if position is not None and self.is_open:
                # What is still on its way up to there is not for it.
                position = self._context.hub.skip_to(joined.channel, self, Watermark(0, *position))
            self.answer(Resync(joined.channel, "too slow to read: messages were dropped", position))

    # ---- keepalive

    def due(self, now: float) -> None:
        if self._state is _State.CLOSING:
            self._transport.abort()
        elif self._fence_if_expired():
            return
        elif self._ping_out and not self._waiting:
            self.close(CloseCode.NO_PONG)
        elif self._ping_out or self.is_arriving:
            # Its pong may stand behind commands that wait for us; and nothing comes before `welcome`.
            self._context.wheel.set(self, PONG_DEADLINE)
        else:
            self._ping_out = True
            self.outbox.write_direct(self.encoding.ping)
            self._context.wheel.set(self, PONG_DEADLINE)

    def answered_ping(self) -> None:
        if self._ping_out:
            self._ping_out = False
            self._context.wheel.set(self, self._context.ping_interval)
