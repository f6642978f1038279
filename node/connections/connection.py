"""One connection of a client, over any transport: from its handshake over its leases and its pings to its end.

`command_loop.py` handles what the client sends. While the connection opens, or joins a channel, it has a task
(`connection_task.py`).
"""

import asyncio
from enum import Enum, auto
from functools import partial

import structlog

from ...fanout.leases.lease import Lease
from ...shared.backoff import spread_retry_after
from ...shared.codes import CLOSE_RULES, CloseCode, DisconnectRule
from ...shared.errors import BadRequest
from ...shared.names import UserId
from ...shared.protocol.frames import ByeFrame, NodeFrame, StatusFrame
from ...shared.protocol.presence_frames import PresenceSnapshot
from ...shared.publication import NO_HISTORY, StartPosition
from ...shared.sessions import CloseOrder
from ..delivery.outbox import Outbox
from ..protocols.effects import JoinChannel, JoinedChannel
from ..protocols.encoding import Encoding
from ..protocols.framing import Chunk
from ..protocols.session import Session
from ..transports.base import ClientTransport
from .command_loop import CommandLoop
from .connection_task import join_and_answer, open_connection
from .context import ConnectionContext
from .join import find_resyncs, leave_channel
from .keepalive import Keepalive
from .token_expiry import TokenExpiry

RETRY_AFTER = (1.0, 2.0)
"""Seconds after which a client that was refused may connect again, spread so that not all of them do so at once."""

_log = structlog.get_logger("tannoy.connection")


class _State(Enum):
    OPENING = auto()  # until `welcome`
    OPEN = auto()
    CLOSING = auto()  # our close frame has been written
    CLOSED = auto()


class Connection:
    """A TransportListener, a Member of the hub, a CommandOwner, a KeepaliveOwner, and a TaskOwner."""

    __slots__ = (
        "_context",
        "_expiry",
        "_is_accepted",
        "_leases",
        "_state",
        "_task",
        "_transport",
        "address",
        "commands",
        "connected_at",
        "encoding",
        "keepalive",
        "outbox",
        "session",
    )

    def __init__(
        self,
        context: ConnectionContext,
        transport: ClientTransport,
        session: Session,
        encoding: Encoding,
        address: str | None = None,
        *,
        is_accepted: bool = False,
    ) -> None:
        self.session, self.encoding, self.address = session, encoding, address
        self.outbox = Outbox(
            transport, context.outbox_limits, session.session_id, on_overflow=self._overflow, on_skipped=self._resync
        )
        self.connected_at = context.clock.now()
        self._context = context
        self._transport = transport
        self.commands = CommandLoop(self, context.commands)
        self._state = _State.OPENING
        self._is_accepted = is_accepted
        self.keepalive = Keepalive(self, context.wheel, context.terms.ping_interval)
        self._expiry = None if session.claims is None else TokenExpiry(self, context.wheel, context.clock)
        self._task: asyncio.Task[None] | None = None  # opens the connection, or joins a channel
        self._leases: tuple[Lease, ...] = ()
        context.counters.open += 1

    @property
    def user_id(self) -> UserId:
        return self.session.user_id

    @property
    def is_open(self) -> bool:
        return self._state is _State.OPEN

    @property
    def is_opening(self) -> bool:
        return self._state is _State.OPENING

    @property
    def waits_for_node(self) -> bool:
        return self.commands.waits_for_node

    @property
    def is_busy(self) -> bool:
        return self._task is not None or self._state is _State.OPENING

    @property
    def has_ended(self) -> bool:
        return self._state in (_State.CLOSING, _State.CLOSED)

    @property
    def may_serve(self) -> bool:
        return not self._leases or self._context.session_leases.may_serve

    def fence_if_expired(self) -> bool:
        """Begin input and timers of a session with this; True: it holds leases that may be another's by now."""
        return bool(self._leases) and self._context.session_leases.fence_if_expired()

    # ---- opening, up to `welcome`

    def on_opened(self) -> None:
        context = self._context
        context.hub.register(self)
        self.keepalive.start()
        if self._expiry is not None and self.session.claims is not None:
            self._expiry.start(self.session.claims.expires_at)
        is_limited = context.session_leases.are_limited(self.session)
        if is_limited:
            self._accept(None)  # acquiring a lease may take a while
        if is_limited or self.session.home is not None:
            self._task = asyncio.get_running_loop().create_task(open_connection(self, context.joins))
        else:
            self.welcome(None, NO_HISTORY)
            self.commands.resume()

    async def acquire_leases(self) -> None:
        """Acquire the leases that the session needs. Raises Refused."""
        leases = self._context.session_leases
        if leases.are_limited(self.session):
            acquire = partial(leases.acquire, self.session, self.connected_at, self._lose_lease)
            self._leases = await self._context.joins.turns.run_lease(acquire)

    def end_task(self) -> None:
        self._task = None

    def welcome(self, snapshot: PresenceSnapshot | None, start: StartPosition) -> None:
        self._state = _State.OPEN
        welcome = self.session.welcome(self._context.terms, snapshot, start)
        if self._is_accepted:
            self.answer(welcome)
        else:
            self._accept(self.encoding.frame(welcome))
        if self._context.bus_status.state == "down":
            self.send(StatusFrame("down"))

    def _accept(self, first: Chunk | None) -> None:
        self._is_accepted = True
        self._transport.accept(first)

    def refresh_token(self, token: str) -> float:
        """Go on with another token; returns when it expires, in Unix seconds. Raises Refused."""
        verifier = self._context.verifier
        if verifier is None or self._expiry is None:
            raise BadRequest("this node asks for no tokens: TANNOY_AUTH=none")
        claims = verifier.verify(token)
        self.session.refresh(claims)
        self._expiry.start(claims.expires_at)
        assert claims.expires_at is not None  # the claim `exp` is required
        return claims.expires_at

    # ---- channels

    def start_join(self, effect: JoinChannel) -> None:
        joining = join_and_answer(self, self._context.joins, effect)
        self._task = asyncio.get_running_loop().create_task(joining)

    def leave_channel(self, joined: JoinedChannel) -> None:
        self.session.remove_joined(joined)
        leave_channel(self._context.joins, self, joined)

    # ---- TransportListener

    def on_message(self, payload: bytes, binary: bool) -> None:
        if not self.has_ended and not self.fence_if_expired():
            self.commands.handle_frame(payload, binary)

    def on_ping(self, payload: bytes) -> None:
        if self.fence_if_expired() or (self.is_open and not self.commands.admit_ping(len(payload))):
            return
        if (pong := self._transport.pong(payload)) is not None:
            self.outbox.write_direct(pong)

    def charge_frames(self, frames: int) -> bool:
        return self.commands.charge_frames(frames)

    def on_writing_paused(self) -> None:
        self.outbox.pause()

    def on_writing_resumed(self) -> None:
        if not self.fence_if_expired():
            self.outbox.resume()
            self.commands.resume()

    def on_violation(self, code: int, reason: str) -> None:
        _log.debug("failing the connection", session=self.session.session_id, reason=reason)
        self.close(CloseCode(code))

    def on_close_sent(self) -> None:
        # Only now may another session have the leases.
        leases, self._leases = self._leases, ()
        self._context.session_leases.release(leases)

    def on_closed(self, code: int | None = None) -> None:
        if not self.has_ended:
            age = self._context.clock.now() - self.connected_at
            self._context.session_log.record_end(self.session, self.address, code, age)
        self._end()
        self._state = _State.CLOSED
        self.keepalive.stop()
        self._context.counters.open -= 1
        self.on_close_sent()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def abort(self) -> None:
        self._transport.abort()

    # ---- output for this session alone

    def answer(self, node_frame: NodeFrame) -> None:
        self.outbox.write_answer(self.encoding.frame(node_frame))

    def send(self, node_frame: NodeFrame) -> None:
        self.outbox.write_direct(self.encoding.frame(node_frame))

    def _resync(self) -> None:
        for resync in find_resyncs(self._context.joins, self):
            self.send(resync)

    # ---- the end

    def close(
        self,
        code: CloseCode,
        *,
        retry_after: float | None = None,
        order: CloseOrder | None = None,
        rule: DisconnectRule | None = None,
    ) -> None:
        """Send `bye` and close. From here on nothing is delivered; a peer that does not answer is cut off.

        `order`, or else `rule`, says what is remembered of it, where the code does not. 1013 always has a
        `retry_after`, in seconds.
        """
        if self.has_ended:
            return
        if retry_after is None and code is CloseCode.TRY_AGAIN_LATER:
            retry_after = spread_retry_after(*RETRY_AFTER)
        was_open = self.is_open
        self._end()
        self._state = _State.CLOSING
        bye = self.encoding.frame(ByeFrame(code, retry_after))
        if self._is_accepted:
            self._transport.writer()(bye)
        else:
            self._accept(bye)
        self._transport.close(code, CLOSE_RULES[code].reason)
        self.keepalive.wait_for_close()
        self._context.session_leases.remember(self.session, code, order, rule)
        self._context.session_log.record_close(self.session, self.address, code, order, was_open=was_open)

    def _end(self) -> None:
        """Stop: nothing is delivered or handled any more, and all channels are left."""
        if self.has_ended:
            return
        self.outbox.discard()
        if self._expiry is not None:
            self._expiry.stop()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for joined in tuple(self.session.joined.values()):
            self.leave_channel(joined)
        self.commands.discard_waiting()
        self._context.hub.unregister(self)

    def _lose_lease(self, order: CloseOrder) -> None:
        self.close(order.code, order=order)

    def _overflow(self) -> None:
        self.close(CloseCode.TOO_SLOW)
