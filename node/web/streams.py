"""Handlers of the HTTP API that write streams, stop them, and read how they stand."""

from starlette.requests import Request

from ...shared.channels import Channel
from ...shared.protocol.frames import Object
from ..node import Node
from .contract import AgentPath, RoomPath, StreamPath
from .messages import publish_body
from .requests import node_of
from .stream_bodies import StreamBody, StreamEndBody, StreamPieceBody

_NO_BODY, _NO_END_BODY = StreamBody(), StreamEndBody()
"""Of requests whose body may be missing."""


def _room(request: Request, room: RoomPath) -> tuple[Node, Channel]:
    node = node_of(request)
    return node, node.keyspace.room(room)


def _agent(request: Request, agent_id: AgentPath) -> tuple[Node, Channel]:
    node = node_of(request)
    return node, node.keyspace.agent(agent_id)


# ---- in a room


async def begin_room_stream(request: Request, room: RoomPath, body: StreamBody = _NO_BODY) -> Object:
    """Begin a stream in a room."""
    return await _begin(*_room(request, room), body)


async def write_room_stream(request: Request, room: RoomPath, stream_id: StreamPath, body: StreamPieceBody) -> Object:
    """Append a piece to a stream of a room."""
    return await _write(request, *_room(request, room), stream_id, body)


async def end_room_stream(
    request: Request, room: RoomPath, stream_id: StreamPath, body: StreamEndBody = _NO_END_BODY
) -> Object:
    """End a stream of a room: its text becomes one message."""
    node, channel = _room(request, room)
    return await node.operations.streams.end(channel, stream_id, body.status)


async def stop_room_stream(request: Request, room: RoomPath, stream_id: StreamPath) -> Object:
    """Ask the producer of a stream of a room to stop."""
    node, channel = _room(request, room)
    return await node.operations.streams.stop(channel, stream_id)


async def list_room_streams(request: Request, room: RoomPath) -> Object:
    """The open streams of a room."""
    node, channel = _room(request, room)
    return await node.operations.streams.list_open(channel)


async def get_room_stream(request: Request, room: RoomPath, stream_id: StreamPath) -> Object:
    """How a stream of a room stands, with its text."""
    node, channel = _room(request, room)
    return await node.operations.streams.get(channel, stream_id)


# ---- on an agent's channel


async def begin_agent_stream(request: Request, agent_id: AgentPath, body: StreamBody = _NO_BODY) -> Object:
    """Begin a stream on an agent's channel."""
    return await _begin(*_agent(request, agent_id), body)


async def write_agent_stream(
    request: Request, agent_id: AgentPath, stream_id: StreamPath, body: StreamPieceBody
) -> Object:
    """Append a piece to a stream of an agent."""
    return await _write(request, *_agent(request, agent_id), stream_id, body)


async def end_agent_stream(
    request: Request, agent_id: AgentPath, stream_id: StreamPath, body: StreamEndBody = _NO_END_BODY
) -> Object:
    """End a stream of an agent: its text becomes one message."""
    node, channel = _agent(request, agent_id)
    return await node.operations.streams.end(channel, stream_id, body.status)


async def stop_agent_stream(request: Request, agent_id: AgentPath, stream_id: StreamPath) -> Object:
    """Ask the producer of a stream of an agent to stop."""
    node, channel = _agent(request, agent_id)
    return await node.operations.streams.stop(channel, stream_id)


async def list_agent_streams(request: Request, agent_id: AgentPath) -> Object:
    """The open streams of an agent."""
    node, channel = _agent(request, agent_id)
    return await node.operations.streams.list_open(channel)


async def get_agent_stream(request: Request, agent_id: AgentPath, stream_id: StreamPath) -> Object:
    """How a stream of an agent stands, with its text."""
    node, channel = _agent(request, agent_id)
    return await node.operations.streams.get(channel, stream_id)


# ---- both


async def _begin(node: Node, channel: Channel, body: StreamBody) -> Object:
    return await node.operations.streams.begin(channel, body.stream_id, body.author, body.meta)


async def _write(
    request: Request, node: Node, channel: Channel, stream_id: StreamPath, body: StreamPieceBody
) -> Object:
    streams = node.operations.streams
    return await publish_body(node, request, lambda: streams.write(channel, stream_id, body.text, body.start))
