"""What a handshake asks for: which endpoint, which room or agent, and from which position."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from ...shared.channels import Channel
from ...shared.errors import BadName, BadRequest
from ...shared.keyspace import Keyspace
from ...shared.names import parse_agent, parse_room
from ...shared.publication import UNKNOWN_POSITION, Position
from ..protocols.session import Endpoint

WS_PATH = "/ws"
CHAT_PREFIX = "/ws/chat/"
AGENTS_PREFIX = "/ws/agents/"
ENDPOINTS = "/ws, /ws/chat/ROOM and /ws/agents/AGENT are"

PARAMETERS = frozenset({"user_id", "username", "session_id", "epoch", "offset", "token"})
"""What the query of a handshake may have. An empty name stands for nothing, as behind the last `&`."""
_KNOWN = PARAMETERS | {""}


@dataclass(slots=True)  # frozen it would take four times as long to create, in each handshake
class Target:
    """`home` is the channel that the endpoint names, if any; `query` may contain a token."""

    endpoint: Endpoint
    home: Channel | None
    query: Mapping[str, str] = field(repr=False)
    recover: Position | None = None


def parse_target(path: str, query_string: str, keyspace: Keyspace) -> Target:
    """`path` and `query_string` are percent-encoded. Raises BadName, and BadRequest for an unknown parameter."""
    query = _parse_query(query_string)
    if not query.keys() <= _KNOWN:
        unknown = min(query.keys() - _KNOWN)
        raise BadRequest(f"unknown parameter {unknown!r:.50} in the query: {', '.join(sorted(PARAMETERS))} are known")
    if path.startswith(CHAT_PREFIX):
        query.pop("session_id", None)  # only an agent's client may name its session
        room = keyspace.room(parse_room(unquote(path[len(CHAT_PREFIX) :])))
        return Target(Endpoint.ROOM, room, query, _parse_position(query))
    if path.startswith(AGENTS_PREFIX):
        agent = keyspace.agent(parse_agent(unquote(path[len(AGENTS_PREFIX) :])))
        return Target(Endpoint.AGENT, agent, query, _parse_position(query))
    if path.removesuffix("/") != WS_PATH:
        raise BadName(f"{path!r:.100} is not an endpoint: {ENDPOINTS}")
    query.pop("session_id", None)
    return Target(Endpoint.ROOMS, None, query)


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
