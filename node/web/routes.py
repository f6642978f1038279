"""The HTTP API under `/api/v1`: which call goes where."""

from starlette.requests import Request
from starlette.routing import BaseRoute, Mount, Route

from ...shared.protocol.frames import Object
from ..node import Node
from . import messages, sessions
from .requests import Handler, answered

_CALLS: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/rooms/{room}/messages", messages.to_room),
    ("POST", "/agents/{agent_id}/messages", messages.to_agent),
    ("POST", "/agents/{agent_id}/sessions/{session_id}/messages", messages.to_session),
    ("POST", "/users/{user_id}/messages", messages.to_user),
    ("POST", "/messages", messages.to_many),
    ("GET", "/rooms", sessions.list_rooms),
    ("GET", "/rooms/{room}", sessions.show_room),
    ("GET", "/rooms/{room}/presence", sessions.show_presence),
    ("GET", "/rooms/{room}/messages", messages.history_of_room),
    ("GET", "/agents/{agent_id}/messages", messages.history_of_agent),
    ("GET", "/agents/{agent_id}", sessions.show_agent),
    ("GET", "/users/{user_id}", sessions.show_user),
    ("PUT", "/agents/{agent_id}/limit", sessions.set_limit),
    ("DELETE", "/agents/{agent_id}/sessions", sessions.close_agent_sessions),
    ("DELETE", "/agents/{agent_id}/sessions/{session_id}", sessions.close_agent_session),
    ("DELETE", "/users/{user_id}/sessions", sessions.close_user_sessions),
    ("GET", "/nodes", sessions.list_nodes),
)


async def _diagnostics(node: Node, request: Request) -> Object:
    return node.statistics()


def api_routes() -> list[BaseRoute]:
    routes = [Route(path, answered(handle), methods=[method]) for method, path, handle in _CALLS]
    return [Mount("/api/v1", routes=routes), Route("/diagnostics", answered(_diagnostics))]
