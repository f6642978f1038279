"""The HTTP API under `/api/v1`: what a back end says to rooms, agents, single sessions and users."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from ..shared.channels import Channel
from ..shared.clock import rfc3339
from ..shared.close import HTTP_STATUS, ErrorCode
from ..shared.codec import JSON, encode_ready, pack_publication
from ..shared.commands import parse_key, required
from ..shared.errors import BadRequest, Refused
from ..shared.messages import Author, Object, Publication, Said, SaidPrivately
from ..shared.names import parse_agent, parse_room, parse_session, parse_user, parse_username
from .auth import authorize_api
from .node import Node
from .problems import CONTENT_TYPE, problem_object, problem_of

BATCH_MAX = 1000
"""Messages in one `POST /messages`."""

Handler = Callable[[Node, Request], Awaitable[Object]]


def _answered(handle: Handler) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that answers with an object, or with a problem document."""

    async def endpoint(request: Request) -> Response:
        node: Node = request.state.node
        try:
            _authorize(node, request)
            return Response(orjson.dumps(await handle(node, request)), media_type="application/json")
        except Refused as refusal:
            return problem_response(refusal)

    return endpoint


def problem_response(refusal: Refused) -> Response:
    status, body = problem_of(refusal)
    headers = {} if refusal.retry_after is None else {"Retry-After": str(max(1, round(refusal.retry_after)))}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(body, status, headers, CONTENT_TYPE)


def _authorize(node: Node, request: Request) -> None:
    authorize_api(
        node.settings.api_key.get_secret_value(),
        headers=request.headers,
        client_host=request.client.host if request.client else None,
        server_host=server[0] if (server := request.scope.get("server")) else None,
    )


async def _read_object(node: Node, request: Request, *allowed: str, times: int = 1) -> Object:
    """The body, an object of `allowed` fields; never more than `times` messages of it in memory. Raises Refused."""
    limit, body = node.settings.message_max_bytes * times, bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Refused(f"the body may have at most {limit} bytes", code=ErrorCode.TOO_LARGE)
    value = JSON.decode(bytes(body))
    if not isinstance(value, dict):
        raise BadRequest("the body has to be one JSON object")
    fields = cast("Object", value)
    _check_fields(fields, *allowed)
    return fields


def _check_fields(fields: Object, *allowed: str) -> None:
    if extra := fields.keys() - set(allowed):
        named = ", ".join(sorted(f"{name!r:.40}" for name in extra)[:5])
        raise BadRequest(f"no field {named} here: allowed are {' '.join(allowed)}")


def _author(fields: Object) -> Author:
    """Whom the back end lets speak; nobody in particular if it names nobody."""
    user_id = None if fields.get("user_id") is None else parse_user(fields["user_id"])
    username = user_id if fields.get("username") is None else parse_username(fields["username"])
    return Author(user_id, username, None)


async def _publish(node: Node, channel: Channel, fields: Object) -> Object:
    exclude = "" if fields.get("exclude_session") is None else parse_session(fields["exclude_session"])
    author = _author(fields)
    said = Said(channel, author, required(fields, "content"), rfc3339(node.clock.now()))
    payload = pack_publication(Publication(encode_ready(said), exclude))
    await node.publisher.publish(channel, payload, author=author.user_id or "", key=parse_key(fields))
    return {}


_MESSAGE = ("content", "user_id", "username", "exclude_session", "key")


async def _to_room(node: Node, request: Request) -> Object:
    channel = node.channels.room(parse_room(request.path_params["room"]))
    fields = await _read_object(node, request, *_MESSAGE)
    return await _publish(node, channel, fields)


async def _to_agent(node: Node, request: Request) -> Object:
    channel = node.channels.agent(parse_agent(request.path_params["agent_id"]))
    fields = await _read_object(node, request, *_MESSAGE)
    return await _publish(node, channel, fields)


async def _to_session(node: Node, request: Request) -> Object:
    agent_id = parse_agent(request.path_params["agent_id"])
    session_id = parse_session(request.path_params["session_id"])
    fields = await _read_object(node, request, "content", "user_id", "username")
    channel = node.channels.agent(agent_id)
    said = Said(channel, _author(fields), required(fields, "content"), rfc3339(node.clock.now()))
    return {"sessions": await node.control.deliver_to_session(agent_id, session_id, encode_ready(said))}


async def _to_user(node: Node, request: Request) -> Object:
    user_id = parse_user(request.path_params["user_id"])
    fields = await _read_object(node, request, "content", "user_id", "username")
    said = SaidPrivately(_author(fields), required(fields, "content"), rfc3339(node.clock.now()))
    return {"sessions": await node.control.deliver_to_user(user_id, encode_ready(said))}


async def _to_many(node: Node, request: Request) -> Object:
    fields = await _read_object(node, request, "messages", times=16)
    messages = required(fields, "messages")
    if not isinstance(messages, list) or len(cast("list[object]", messages)) > BATCH_MAX:
        raise BadRequest(f"messages has to be an array of at most {BATCH_MAX} messages")
    one_by_one = [_one_of_many(node, message) for message in cast("list[object]", messages)]
    return {"results": await asyncio.gather(*one_by_one)}


async def _one_of_many(node: Node, message: object) -> Object:
    """A result of its own for each message: one that is refused does not hold up the others."""
    try:
        if not isinstance(message, dict):
            raise BadRequest("a message has to be an object")
        fields = cast("Object", message)
        _check_fields(fields, "room", "agent_id", *_MESSAGE)
        if ("room" in fields) is ("agent_id" in fields):
            raise BadRequest("a message names either a room or an agent_id")
        if "room" in fields:
            channel = node.channels.room(parse_room(fields["room"]))
        else:
            channel = node.channels.agent(parse_agent(fields["agent_id"]))
        return await _publish(node, channel, fields)
    except Refused as refusal:
        return problem_object(HTTP_STATUS[refusal.code], refusal)


async def _diagnostics(node: Node, request: Request) -> Object:
    return node.statistics()


def api_routes() -> list[BaseRoute]:
    posts: dict[str, Handler] = {
        "/rooms/{room}/messages": _to_room,
        "/agents/{agent_id}/messages": _to_agent,
        "/agents/{agent_id}/sessions/{session_id}/messages": _to_session,
        "/users/{user_id}/messages": _to_user,
        "/messages": _to_many,
    }
    routes = [Route(path, _answered(handle), methods=["POST"]) for path, handle in posts.items()]
    return [Mount("/api/v1", routes=routes), Route("/diagnostics", _answered(_diagnostics))]
