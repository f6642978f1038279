"""The routes of the HTTP API: methods and paths under `/api/v1`, and their handlers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from ...shared.protocol.codec import JSON
from ...shared.protocol.frames import Object
from ..admission.handshake import UPGRADE_HEADERS
from ..admission.target import WS_PATH
from . import answers, dead_letters, messages, revocations, sessions, streams
from .api import BatchRoute, ContractRoute, LargeRoute, OptionalBodyRoute, create_api
from .api_documents import PREFIX, PROBLEMS, document_routes
from .requests import authorized, node_of


@dataclass(frozen=True, slots=True)
class _Call:
    """One call: its handler returns an object of the form of `answer`; None: there is nothing to say (204)."""

    method: str
    path: str
    handle: Callable[..., Awaitable[Object | None]]
    answer: type[answers.Answer] | None
    route_class: type[ContractRoute] = ContractRoute


def _stream_calls(channel: str, kind: str) -> tuple[_Call, ...]:
    """The calls for the streams of a room, or of an agent."""
    of_one = f"{channel}/streams/{{stream_id}}"
    handlers = {name: getattr(streams, f"{name}_{kind}_stream") for name in ("begin", "write", "end", "stop", "get")}
    return (
        _Call("POST", f"{channel}/streams", handlers["begin"], answers.StreamBegun, OptionalBodyRoute),
        _Call("POST", of_one, handlers["write"], answers.StreamWritten),
        _Call("POST", f"{of_one}/end", handlers["end"], answers.StreamEnded, OptionalBodyRoute),
        _Call("POST", f"{of_one}/stop", handlers["stop"], answers.StreamStopped),
        _Call("GET", f"{channel}/streams", getattr(streams, f"list_{kind}_streams"), answers.Streams, LargeRoute),
        _Call("GET", of_one, handlers["get"], answers.StreamState, LargeRoute),
    )


_CALLS = (
    _Call("POST", "/rooms/{room}/messages", messages.publish_to_room, answers.Published),
    _Call("POST", "/agents/{agent_id}/messages", messages.publish_to_agent, answers.Published),
    _Call("POST", "/agents/{agent_id}/sessions/{session_id}/messages", messages.send_to_session, answers.Sent),
    _Call("POST", "/users/{user_id}/messages", messages.send_to_user, answers.Sent),
    _Call("POST", "/messages", messages.publish_many, answers.BatchResults, BatchRoute),
    *_stream_calls("/rooms/{room}", "room"),
    *_stream_calls("/agents/{agent_id}", "agent"),
    _Call("GET", "/rooms", sessions.list_rooms, answers.Rooms, LargeRoute),
    _Call("GET", "/rooms/{room}", sessions.get_room, answers.Room),
    _Call("GET", "/rooms/{room}/presence", sessions.get_presence, answers.Presence, LargeRoute),
    _Call("GET", "/rooms/{room}/messages", messages.get_room_history, answers.History, LargeRoute),
    _Call("GET", "/agents/{agent_id}/messages", messages.get_agent_history, answers.History, LargeRoute),
    _Call("GET", "/agents/{agent_id}", sessions.get_agent, answers.Agent, LargeRoute),
    _Call("GET", "/users", sessions.list_users, answers.OnlineUsers, LargeRoute),
    _Call("GET", "/users/{user_id}", sessions.get_user, answers.User, LargeRoute),
    _Call("PUT", "/agents/{agent_id}/limit", sessions.set_limit, answers.AgentLimit),
    _Call("DELETE", "/agents/{agent_id}/sessions", sessions.close_agent_sessions, answers.Closed),
    _Call("DELETE", "/agents/{agent_id}/sessions/{session_id}", sessions.close_agent_session, answers.Closed),
    _Call("DELETE", "/users/{user_id}/sessions", sessions.close_user_sessions, answers.Closed),
    _Call("GET", "/nodes", sessions.list_nodes, answers.Nodes),
    _Call("POST", "/nodes/{node}/drain", sessions.drain_node, answers.Draining),
    _Call("POST", "/revocations", revocations.revoke, answers.Revocation),
    _Call("GET", "/revocations", revocations.list_revocations, answers.Revocations, LargeRoute),
    _Call("DELETE", "/revocations/{id}", revocations.delete_revocation, None),
    _Call("GET", "/hooks/dead-letters", dead_letters.list_dead_letters, answers.DeadLetters, LargeRoute),
    _Call("POST", "/hooks/resend", dead_letters.resend_dead_letters, answers.Resent),
    _Call("DELETE", "/hooks/dead-letters/{id}", dead_letters.delete_dead_letter, None),
)


async def _get_diagnostics(request: Request) -> Response:
    return _json_response(node_of(request).statistics().as_object())


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


def _encode(handle: Callable[..., Awaitable[Object | None]]) -> Callable[..., Awaitable[Response]]:
    """The handler with its object encoded: FastAPI need not look at it once more."""

    @wraps(handle)
    async def endpoint(*args: Any, **parameters: Any) -> Response:
        answer = await handle(*args, **parameters)
        if answer is None:
            return Response(status_code=204)
        return _json_response(answer)

    return endpoint


def _json_response(answer: Object) -> Response:
    return Response(JSON.encode(answer), media_type="application/json")


def build_api() -> FastAPI:
    """The application below `/api/v1`."""
    api = create_api()
    for call in _CALLS:
        api.router.add_api_route(
            call.path,
            _encode(call.handle),
            methods=[call.method],
            response_model=call.answer,
            status_code=204 if call.answer is None else 200,
            operation_id=call.handle.__name__,
            summary=call.handle.__name__.replace("_", " ").capitalize(),
            responses=PROBLEMS,
            route_class_override=call.route_class,
        )
    return api


def api_routes() -> list[BaseRoute]:
    api = build_api()
    return [
        *document_routes(api),
        Mount(PREFIX, api),
        Route("/diagnostics", authorized(_get_diagnostics)),
        Route(WS_PATH, _get_websocket_endpoint),
        Route(WS_PATH + "/{name:path}", _get_websocket_endpoint),
    ]
