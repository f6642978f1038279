"""Whether an opening handshake is admitted: decided from its path, query and headers, the same for all transports.

A script in a browser can read neither status nor body of a refused handshake. Where a client should learn the reason,
the connection is therefore accepted, sent `error` and `bye`, and closed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from starlette.types import Scope

from ...shared.codes import CloseCode, ErrorCode
from ...shared.errors import BadRequest, Refused
from ...shared.keyspace import Keyspace
from ...shared.origins import AllowedOrigins, is_of_host, web_host
from ...shared.protocol.codec import JSON, WIRE_FORMATS, WireFormat
from ...shared.protocol.frames import Author
from ...shared.publication import UNKNOWN_POSITION
from ..auth.authorization import check_channel
from ..auth.claims import Claims, Permission
from ..auth.hosts import is_loopback, strip_port
from ..auth.identity import identify_client, identify_owner
from ..auth.token_problems import TokenProblem, TokenRefused
from ..auth.verifier import TokenVerifier
from ..protocols.session import Session
from .identity_question import SCOPE_KEY, create_question
from .offered_tokens import check_no_query_token, find_token, split_subprotocols
from .refusals import NotAdmitted, Reason, RefusalLog, reason_of
from .target import ENDPOINTS, Target, parse_target

QUERY_FIELDS_MAX = 100
"""Parameters in the query of a handshake."""
UPGRADE_HEADERS: Mapping[str, str] = {"Upgrade": "websocket", "Connection": "Upgrade"}
"""What an answer 426 has to carry (RFC 9110 §15.5.22)."""


@dataclass(slots=True, eq=False)
class HostRequest:
    """A handshake as the application that the node runs in has passed it on, with what its middleware has found out.

    `decision`: the task in which the application decides on the client, and may use the scope; None: it is not asked.
    """

    scope: Scope
    decision: "asyncio.Task[None] | None" = None


@dataclass(slots=True)  # frozen it would take four times as long to create, as would Admitted
class Handshake:
    """An opening handshake. `path` and `query` are percent-encoded; names of headers are in lower case.

    Query and headers may contain a token.
    """

    path: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    server_host: str | None = None
    """The local address of the connection, where the transport knows it."""
    client_host: str | None = None
    """The address of the client, or of the proxy that it has connected through; None: it has none."""
    request: HostRequest | None = field(default=None, repr=False)
    """None: no ASGI application has seen it."""


@dataclass(slots=True)
class Admitted:
    """Accept the connection. `subprotocol` is the one that the client offered, or None."""

    session: Session
    wire: WireFormat
    subprotocol: str | None
    address: str | None = None
    """The client's."""


@dataclass(frozen=True, slots=True)
class AwaitsToken:
    """Accept the connection, and wait for a first frame with a token: until then it has no identity."""

    target: Target
    wire: WireFormat
    subprotocol: str | None
    origin: str | None
    address: str | None = None
    """The client's."""


@dataclass(frozen=True, slots=True)
class AwaitsIdentity:
    """Accept the connection, and wait until the application that the node runs in says who the client is."""

    target: Target
    wire: WireFormat
    subprotocol: str | None
    origin: str | None
    address: str | None
    """The client's."""
    request: HostRequest = field(repr=False)


@dataclass(frozen=True, slots=True)
class AcceptedThenClosed:
    """Accept the connection, send the refusal, and close it with `code`."""

    refusal: Refused
    code: CloseCode
    wire: WireFormat
    subprotocol: str | None
    address: str | None = None
    """The client's."""


Accepted = Admitted | AwaitsToken | AwaitsIdentity | AcceptedThenClosed
"""What a transport answers with 101."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Answer the handshake with an HTTP status and a problem document instead of accepting it."""

    status: int
    refusal: Refused
    reason: Reason
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further headers of the answer."""
    delay: float = 0.0
    """Seconds after which a transport answers."""


def join_headers(fields: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Headers by name; the values of one that is repeated are joined by commas (RFC 9110 §5.3)."""
    headers = dict(fields)
    if len(headers) == len(fields):
        return headers
    values: dict[str, list[str]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    return {name: ", ".join(repeated) for name, repeated in values.items()}


def record_refusal(log: RefusalLog, handshake: Handshake, decision: AcceptedThenClosed | Rejected) -> None:
    """Count and log a handshake that was not admitted."""
    origin, address = handshake.headers.get("origin"), log.proxies.describe(handshake.client_host, handshake.headers)
    if isinstance(decision, AcceptedThenClosed):
        log.record(reason_of(decision.refusal), decision.code, decision.refusal, origin=origin, address=address)
    else:
        log.record(decision.reason, decision.status, decision.refusal, origin=origin, address=address)


def record_rejected(log: RefusalLog, rejected: Rejected, address: str | None) -> None:
    """Count and log a request, or a head that nothing is built from."""
    log.record(rejected.reason, rejected.status, rejected.refusal, address=address)


def unavailable(message: str, reason: Reason, retry_after: int = 1) -> Rejected:
    """Another node, or this one `retry_after` seconds later, may take the client."""
    refusal = NotAdmitted(message, reason, retry_after=retry_after)
    return Rejected(503, refusal, reason, {"Retry-After": str(retry_after)})


NO_PLACE = unavailable(
    "this node, or your address, has as many connections that are no sessions as it may have", Reason.CONNECTIONS
)
NO_FILES = unavailable("this node has as many open files as it may have", Reason.FILES)


def _is_below_ws(path: str) -> bool:
    """Whether somebody who asks for this path means one of the endpoints, perhaps misspelt."""
    return f"{path.lstrip('/')}/".startswith("ws/")


class Asked(Enum):
    NOBODY = auto()
    APPLICATION = auto()  # that the node runs in
    BACK_END = auto()  # by HTTP


class Admission:
    """Decides on handshakes.

    `allowed_origins` as in the settings; empty: only pages that this host has served. `is_local`: the node listens on
    loopback only. `verifier`: of tokens; None: clients say who they are. `is_revoked` is asked about each session.
    `asks`: who says who they are, where neither they nor tokens do.
    """

    def __init__(
        self,
        keyspace: Keyspace,
        allowed_origins: tuple[str, ...],
        *,
        is_local: bool = False,
        verifier: TokenVerifier | None = None,
        allows_query_token: bool = False,
        is_revoked: Callable[[Session], bool] = lambda session: False,
        asks: Asked = Asked.NOBODY,
    ) -> None:
        self._keyspace = keyspace
        self._verifier = verifier
        self._is_revoked = is_revoked
        self._allows_query_token = allows_query_token
        self._is_local = is_local
        self._asks = asks
        self._allowed_origins = AllowedOrigins(allowed_origins)

    def decide(self, handshake: Handshake) -> Accepted | Rejected:
        origin = handshake.headers.get("origin")
        if origin is not None and not self._is_allowed(origin, handshake):
            message = f"pages of {origin!r:.100} may not connect: TANNOY_ALLOWED_ORIGINS lists the allowed origins"
            return Rejected(403, Refused(message, code=ErrorCode.FORBIDDEN), Reason.ORIGIN)
        if not _is_below_ws(handshake.path):
            message = f"{handshake.path!r:.100} is no WebSocket endpoint: {ENDPOINTS}"
            return Rejected(404, BadRequest(message), Reason.PATH)
        if handshake.query.count("&") >= QUERY_FIELDS_MAX:
            message = f"the query of a handshake may have at most {QUERY_FIELDS_MAX} parameters"
            return Rejected(400, BadRequest(message), Reason.HANDSHAKE)
        offered, token = split_subprotocols(handshake.headers.get("sec-websocket-protocol", ""))
        wire, subprotocol = _negotiate_wire_format(offered)
        if wire is None:
            message = f"none of the offered subprotocols is known: {' and '.join(WIRE_FORMATS)} are"
            return Rejected(400, BadRequest(message), Reason.SUBPROTOCOL)
        try:
            target = parse_target(handshake.path, handshake.query, self._keyspace)
            if self._asks is Asked.APPLICATION:
                assert handshake.request is not None  # such a node is reached through the application alone
                host = handshake.client_host
                return AwaitsIdentity(target, wire, subprotocol, origin, host, handshake.request)
            if self._asks is Asked.BACK_END:
                token = find_token(handshake.headers, token, target.query, allows_query=self._allows_query_token)
                request = HostRequest({"type": "websocket", SCOPE_KEY: _question(handshake, target, token)})
                return AwaitsIdentity(target, wire, subprotocol, origin, handshake.client_host, request)
            if self._verifier is None:
                check_no_query_token(target.query)
                session = self._create_session(target, identify_client(target.query))
                return Admitted(session, wire, subprotocol, handshake.client_host)
            token = find_token(handshake.headers, token, target.query, allows_query=self._allows_query_token)
            if token is None:
                return AwaitsToken(target, wire, subprotocol, origin, handshake.client_host)
            return Admitted(self.identify(target, token), wire, subprotocol, handshake.client_host)
        except Refused as refusal:
            return AcceptedThenClosed(refusal, close_code_of(refusal), wire, subprotocol, handshake.client_host)

    def identify(self, target: Target, token: str) -> Session:
        """The session of a client that has proven who it is. Raises Refused."""
        assert self._verifier is not None
        return self.create_session(target, self._verifier.verify(token))

    def create_session(self, target: Target, claims: Claims) -> Session:
        """The session of a client with these claims. Raises Refused."""
        try:
            author = identify_owner(claims, target.query)
            if target.home is not None:
                check_channel(claims, target.home)
            return self._create_session(target, author, claims)
        except Refused as refusal:
            refusal.user_id = claims.user_id
            raise

    def _create_session(self, target: Target, author: Author, claims: Claims | None = None) -> Session:
        recover = target.recover
        if recover is not None and claims is not None and Permission.HISTORY not in claims.can:
            recover = UNKNOWN_POSITION  # it is told that nothing was recovered
        session = Session(target.endpoint, author, target.home, self._keyspace, recover=recover, claims=claims)
        if (refusal := self.find_revocation(session)) is not None:
            raise refusal
        return session

    def find_revocation(self, session: Session) -> TokenRefused | None:
        """Why a session is refused whose user, agent or token has been revoked; None: they have not."""
        if not self._is_revoked(session):
            return None
        refusal = TokenRefused(TokenProblem.REVOKED, "the user, the agent or the token has been revoked")
        refusal.user_id = session.user_id
        return refusal

    def _is_allowed(self, origin: str, handshake: Handshake) -> bool:
        if self._allowed_origins:
            return self._allowed_origins.allow(origin)
        host = handshake.headers.get("host", "")
        if not self._is_reached_on_loopback(handshake):
            return is_of_host(origin, host)
        # A node on loopback is reached by a loopback name only: another name was made to resolve to it (DNS rebinding).
        # There the pages of all servers on this machine may connect, such as those of a front end under development.
        page_host = web_host(origin)
        return page_host is not None and is_loopback(page_host.strip("[]")) and is_loopback(strip_port(host))

    def _is_reached_on_loopback(self, handshake: Handshake) -> bool:
        """Whether the node listens on loopback only; a server that is not ours may listen where no setting says."""
        return self._is_local and (handshake.server_host is None or is_loopback(handshake.server_host))


def _question(handshake: Handshake, target: Target, token: str | None) -> dict[str, object]:
    return create_question(handshake.path, target, handshake.headers, token, handshake.client_host)


def close_code_of(refusal: Refused) -> CloseCode:
    """The code that closes a connection whose client may not have a session."""
    if refusal.code is ErrorCode.UNAVAILABLE:  # also a token whose key is looked up
        return CloseCode.TRY_AGAIN_LATER
    if isinstance(refusal, TokenRefused):
        return CloseCode.TOKEN_EXPIRED if refusal.problem is TokenProblem.EXPIRED else CloseCode.BAD_TOKEN
    return CloseCode.FORBIDDEN


def _negotiate_wire_format(offered: list[str]) -> tuple[WireFormat | None, str | None]:
    """The first offered subprotocol that is known, or None; a client that offers nothing gets JSON.

    A browser fails a connection that echoes none of the subprotocols that it offered, and shows no reason.
    """
    if not offered:
        return JSON, None
    for protocol in offered:
        if wire := WIRE_FORMATS.get(protocol):
            return wire, wire.subprotocol
    return None, None
