"""The routes of the HTTP API: methods and paths under `/api/v1`, and their handlers."""

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router

from ...shared.protocol.frames import Object
from ...shared.turns import Turns
from ..admission.handshake import UPGRADE_HEADERS
from ..admission.target import WS_PATH
from ..node import Node
from . import messages, revocations, sessions
from .large_answers import answered_in_turn
from .requests import Handler, json_endpoint, problem_response

_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/rooms/{room}/messages", messages.publish_to_room),
    ("POST", "/agents/{agent_id}/messages", messages.publish_to_agent),
    ("POST", "/agents/{agent_id}/sessions/{session_id}/messages", messages.send_to_session),
    ("POST", "/users/{user_id}/messages", messages.send_to_user),
    ("POST", "/messages", messages.publish_many),
    ("GET", "/rooms", sessions.list_rooms),
    ("GET", "/rooms/{room}", sessions.get_room),
    ("GET", "/rooms/{room}/presence", sessions.get_presence),
    ("GET", "/rooms/{room}/messages", messages.get_room_history),
    ("GET", "/agents/{agent_id}/messages", messages.get_agent_history),
    ("GET", "/agents/{agent_id}", sessions.get_agent),
    ("GET", "/users", sessions.list_users),
    ("GET", "/users/{user_id}", sessions.get_user),
    ("PUT", "/agents/{agent_id}/limit", sessions.set_limit),
    ("DELETE", "/agents/{agent_id}/sessions", sessions.close_agent_sessions),
    ("DELETE", "/agents/{agent_id}/sessions/{session_id}", sessions.close_agent_session),
    ("DELETE", "/users/{user_id}/sessions", sessions.close_user_sessions),
    ("GET", "/nodes", sessions.list_nodes),
    ("POST", "/nodes/{node}/drain", sessions.drain_node),
    ("POST", "/revocations", revocations.revoke),
    ("GET", "/revocations", revocations.list_revocations),
    ("DELETE", "/revocations/{id}", revocations.delete_revocation),
)


_LARGE = frozenset(
    {
        sessions.list_rooms,
        sessions.get_presence,
        messages.get_room_history,
        messages.get_agent_history,
        sessions.get_agent,
        sessions.list_users,
        sessions.get_user,
        revocations.list_revocations,
    }
)
"""Handlers whose answers may be larger than a message."""


async def _get_diagnostics(node: Node, request: Request) -> Object:
    return node.statistics().as_object()


async def _get_websocket_endpoint(request: Request) -> Response:
    """Answer a request without upgrade for a path of the WebSocket endpoints."""
    # HTTP/2 has neither header: a handshake there is a CONNECT (RFC 8441).
    headers = UPGRADE_HEADERS if request.scope["http_version"].startswith("1") else None
    raise HTTPException(
        426,
        f"{request.url.path!r:.100} is for WebSocket connections. If this was one, a proxy on its way did not pass on "
        "its headers Upgrade and Connection, over HTTP/1.1",
        headers,
    )


def _endpoint(handle: Handler) -> Callable[[Request], Awaitable[Response]]:
    endpoint = json_endpoint(handle)
    return answered_in_turn(endpoint, _http_answers, problem_response) if handle in _LARGE else endpoint


def _http_answers(request: Request) -> Turns:
    node: Node = request.state.node
    return node.operations.http_answers


def api_routes() -> list[BaseRoute]:
    routes = [Route(path, _endpoint(handle), methods=[method]) for method, path, handle in _ROUTES]
    return [
        Mount("/api/v1", Router(routes, redirect_slashes=False)),
        Route("/diagnostics", json_endpoint(_get_diagnostics)),
        Route(WS_PATH, _get_websocket_endpoint),
        Route(WS_PATH + "/{name:path}", _get_websocket_endpoint),
    ]
