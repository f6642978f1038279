"""A connection whose client the application decides on: who it is, and whether it may have what its endpoint names.

It is no session yet: hub, presence and limits do not know of it. Once the application has decided, the connection of
the session takes its place at the transport. What the client sends meanwhile waits.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ...shared.codes import CloseCode
from ...shared.errors import Refused
from ...shared.protocol.frames import ByeFrame
from ..admission.handshake import HostRequest, close_code_of
from ..admission.other_connections import OtherConnections
from ..admission.refusals import Reason, reason_of
from ..hooks.errors import HookFailed, HookLate, HookUnavailable, NotAuthenticated
from ..hooks.hooks import LiveSession
from ..protocols.encoding import Encoding
from ..protocols.session import Session
from ..transports.base import ClientTransport, TransportListener
from .inbound import InboundQueue
from .rejected import encode_refusal
from .sessionless import SessionlessConnection
from .timers import TimerWheel

FRAMES_MAX = 1024
"""Frames, of any kind, that a client may send before it is a session."""


class Decided(NamedTuple):
    """A session that the application admits, and as what its other hooks know it."""

    session: Session
    live: LiveSession


class PendingConnection(SessionlessConnection):
    """A TransportListener, an OtherConnection, and Timed by the wheel."""

    __slots__ = (
        "_connect",
        "_decide",
        "_decision",
        "_decisions",
        "_is_accepted",
        "_record",
        "_request",
        "_waiting",
        "address",
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
        super().__init__(transport, encoding, wheel, others, FRAMES_MAX)
        self.address = address
        self._is_accepted = is_accepted
        self._decide = decide
        self._connect = connect
        self._record = record
        self._decisions = decisions
        self._request = request
        self._decision: asyncio.Task[None] | None = None
        self._waiting = InboundQueue()

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

    def on_closed(self, code: int | None = None) -> None:
        super().on_closed(code)
        self._cancel()

    # ---- the end

    def _refuse(self, refusal: Refused) -> None:
        code = _close_code_of(refusal)
        self._record(_reason_of(refusal), code, refusal)
        self._end(code, encode_refusal(self._encoding, refusal, code))

    def _give_up(self) -> None:
        self._cancel()
        self._others.end_answer(self)

    def _cancel(self) -> None:
        if self._decision is not None and self._decision is not asyncio.current_task():
            self._decision.cancel()


def _close_code_of(refusal: Refused) -> CloseCode:
    if isinstance(refusal, HookFailed):
        return CloseCode.INTERNAL
    return CloseCode.BAD_TOKEN if isinstance(refusal, NotAuthenticated) else close_code_of(refusal)


def _reason_of(refusal: Refused) -> Reason:
    if isinstance(refusal, HookFailed | HookLate | HookUnavailable):
        return Reason.HOOK
    return Reason.NOT_AUTHENTICATED if isinstance(refusal, NotAuthenticated) else reason_of(refusal)
