"""Whether an opening handshake is admitted: decided from its path, query and headers, the same for all transports.

A script in a browser can read neither status nor body of a refused handshake. Where a client should learn the reason,
the connection is therefore accepted, sent `error` and `bye`, and closed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from ...shared.codes import CloseCode, ErrorCode
from ...shared.errors import BadName, BadRequest, Refused, Unavailable
from ...shared.keyspace import Keyspace
from ...shared.names import parse_agent, parse_room
from ...shared.origins import AllowedOrigins, is_of_host
from ...shared.protocol.codec import JSON, WIRE_FORMATS, WireFormat
from ...shared.publication import UNKNOWN_POSITION, Position
from ..auth.hosts import is_loopback, strip_port
from ..auth.identity import identify_client
from ..protocols.session import Endpoint, Session
from ..rfc6455 import is_key
from .refusals import Reason, RefusalLog

WS_PATH = "/ws"
CHAT_PREFIX = "/ws/chat/"
AGENTS_PREFIX = "/ws/agents/"
ENDPOINTS = "/ws, /ws/chat/ROOM and /ws/agents/AGENT are"
QUERY_FIELDS_MAX = 100
"""Parameters in the query of a handshake."""
UPGRADE_HEADERS: Mapping[str, str] = {"Upgrade": "websocket", "Connection": "Upgrade"}
"""What an answer 426 has to carry (RFC 9110 §15.5.22)."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """An opening handshake. `path` and `query` are percent-encoded; names of headers are in lower case.

    Query and headers may contain a token.
    """

    path: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    server_host: str | None = None
    """The local address of the connection, where the transport knows it."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """Accept the connection. `subprotocol` is the one that the client offered, or None."""

    session: Session
    wire: WireFormat
    subprotocol: str | None


@dataclass(frozen=True, slots=True)
class AcceptedThenClosed:
    """Accept the connection, send the refusal, and close it with `code`."""

    refusal: Refused
    code: CloseCode
    wire: WireFormat
    subprotocol: str | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Answer the handshake with an HTTP status and a problem document instead of accepting it."""

    status: int
    refusal: Refused
    reason: Reason
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further headers of the answer."""


def join_headers(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by name; the values of one that is repeated are joined by commas (RFC 9110 §5.3)."""
    listed = list(fields)
    headers = dict(listed)
    if len(headers) == len(listed):
        return headers
    values: dict[str, list[str]] = {}
    for name, value in listed:
        values.setdefault(name, []).append(value)
    return {name: ", ".join(repeated) for name, repeated in values.items()}


def record_refusal(log: RefusalLog, handshake: Handshake | None, decision: AcceptedThenClosed | Rejected) -> None:
    """Count and log a handshake that was not admitted; None: a request, or a head that nothing is built from."""
    if isinstance(decision, AcceptedThenClosed):
        reason, status = Reason.NAME, int(decision.code)
    else:
        reason, status = decision.reason, decision.status
    origin = None if handshake is None else handshake.headers.get("origin")
    log.record(reason, origin, status, decision.refusal.message)


def unavailable(message: str, reason: Reason) -> Rejected:
    """Another node, or this one a second later, may take the client."""
    return Rejected(503, Unavailable(message), reason, {"Retry-After": "1"})


NO_PLACE = unavailable("this node has as many connections as it may have", Reason.CONNECTIONS)
NO_FILES = unavailable("this node has as many open files as it may have", Reason.FILES)


def check_upgrade(headers: Mapping[str, str]) -> Rejected | None:
    """Check what RFC 6455 §4.2.1 asks of a handshake over HTTP/1.1, beside its method and the header Upgrade."""
    if (version := headers.get("sec-websocket-version", "")) != "13":
        message = f"Sec-WebSocket-Version is {version!r:.40}: this node speaks 13"
        return Rejected(426, BadRequest(message), Reason.HANDSHAKE, {"Sec-WebSocket-Version": "13", **UPGRADE_HEADERS})
    if not is_key(headers.get("sec-websocket-key", "")):
        return Rejected(400, BadRequest("Sec-WebSocket-Key has to be 16 bytes in Base64"), Reason.HANDSHAKE)
    if not headers.get("host"):
        return Rejected(400, BadRequest("the handshake has no Host"), Reason.HANDSHAKE)
    return None


def _is_below_ws(path: str) -> bool:
    """Whether somebody who asks for this path means one of the endpoints, perhaps misspelt."""
    return f"{path.lstrip('/')}/".startswith("ws/")


class Admission:
    """Decides on handshakes.

    `allowed_origins` as in the settings; empty: only pages that this host has served. `is_local`: the node listens on
    loopback only.
    """

    def __init__(self, keyspace: Keyspace, allowed_origins: tuple[str, ...], *, is_local: bool = False) -> None:
        self._keyspace = keyspace
        self._is_local = is_local
        self._allowed_origins = AllowedOrigins(allowed_origins)

    def decide(self, handshake: Handshake) -> Admitted | AcceptedThenClosed | Rejected:
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
        wire, subprotocol = _negotiate_wire_format(handshake.headers.get("sec-websocket-protocol", ""))
        if wire is None:
            message = f"none of the offered subprotocols is known: {' and '.join(WIRE_FORMATS)} are"
            return Rejected(400, BadRequest(message), Reason.SUBPROTOCOL)
        try:
            return Admitted(self._create_session(handshake), wire, subprotocol)
        except BadName as refusal:
            return AcceptedThenClosed(refusal, CloseCode.FORBIDDEN, wire, subprotocol)

    def _is_allowed(self, origin: str, handshake: Handshake) -> bool:
        if self._allowed_origins:
            return self._allowed_origins.allow(origin)
        host = handshake.headers.get("host", "")
        if not is_of_host(origin, host):
            return False
        # A node on loopback is reached by a loopback name only: another name was made to resolve to it (DNS rebinding).
        return not self._is_reached_on_loopback(handshake) or is_loopback(strip_port(host))

    def _is_reached_on_loopback(self, handshake: Handshake) -> bool:
        """Whether the node listens on loopback only; a server that is not ours may listen where no setting says."""
        return self._is_local and (handshake.server_host is None or is_loopback(handshake.server_host))

    def _create_session(self, handshake: Handshake) -> Session:
        """Raises BadName."""
        query = _parse_query(handshake.query)
        path = handshake.path
        if path.startswith(CHAT_PREFIX):
            query.pop("session_id", None)  # only an agent's client may name its session
            room = self._keyspace.room(parse_room(unquote(path[len(CHAT_PREFIX) :])))
            return Session(Endpoint.ROOM, identify_client(query), room, self._keyspace, recover=_parse_position(query))
        if path.startswith(AGENTS_PREFIX):
            agent = self._keyspace.agent(parse_agent(unquote(path[len(AGENTS_PREFIX) :])))
            return Session(
                Endpoint.AGENT, identify_client(query), agent, self._keyspace, recover=_parse_position(query)
            )
        if path.removesuffix("/") != WS_PATH:
            raise BadName(f"{path!r:.100} is not an endpoint: {ENDPOINTS}")
        query.pop("session_id", None)
        return Session(Endpoint.ROOMS, identify_client(query), None, self._keyspace)


def _parse_position(query: Mapping[str, str]) -> Position | None:
    """The position to recover from, or None if no recovery is asked for.

    A malformed position is UNKNOWN_POSITION: nothing is recovered from it, which the client sees as `recovered: false`.
    """
    if "epoch" not in query and "offset" not in query:
        return None
    epoch, offset = query.get("epoch", ""), query.get("offset", "")
    is_count = offset.isascii() and offset.isdigit() and len(offset) < 16
    return Position(epoch, int(offset)) if epoch and is_count else UNKNOWN_POSITION


def _parse_query(query: str) -> dict[str, str]:
    if "%" in query or "+" in query:
        return dict(parse_qsl(query, keep_blank_values=True))
    # Most queries contain no escapes; splitting them by hand takes a third of the time.
    return {name: value for name, _, value in (field.partition("=") for field in query.split("&"))}


def _negotiate_wire_format(offered: str) -> tuple[WireFormat | None, str | None]:
    """The first offered subprotocol that is known, or None; a client that offers nothing gets JSON.

    A browser fails a connection that echoes none of the subprotocols that it offered, and shows no reason.
    """
    protocols = [protocol for protocol in map(str.strip, offered.split(",")) if protocol]
    if not protocols:
        return JSON, None
    for protocol in protocols:
        if wire := WIRE_FORMATS.get(protocol):
            return wire, wire.subprotocol
    return None, None
