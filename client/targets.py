"""Targets of commands (`room:NAME`, `agent:ID`, `agent:ID/SESSION`, `user:ID`), and the paths that reach them."""

from urllib.parse import quote, urlsplit

from ..shared.errors import BadName, BadRequest
from ..shared.names import parse_agent, parse_room, parse_session, parse_user
from .errors import ClientError

_FORMS = {"room": "room:NAME", "agent": "agent:ID", "session": "agent:ID/SESSION", "user": "user:ID"}


def build_url(host: str, port: int) -> str:
    """The URL at which this machine reaches a server that listens on `host`.

    A server that listens on every interface (`0.0.0.0`, `::`) is reached over loopback.
    """
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def check_url(url: str) -> str:
    """Return the URL of a node or load balancer without a slash at its end. Raises ClientError."""
    try:
        parts = urlsplit(url)
        is_good = (
            parts.scheme in ("http", "https") and parts.hostname is not None and url.isprintable() and " " not in url
        )
        _ = parts.port
    except ValueError:
        is_good = False
    if not is_good:
        raise ClientError(f"{url!r} is not the address of a cluster: http://HOST:PORT or https://HOST:PORT is expected")
    return url.rstrip("/")


def check_target(target: str, kinds: tuple[str, ...]) -> None:
    """Check that the target is of one of `kinds` (room, agent, session, user).

    Raises ValueError; its text is a sentence for the user.
    """
    kind, _, name = target.partition(":")
    kind = "session" if kind == "agent" and "/" in name else kind
    if kind not in kinds:
        raise ValueError(f"{target!r} is not a target here: allowed are {', '.join(_FORMS[each] for each in kinds)}")
    try:
        publish_path(target)
    except (BadName, BadRequest) as error:
        raise ValueError(error.message) from error


def publish_path(target: str) -> str:
    """The path of the HTTP API that sends a message to any kind of target. Raises BadRequest, BadName."""
    return f"{api_path(target)}/messages"


def api_path(target: str) -> str:
    """The path of the HTTP API for any kind of target. Raises BadRequest, BadName."""
    kind, _, name = target.partition(":")
    agent, slash, session = name.partition("/")
    match kind:
        case "room":
            return f"/api/v1/rooms/{quote(parse_room(name))}"
        case "agent" if slash:
            return f"/api/v1/agents/{quote(parse_agent(agent))}/sessions/{quote(parse_session(session))}"
        case "agent":
            return f"/api/v1/agents/{quote(parse_agent(name))}"
        case "user":
            return f"/api/v1/users/{quote(parse_user(name))}"
        case _:
            raise BadRequest(f"{target!r} is not a target: allowed are {', '.join(_FORMS.values())}")


def websocket_path(target: str) -> str:
    """The WebSocket endpoint that delivers the messages of a room or an agent. Raises BadRequest, BadName."""
    kind, _, name = target.partition(":")
    if kind == "room":
        return f"/ws/chat/{quote(parse_room(name))}"
    if kind == "agent":
        return f"/ws/agents/{quote(parse_agent(name))}"
    raise BadRequest(f"{target!r} can't be watched: allowed are {_FORMS['room']}, {_FORMS['agent']}")


def has_history(target: str) -> bool:
    """Whether messages to the target get a position in a channel's history: those to a room or to all of an agent."""
    return not target.startswith("user:") and "/" not in target
