"""Who may connect to a node, and the connection that each client gets: the ConnectionFactory of the transports."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import assert_never

import structlog

from ...shared.clock import Clock
from ...shared.codes import CloseCode
from ...shared.errors import Refused
from ...shared.settings import Settings
from ..admission.capacity import Capacity
from ..admission.connect_rates import ConnectRates
from ..admission.counted_addresses import find_counted_address
from ..admission.handshake import (
    Accepted,
    AcceptedThenClosed,
    Admission,
    Admitted,
    AwaitsIdentity,
    AwaitsToken,
    Handshake,
    Rejected,
    close_code_of,
    record_refusal,
)
from ..admission.handshake_queue import HandshakeQueue
from ..admission.loop_shares import LoopShares
from ..admission.other_connections import OtherConnections
from ..admission.refusals import RefusalLog, reason_of
from ..admission.resources import Resources
from ..auth.hosts import is_loopback
from ..auth.trusted_proxies import PARSED_MAX
from ..protocols.encoding import Encoding, encoding_of
from ..protocols.session import Session
from ..transports.base import ClientTransport, TransportListener
from .connection import Connection
from .context import ConnectionContext
from .rejected import RejectedConnection
from .unidentified import UnidentifiedConnection

WRITE_HIGH_WATER = 65_536
"""Bytes written to a socket that the kernel has not taken, from which on it counts as slow."""

_log = structlog.get_logger("tannoy.node")


class Clients:
    """A ConnectionFactory. `is_draining`: whether the node takes no newcomers any more."""

    def __init__(
        self,
        settings: Settings,
        admission: Admission,
        context: ConnectionContext,
        clock: Clock,
        is_draining: Callable[[], bool],
        resources: Resources,
        connect_rates: ConnectRates,
    ) -> None:
        self.message_max_bytes = settings.message_max_bytes
        self.write_high_water = min(WRITE_HIGH_WATER, settings.outbox_max_bytes)
        self.proxies = connect_rates.proxies
        self.refusals = RefusalLog(clock, self.proxies)
        self._connect_rates = connect_rates
        self.other_connections = OtherConnections(
            clock, find_address=lru_cache(PARSED_MAX)(partial(find_counted_address, proxies=self.proxies))
        )
        self.heads = LoopShares(clock)
        self.handshakes = HandshakeQueue(clock, lambda: context.joins.turns.wait)
        self.capacity = Capacity(settings.node_max_sessions, resources)
        self._host = settings.host
        self._warns_of_host = is_loopback(settings.host) and settings.auth == "none"
        self._admission = admission
        self._context = context
        self._is_draining = is_draining

    def find_refusal(self) -> Rejected | None:
        """Why the node takes no newcomer; None: it takes some."""
        return self.capacity.find_refusal(self._context.counters.open, is_draining=self._is_draining())

    # ---- ConnectionFactory

    def is_near_file_limit(self) -> bool:
        return self.capacity.is_near_limit(self._context.counters.open + self.other_connections.open)

    def find_early_refusal(self, handshake: Handshake) -> Rejected | None:
        return self.find_refusal() or self._connect_rates.find_refusal(handshake) or self.handshakes.find_refusal()

    def admit(self, handshake: Handshake) -> Accepted | Rejected:
        self._warn_if_reached_elsewhere(handshake.server_host)
        decision = self.find_refusal() or self._admission.decide(self._locate(handshake))
        if isinstance(decision, AcceptedThenClosed | Rejected):
            record_refusal(self.refusals, handshake, decision)
        return decision

    def _locate(self, handshake: Handshake) -> Handshake:
        """The handshake with the address of the client in place of that of its proxy."""
        address = self.proxies.describe(handshake.client_host, handshake.headers)
        return handshake if address == handshake.client_host else replace(handshake, client_host=address)

    def connect(self, transport: ClientTransport, decision: Accepted) -> TransportListener:
        wheel, others = self._context.wheel, self.other_connections
        match decision:
            case Admitted(session, wire, subprotocol, address):
                # A server that is not ours may have let other things happen since `admit`.
                if (refusal := self._admission.find_revocation(session)) is not None:
                    code = close_code_of(refusal)
                    self.refusals.record(reason_of(refusal), code, refusal, address=address)
                    rejected = AcceptedThenClosed(refusal, code, wire, subprotocol, address)
                    return RejectedConnection(transport, rejected, wheel, others)
                encoding = encoding_of(wire, transport.framing)
                return self._create_connection(transport, session, encoding, address)
            case AwaitsToken():
                return UnidentifiedConnection(
                    transport,
                    decision,
                    wheel,
                    others,
                    self.handshakes,
                    identify=self._identify,
                    connect=self._connect_identified,
                    record=self._record,
                )
            case AwaitsIdentity():
                raise AssertionError("there is no application to ask: HookedClients has one")
            case AcceptedThenClosed():
                return RejectedConnection(transport, decision, wheel, others)
            case _:
                assert_never(decision)

    def _create_connection(
        self,
        transport: ClientTransport,
        session: Session,
        encoding: Encoding,
        address: str | None,
        *,
        is_accepted: bool = False,
    ) -> TransportListener:
        return Connection(self._context, transport, session, encoding, address, is_accepted=is_accepted)

    async def end(self) -> None:
        """End what still goes on when all sessions have been closed."""

    # ---- a token in the first frame

    def _identify(self, decision: AwaitsToken, token: str) -> Session:
        """The session of a client with this token. Raises Refused."""
        if (full := self.find_refusal()) is not None:
            raise full.refusal
        return self._admission.identify(decision.target, token)

    def _record(self, decision: AwaitsToken, refusal: Refused, code: CloseCode) -> None:
        self.refusals.record(reason_of(refusal), code, refusal, origin=decision.origin, address=decision.address)

    def _connect_identified(
        self, transport: ClientTransport, decision: AwaitsToken, session: Session
    ) -> TransportListener:
        encoding = encoding_of(decision.wire, transport.framing)
        return self._create_connection(transport, session, encoding, decision.address, is_accepted=True)

    def _warn_if_reached_elsewhere(self, server_host: str | None) -> None:
        """Warn once if the server below listens elsewhere than TANNOY_HOST says, by which warnings at start go."""
        if self._warns_of_host and server_host is not None and not is_loopback(server_host):
            self._warns_of_host = False
            _log.warning(
                "clients reach this node at another address than TANNOY_HOST: set it to the address that the server "
                "listens on. TANNOY_AUTH=none: any client that reaches it can choose its identity",
                address=server_host,
                tannoy_host=self._host,
            )
