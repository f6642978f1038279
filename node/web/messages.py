"""Handlers of the HTTP API that publish, send, and read history."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar, cast

import orjson
from starlette.requests import Request

from ...fanout.batches import batched_by_size
from ...shared.channels import Channel
from ...shared.codes import HTTP_STATUS
from ...shared.errors import BadRequest, Refused
from ...shared.names import parse_agent, parse_room, parse_session, parse_user
from ...shared.protocol.command_parser import parse_author, parse_history_query, parse_key, require_field
from ...shared.protocol.decoding import check_value, parse_json
from ...shared.protocol.frames import Author, Object
from ...shared.reports import DeliveryReport
from ..node import Node
from ..operations.history import position_fields
from ..operations.publishing import OWN_BYTES
from ..problems import build_problem
from .requests import check_fields, read_object

BATCH_MAX = 1000
"""Messages in one `POST /messages`."""
BATCH_MAX_SIZE = 16
"""The size of one `POST /messages`, in multiples of the size of a message."""
BATCH_IN_FLIGHT_MAX_BYTES = 262_144
"""Bytes of one `POST /messages` that Redis has not confirmed: further messages of it wait, and nobody else's do."""

T = TypeVar("T")


def _parse_author(fields: Object) -> Author:
    return parse_author(fields.get("user_id"), fields.get("username"))


def _parse_report(fields: Object) -> bool:
    """Whether the answer is to say what became of the message at the sockets."""
    if not isinstance(report := fields.get("report", False), bool):
        raise BadRequest("report has to be true or false")
    return report


async def _publish(node: Node, channel: Channel, fields: Object) -> Object:
    exclude = "" if fields.get("exclude_session") is None else parse_session(fields["exclude_session"])
    author = _parse_author(fields)
    content, key = require_field(fields, "content"), parse_key(fields)
    if _parse_report(fields):
        publish = node.operations.reported.publish
        position, report = await publish(channel, author, content, key=key, exclude=exclude)
        return position_fields(position) | report.as_fields()
    return position_fields(await node.operations.publishing.publish(channel, author, content, key=key, exclude=exclude))


async def get_room_history(node: Node, request: Request) -> Object:
    return await _read_history(node, request, node.keyspace.room(parse_room(request.path_params["room"])))


async def get_agent_history(node: Node, request: Request) -> Object:
    return await _read_history(node, request, node.keyspace.agent(parse_agent(request.path_params["agent_id"])))


async def _read_history(node: Node, request: Request, channel: Channel) -> Object:
    query = request.query_params
    check_fields(dict(query), "limit", "before", "since")
    history_query = parse_history_query({name: int(text) if _is_number(text) else text for name, text in query.items()})
    return await node.operations.history_queries.read_page(channel, history_query)


_is_number = re.compile(r"[0-9]{1,18}").fullmatch
_MESSAGE_FIELDS = ("content", "user_id", "username", "exclude_session", "key")
_DIRECT_FIELDS = ("content", "user_id", "username", "report")


async def publish_to_room(node: Node, request: Request) -> Object:
    channel = node.keyspace.room(parse_room(request.path_params["room"]))
    fields = await read_object(node, request, *_MESSAGE_FIELDS, "report")
    return await _publish_body(node, request, lambda: _publish(node, channel, fields))


async def publish_to_agent(node: Node, request: Request) -> Object:
    channel = node.keyspace.agent(parse_agent(request.path_params["agent_id"]))
    fields = await read_object(node, request, *_MESSAGE_FIELDS, "report")
    return await _publish_body(node, request, lambda: _publish(node, channel, fields))


async def send_to_session(node: Node, request: Request) -> Object:
    agent_id = parse_agent(request.path_params["agent_id"])
    session_id = parse_session(request.path_params["session_id"])
    fields = await read_object(node, request, *_DIRECT_FIELDS)
    agent, author, content = node.keyspace.agent(agent_id), _parse_author(fields), require_field(fields, "content")
    if _parse_report(fields):
        report = partial(node.operations.reported.send_to_session, agent, session_id, author, content)
        return _sent_fields(await _publish_body(node, request, report))
    send = partial(node.operations.publishing.send_to_session, agent, session_id, author, content)
    return {"sessions": await _publish_body(node, request, send)}


def _sent_fields(report: DeliveryReport) -> Object:
    return {"sessions": report.sessions, **report.as_fields()}


async def send_to_user(node: Node, request: Request) -> Object:
    user_id = parse_user(request.path_params["user_id"])
    fields = await read_object(node, request, *_DIRECT_FIELDS)
    author, content = _parse_author(fields), require_field(fields, "content")
    if _parse_report(fields):
        report = partial(node.operations.reported.send_to_user, user_id, author, content)
        return _sent_fields(await _publish_body(node, request, report))
    send = partial(node.operations.publishing.send_to_user, user_id, author, content)
    return {"sessions": await _publish_body(node, request, send)}


async def publish_many(node: Node, request: Request) -> Object:
    fields = await read_object(node, request, "messages", times=BATCH_MAX_SIZE, decode=parse_json)
    messages = require_field(fields, "messages")
    if not isinstance(messages, list) or len(cast("list[object]", messages)) > BATCH_MAX:
        raise BadRequest(f"messages has to be an array of at most {BATCH_MAX} messages")
    sized = [(_size_of(message), message) for message in cast("list[object]", messages)]
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
        fields = cast("Object", message)
        check_value(fields)
        check_fields(fields, "room", "agent_id", *_MESSAGE_FIELDS)
        if ("room" in fields) is ("agent_id" in fields):
            raise BadRequest("a message names either a room or an agent_id")
        if "room" in fields:
            channel = node.keyspace.room(parse_room(fields["room"]))
        else:
            channel = node.keyspace.agent(parse_agent(fields["agent_id"]))
        return await _publish(node, channel, fields)
    except Refused as refusal:
        return build_problem(HTTP_STATUS[refusal.code], refusal)


# ---- turns


def _body_bytes(node: Node, request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if _is_number(length) else node.settings.message_max_bytes  # it comes in chunks


async def _publish_body(node: Node, request: Request, publish: Callable[[], Awaitable[T]]) -> T:
    """Publish what the body of a request holds, in its turn."""
    return await _take_turn(node, _body_bytes(node, request), publish)


async def _take_turn(node: Node, size: int, publish: Callable[[], Awaitable[T]]) -> T:
    """Publish `size` bytes; if they are many, when it is their turn. `docs/protocol.md §4` says who waits."""
    if size <= OWN_BYTES:
        return await publish()
    return await node.operations.publishing.turns.run(size, publish)
