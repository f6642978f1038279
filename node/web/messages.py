"""Handlers of the HTTP API that publish, send, and read history."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, TypeVar, cast

import orjson
from fastapi import Query
from starlette.requests import Request

from ...fanout.batches import batched_by_size
from ...shared.channels import Channel
from ...shared.codes import HTTP_STATUS
from ...shared.errors import BadRequest, Refused
from ...shared.protocol.decoding import check_value
from ...shared.protocol.frames import Object
from ...shared.reports import DeliveryReport
from ..node import Node
from ..operations.history import position_fields
from ..operations.publishing import OWN_BYTES
from ..problems import build_problem
from .bodies import BatchBody, BatchMessage, DirectBody, MessageBody, author_of
from .contract import AgentPath, RoomPath, SessionPath, UserPath
from .queries import MessagesQuery, is_number
from .requests import node_of

BATCH_IN_FLIGHT_MAX_BYTES = 262_144
"""Bytes of one `POST /messages` that Redis has not confirmed: further messages of it wait, and nobody else's do."""

T = TypeVar("T")


# ---- history


async def get_room_history(request: Request, room: RoomPath, query: Annotated[MessagesQuery, Query()]) -> Object:
    """The last messages of a room, or those before or since an offset."""
    node = node_of(request)
    return await node.operations.history_queries.read_page(node.keyspace.room(room), query.as_query())


async def get_agent_history(request: Request, agent_id: AgentPath, query: Annotated[MessagesQuery, Query()]) -> Object:
    """The last messages of an agent's channel, or those before or since an offset."""
    node = node_of(request)
    return await node.operations.history_queries.read_page(node.keyspace.agent(agent_id), query.as_query())


# ---- publishing


async def publish_to_room(request: Request, room: RoomPath, body: MessageBody) -> Object:
    """Publish to every session in a room."""
    node = node_of(request)
    return await publish_body(node, request, lambda: _publish(node, node.keyspace.room(room), body))


async def publish_to_agent(request: Request, agent_id: AgentPath, body: MessageBody) -> Object:
    """Publish to every session of an agent."""
    node = node_of(request)
    return await publish_body(node, request, lambda: _publish(node, node.keyspace.agent(agent_id), body))


async def _publish(node: Node, channel: Channel, body: MessageBody) -> Object:
    exclude, author, content = body.exclude_session or "", body.author, body.content
    if body.report:
        publish = node.operations.reported.publish
        position, report = await publish(channel, author, content, key=body.key, exclude=exclude)
        return position_fields(position) | report.as_fields()
    publishing = node.operations.publishing
    return position_fields(await publishing.publish(channel, author, content, key=body.key, exclude=exclude))


async def send_to_session(request: Request, agent_id: AgentPath, session_id: SessionPath, body: DirectBody) -> Object:
    """Send to one session of an agent."""
    node = node_of(request)
    to = node.keyspace.agent(agent_id), session_id, body.author, body.content
    if body.report:
        return _sent_fields(await publish_body(node, request, partial(node.operations.reported.send_to_session, *to)))
    return {"sessions": await publish_body(node, request, partial(node.operations.publishing.send_to_session, *to))}


async def send_to_user(request: Request, user_id: UserPath, body: DirectBody) -> Object:
    """Send to every session of a user, as `private`."""
    node = node_of(request)
    to = user_id, body.author, body.content
    if body.report:
        return _sent_fields(await publish_body(node, request, partial(node.operations.reported.send_to_user, *to)))
    return {"sessions": await publish_body(node, request, partial(node.operations.publishing.send_to_user, *to))}


def _sent_fields(report: DeliveryReport) -> Object:
    return {"sessions": report.sessions, **report.as_fields()}


# ---- many at once


async def publish_many(request: Request, body: BatchBody) -> Object:
    """Publish many messages at once; each has its own result, and is refused alone."""
    node = node_of(request)
    sized = [(_size_of(message), message) for message in body.messages]
    results: list[Object] = []
    for batch in batched_by_size(sized, lambda entry: entry[0], BATCH_IN_FLIGHT_MAX_BYTES):
        publish = partial(_publish_all, node, [message for _, message in batch])
        results += await _take_turn(node, sum(size for size, _ in batch), publish)
    return {"results": results}


def _size_of(message: object) -> int:
    try:
        return len(orjson.dumps(message))
    except orjson.JSONEncodeError:
        return 0  # it will be refused


async def _publish_all(node: Node, messages: list[object]) -> list[Object]:
    return await asyncio.gather(*(_publish_one(node, message) for message in messages))


async def _publish_one(node: Node, message: object) -> Object:
    """The result of one message of a batch. A refusal is a result too, so that the others are published."""
    try:
        if not isinstance(message, dict):
            raise BadRequest("a message has to be an object")
        check_value(cast("Object", message))
        body = BatchMessage.model_validate(message)
        channel, author = body.channel(node.keyspace), author_of(body)
        exclude = body.exclude_session or ""
        publishing = node.operations.publishing
        return position_fields(await publishing.publish(channel, author, body.content, key=body.key, exclude=exclude))
    except Refused as refusal:
        return build_problem(HTTP_STATUS[refusal.code], refusal)


# ---- turns


def _body_bytes(node: Node, request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if is_number(length) else node.settings.message_max_bytes  # it comes in chunks


async def publish_body(node: Node, request: Request, publish: Callable[[], Awaitable[T]]) -> T:
    """Publish what the body of a request holds, in its turn."""
    return await _take_turn(node, _body_bytes(node, request), publish)


async def _take_turn(node: Node, size: int, publish: Callable[[], Awaitable[T]]) -> T:
    """Publish `size` bytes; if they are many, when it is their turn. `docs/protocol.md §4` says who waits."""
    if size <= OWN_BYTES:
        return await publish()
    return await node.operations.publishing.turns.run(size, publish)
