"""A connection whose client the application decides on: who it is, and whether it may have what its endpoint names.

It is no session yet: hub, presence and limits do not know of it. Once the application has decided, the connection of
the session takes its place at the transport. What the client sends meanwhile waits.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ...shared.codes import CLOSE_RULES, CloseCode
from ...shared.errors import Refused
from ...shared.protocol.frames import ByeFrame
from ..admission.handshake import HostRequest, close_code_of
from ..admission.other_connections import OtherConnections
from ..admission.refusals import Reason, reason_of
from ..hooks.errors import HookFailed, HookLate, NotAuthenticated
from ..hooks.hooks import LiveSession
from ..protocols.encoding import Encoding
from ..protocols.framing import Chunk
from ..protocols.session import Session
from ..transports.base import CLOSE_DEADLINE, ClientTransport, TransportListener
from .inbound import InboundQueue
from .rejected import encode_refusal
from .timers import TimerWheel

FRAMES_MAX = 1024
"""Frames, of any kind, that a client may send before it is a session."""


class Decided(NamedTuple):
    """A session that the application admits, and as what its other hooks know it."""

    session: Session
    live: LiveSession


class PendingConnection:
    """A TransportListener, an OtherConnection, and Timed by the wheel."""

    __slots__ = (
        "_connect",
        "_decide",
        "_decision",
        "_decisions",
        "_encoding",
        "_frames",
        "_has_ended",
        "_is_accepted",
        "_others",
        "_record",
        "_request",
        "_transport",
        "_waiting",
        "_wheel",
        "address",
        "tick",
    )

    def __init__(
        self,
        transport: ClientTransport,
        encoding: Encoding,
        wheel: TimerWheel,
        others: OtherConnections,
        *,
        address: str | None,
        is_accepted: bool,
        decide: Callable[[], Awaitable[Decided]],
        connect: Callable[[Decided], TransportListener],
        record: Callable[[Reason, CloseCode, Refused], None],
        decisions: set[asyncio.Task[None]],
        request: HostRequest | None = None,
    ) -> None:
        """`decide` raises Refused. `connect`: creates the connection of the session. `record`: counts and logs a
        refusal. `decisions`: of all such connections, for who ends them. `request`: what the application is asked with.
        """
        self.tick = 0
        self.address = address
        self._transport = transport
        self._encoding = encoding
        self._wheel = wheel
        self._others = others
        self._is_accepted = is_accepted
        self._decide = decide
        self._connect = connect
        self._record = record
        self._decisions = decisions
        self._request = request
        self._decision: asyncio.Task[None] | None = None
        self._waiting = InboundQueue()
        self._frames = 0
        self._has_ended = False

    # ---- TransportListener

    def on_opened(self) -> None:
        if not self._is_accepted:
            self._transport.accept(None)
        if not self._others.add(self, self.address):
            self._transport.abort()
            return
        self._others.begin_answer(self)  # the client waits for the application: nobody takes its place
        self._decision = decision = asyncio.get_running_loop().create_task(self._run(), name="tannoy-pending")
        self._decisions.add(decision)
        decision.add_done_callback(self._decisions.discard)
        if self._request is not None:
            self._request.decision = decision

    async def _run(self) -> None:
        try:
            decided = await self._decide()
        except Refused as refusal:
            self._refuse(refusal)
            return
        except Exception:
            self._end(CloseCode.INTERNAL, self._encoding.frame(ByeFrame(CloseCode.INTERNAL)))
            raise  # a fault of ours: the event loop logs it
        self._hand_over(decided)

    def _hand_over(self, decided: Decided) -> None:
        self._stop()
        connection = self._connect(decided)
        self._transport.listen(connection)
        self._transport.resume_reading()  # the connection may pause it again
        connection.on_opened()
        while self._waiting:
            connection.on_message(*self._waiting.pop())

    def on_message(self, payload: bytes, binary: bool) -> None:
        if self._has_ended:
            return
        self._waiting.push(payload, binary)
        if self._waiting.is_full:
            self._transport.pause_reading()

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
        self._cancel()

    # ---- the end

    def close_waiting(self) -> None:
        self._transport.abort()

    def on_due(self, now: float) -> None:
        self._transport.abort()

    def _refuse(self, refusal: Refused) -> None:
        code = _close_code_of(refusal)
        self._record(_reason_of(refusal), code, refusal)
        self._end(code, encode_refusal(self._encoding, refusal, code))

    def _end(self, code: CloseCode, last: Chunk) -> None:
        """Send `last`, which ends with `bye`, and close; a peer that does not answer is cut off."""
        if self._has_ended:
            return
        self._has_ended = True
        self._cancel()
        self._others.end_answer(self)
        self._transport.writer()(last)
        self._transport.close(code, CLOSE_RULES[code].reason)
        self._wheel.schedule(self, CLOSE_DEADLINE)

    def _cancel(self) -> None:
        if self._decision is not None and self._decision is not asyncio.current_task():
            self._decision.cancel()

    def _stop(self) -> None:
        self._others.remove(self)
        self._wheel.cancel(self)


def _close_code_of(refusal: Refused) -> CloseCode:
    if isinstance(refusal, HookFailed):
        return CloseCode.INTERNAL
    return CloseCode.BAD_TOKEN if isinstance(refusal, NotAuthenticated) else close_code_of(refusal)


def _reason_of(refusal: Refused) -> Reason:
    if isinstance(refusal, HookFailed | HookLate):
        return Reason.HOOK
    return Reason.NOT_AUTHENTICATED if isinstance(refusal, NotAuthenticated) else reason_of(refusal)
