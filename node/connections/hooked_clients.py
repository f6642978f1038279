"""Who may connect to a node in an application that has hooks: it decides on them, and is told of their sessions."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from ...shared.clock import Clock
from ...shared.codes import CloseCode
from ...shared.errors import Refused
from ...shared.settings import Settings
from ..admission.connect_rates import ConnectRates
from ..admission.handshake import Accepted, Admission, AwaitsIdentity, HostRequest
from ..admission.refusals import Reason
from ..admission.resources import Resources
from ..hooks.hooks import LiveSession
from ..hooks.session_hooks import SessionHooks
from ..protocols.encoding import Encoding, encoding_of
from ..protocols.session import Session
from ..transports.base import ClientTransport, TransportListener
from .clients import Clients
from .context import ConnectionContext
from .hooked_connection import HookedConnection
from .pending import Decided, PendingConnection

END_SECONDS = 10.0
"""In which the application is told, at the end of the node, of the sessions that have ended."""
REDIS_SECONDS = 3.0
"""In which Redis takes the same, for the HTTP hooks."""


class HookedClients(Clients):
    """A ConnectionFactory."""

    def __init__(
        self,
        settings: Settings,
        admission: Admission,
        context: ConnectionContext,
        clock: Clock,
        is_draining: Callable[[], bool],
        resources: Resources,
        connect_rates: ConnectRates,
        *,
        hooks: SessionHooks,
    ) -> None:
        super().__init__(settings, admission, context, clock, is_draining, resources, connect_rates)
        self._hooks = hooks
        self._warns_of_host = self._warns_of_host and hooks.hooks.authenticate is None
        self._decisions: set[asyncio.Task[None]] = set()

    def connect(self, transport: ClientTransport, decision: Accepted) -> TransportListener:
        if not isinstance(decision, AwaitsIdentity):
            return super().connect(transport, decision)
        encoding, address, request = encoding_of(decision.wire, transport.framing), decision.address, decision.request
        decide = partial(self._authenticate, decision)
        return self._create_pending(transport, decide, encoding, address, origin=decision.origin, request=request)

    def _create_connection(
        self,
        transport: ClientTransport,
        session: Session,
        encoding: Encoding,
        address: str | None,
        *,
        is_accepted: bool = False,
    ) -> TransportListener:
        live = LiveSession(session, address, None)
        if session.home is None or self._hooks.hooks.authorize is None:
            return self._connect_decided(transport, encoding, is_accepted, Decided(session, live))
        decide = partial(self._authorize, session, live)
        return self._create_pending(transport, decide, encoding, address, is_accepted=is_accepted)

    def _create_pending(
        self,
        transport: ClientTransport,
        decide: Callable[[], Awaitable[Decided]],
        encoding: Encoding,
        address: str | None,
        *,
        origin: str | None = None,
        request: HostRequest | None = None,
        is_accepted: bool = False,
    ) -> PendingConnection:
        return PendingConnection(
            transport,
            encoding,
            self._context.wheel,
            self.other_connections,
            address=address,
            is_accepted=is_accepted,
            decide=decide,
            connect=partial(self._connect_decided, transport, encoding, True),
            record=partial(self._record_pending, origin, address),
            decisions=self._decisions,
            request=request,
        )

    def _connect_decided(
        self, transport: ClientTransport, encoding: Encoding, is_accepted: bool, decided: Decided
    ) -> TransportListener:
        return HookedConnection(self._context, transport, decided, encoding, self._hooks, is_accepted=is_accepted)

    def _record_pending(
        self, origin: str | None, address: str | None, reason: Reason, code: CloseCode, refusal: Refused
    ) -> None:
        self.refusals.record(reason, code, refusal, origin=origin, address=address)

    # ---- what the application decides

    async def _authenticate(self, decision: AwaitsIdentity) -> Decided:
        """Raises Refused."""
        identity = await self._hooks.authenticate(decision.request.scope)
        session = self._admission.create_session(decision.target, identity.claims)
        return await self._authorize(session, LiveSession(session, decision.address, identity))

    async def _authorize(self, session: Session, live: LiveSession) -> Decided:
        """Raises Refused."""
        if session.home is not None and self._hooks.hooks.authorize is not None:
            await self._hooks.authorize(live, session.home)
        # What held when the handshake came need not hold any more.
        if (full := self.find_refusal()) is not None:
            raise full.refusal
        if (revoked := self._admission.find_revocation(session)) is not None:
            raise revoked
        return Decided(session, live)

    async def end(self) -> None:
        decisions = tuple(self._decisions)
        for decision in decisions:
            decision.cancel()
        await asyncio.gather(*decisions, return_exceptions=True)
        if self._hooks.endings is not None:
            await self._hooks.endings.finish(END_SECONDS)
        if self._hooks.session_events is not None:
            await self._hooks.session_events.finish(REDIS_SECONDS)
