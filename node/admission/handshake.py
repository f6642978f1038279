"""Whether a handshake becomes a session: decided from its words alone, for both carriers alike.

What a browser could not read from a refused handshake (it sees no status and no body) is said over the socket: it is
accepted, told with `error` and `bye`, and closed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from ...shared.codes import CloseCode, ErrorCode
from ...shared.errors import BadName, Refused
from ...shared.keyspace import Keyspace
from ...shared.names import parse_agent, parse_room
from ...shared.protocol.codec import JSON, WIRE_FORMATS, WireFormat
from ...shared.publication import UNKNOWN_POSITION, Position
from ..auth.identity import host_name, identify, is_loopback
from ..protocols.session import Endpoint, Session

WS_PATH = "/ws"
CHAT_PREFIX = "/ws/chat/"
AGENTS_PREFIX = "/ws/agents/"


@dataclass(frozen=True, slots=True)
class Handshake:
    """The words of an opening handshake. `path` is still percent-encoded; header names are in lower case."""

    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Admitted:
    """`subprotocol` is echoed where the client offered it."""

    session: Session
    wire: WireFormat
    subprotocol: str | None


@dataclass(frozen=True, slots=True)
class AcceptedThenClosed:
    """Accept, say why, close with `code`."""

    refusal: Refused
    code: CloseCode
    wire: WireFormat
    subprotocol: str | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Do not even accept: answer the handshake with this status and problem document."""

    status: int
    refusal: Refused
    retry_after: int | None = None
    """Whole seconds, for the header of that name."""


def is_ours(path: str) -> bool:
    """Whether a WebSocket path is one of `docs/protocol.md §2`."""
    return path == WS_PATH or path.startswith((CHAT_PREFIX, AGENTS_PREFIX))


class Admission:
    """`allowed_origins` as in the settings; empty: only pages that this host itself has served.

    `is_local`: the node listens on loopback alone.
    """

    def __init__(self, keyspace: Keyspace, allowed_origins: tuple[str, ...], *, is_local: bool = False) -> None:
        self._keyspace = keyspace
        self._is_local = is_local
        self._allowed_origins = frozenset(origin.lower() for origin in allowed_origins)

    def decide(self, handshake: Handshake) -> Admitted | AcceptedThenClosed | Rejected:
        origin = handshake.headers.get("origin")
        if origin is not None and not self._origin_allowed(origin, handshake.headers.get("host", "")):
            message = f"pages of {origin!r:.100} may not connect: TANNOY_ALLOWED_ORIGINS names who may"
            return Rejected(403, Refused(message, code=ErrorCode.FORBIDDEN))
        wire, subprotocol = _negotiate(handshake.headers.get("sec-websocket-protocol", ""))
        try:
            return Admitted(self._session(handshake), wire, subprotocol)
        except BadName as refusal:
            return AcceptedThenClosed(refusal, CloseCode.FORBIDDEN, wire, subprotocol)

    def _origin_allowed(self, origin: str, host: str) -> bool:
        origin = origin.lower()
        if self._allowed_origins:
            return "*" in self._allowed_origins or origin in self._allowed_origins
        scheme, _, site = origin.partition("://")
        if scheme not in ("http", "https") or site == "" or site != host.lower():
            return False
        # On loopback no name but loopback's is ours: another one was made to point here (DNS rebinding).
        return not self._is_local or is_loopback(host_name(host))

    def _session(self, handshake: Handshake) -> Session:
        """Raises BadName."""
        query = _parse_query(handshake.query)
        path = handshake.path
        if path.startswith(CHAT_PREFIX):
            query.pop("session_id", None)
            room = self._keyspace.room(parse_room(unquote(path[len(CHAT_PREFIX) :])))
            return Session(Endpoint.ROOM, identify(query), room, self._keyspace, recover=_position(query))
        if path.startswith(AGENTS_PREFIX):
            agent = self._keyspace.agent(parse_agent(unquote(path[len(AGENTS_PREFIX) :])))
            return Session(Endpoint.AGENT, identify(query), agent, self._keyspace, recover=_position(query))
        if path != WS_PATH:
            raise BadName(f"there is no endpoint at {path!r:.100}: /ws, /ws/chat/ROOM and /ws/agents/AGENT are")
        query.pop("session_id", None)
        return Session(Endpoint.ROOMS, identify(query), None, self._keyspace)


def _position(query: Mapping[str, str]) -> Position | None:
    """Where to recover from, if that is asked for. From what is no position nothing is recovered, and that is told."""
    if "epoch" not in query and "offset" not in query:
        return None
    epoch, offset = query.get("epoch", ""), query.get("offset", "")
    is_count = offset.isascii() and offset.isdigit() and len(offset) < 16
    return Position(epoch, int(offset)) if epoch and is_count else UNKNOWN_POSITION


def _parse_query(query: str) -> dict[str, str]:
    if "%" in query or "+" in query:
        return dict(parse_qsl(query, keep_blank_values=True))
    # Nothing to decode, as in most handshakes: a third of the cost.
    return {name: value for name, _, value in (field.partition("=") for field in query.split("&"))}


def _negotiate(offered: str) -> tuple[WireFormat, str | None]:
    """The client's first choice out of what we speak; a client that offers none of it gets JSON."""
    if offered:
        for protocol in offered.split(","):
            if wire := WIRE_FORMATS.get(protocol.strip()):
                return wire, wire.subprotocol
    return JSON, None
