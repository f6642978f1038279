"""Handlers of the HTTP API for rooms, sessions, limits and nodes."""

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ...shared.channels import Owner, OwnerKind
from ...shared.errors import BadRequest
from ...shared.names import parse_agent, parse_node, parse_room, parse_session, parse_user
from ...shared.policy import Limit, LimitPolicy
from ...shared.protocol.command_parser import require_field
from ...shared.protocol.decoding import decode_json
from ...shared.protocol.frames import Object
from ...shared.sessions import SessionInfo
from ...shared.settings import LIMIT_MAX
from ..connections.survey_handler import ONLINE_MAX
from ..node import Node
from ..operations.pages import PAGES_AT_ONCE
from .requests import check_fields, not_found, read_object

ROOMS_MAX = 1000
"""Rooms that one `GET /rooms` lists at most, those with most users first."""


async def list_rooms(node: Node, request: Request) -> Object:
    limit = _parse_count(request, "limit", ROOMS_MAX)
    # It asks each partition for as many rooms, so it takes all turns.
    turns = node.operations.page_turns
    rooms, total = await turns.run(PAGES_AT_ONCE, lambda: node.bus.presence.fullest_rooms(limit))
    return {"rooms": [{"room": room, "users_count": users} for room, users in rooms], "total": total}


async def get_room(node: Node, request: Request) -> Object:
    room = node.keyspace.room(parse_room(request.path_params["room"]))
    users, sessions = await node.bus.presence.count(room)
    return {"room": room.name, "users_count": users, "sessions_count": sessions}


async def get_presence(node: Node, request: Request) -> Object:
    room = node.keyspace.room(parse_room(request.path_params["room"]))
    return {"room": room.name, **await node.operations.presence_queries.get_room(room)}


async def get_agent(node: Node, request: Request) -> Object:
    agent = _parse_agent_owner(request)
    limit, sessions = await node.operations.presence_queries.list_sessions(agent)
    return {"agent_id": agent.name, **_limit_fields(limit), **await _session_lists(node, agent, sessions)}


async def get_user(node: Node, request: Request) -> Object:
    user_id = parse_user(request.path_params["user_id"])
    sessions = await node.bus.control.list_sessions(user_id)
    limit = node.bus.limits.default(OwnerKind.USER)
    lists = await _session_lists(node, Owner(OwnerKind.USER, user_id), sessions)
    return {"user_id": user_id, **_limit_fields(limit), **lists}


async def list_users(node: Node, request: Request) -> Object:
    check_fields(dict(request.query_params), "limit", "cursor")
    limit = _parse_count(request, "limit", ONLINE_MAX)
    return (await node.operations.online.read_page(limit, request.query_params.get("cursor"))).as_object()


async def set_limit(node: Node, request: Request) -> Object:
    agent = _parse_agent_owner(request)
    fields = await read_object(node, request, "max_sessions", "policy")
    limit = Limit(
        _parse_max_sessions(require_field(fields, "max_sessions")), _parse_policy(require_field(fields, "policy"))
    )
    closed = await node.bus.limits.set(agent, limit)
    return {"agent_id": agent.name, **_limit_fields(limit), "closed": closed}


async def close_agent_sessions(node: Node, request: Request) -> Object:
    return {"sessions": await node.bus.control.close_sessions(_parse_agent_owner(request), None)}


async def close_agent_session(node: Node, request: Request) -> Object:
    agent, session_id = _parse_agent_owner(request), parse_session(request.path_params["session_id"])
    closed = await node.bus.control.close_sessions(agent, session_id)
    if closed == 0:
        raise not_found(f"agent {agent.name} has no session {session_id} on any node")
    return {"sessions": closed}


async def close_user_sessions(node: Node, request: Request) -> Object:
    user = Owner(OwnerKind.USER, parse_user(request.path_params["user_id"]))
    return {"sessions": await node.bus.control.close_sessions(user, None)}


async def list_nodes(node: Node, request: Request) -> Object:
    nodes = await node.bus.list_nodes()
    return {"nodes": [each.as_object() for each in sorted(nodes, key=lambda each: each.node)]}


async def drain_node(node: Node, request: Request) -> Object:
    await read_object(node, request, decode=_decode_optional)
    name = parse_node(request.path_params["node"])
    found = await node.operations.nodes.find(name)
    if not found:
        raise not_found(f"no node {name} is alive: GET /api/v1/nodes lists those that are")
    if len(found) > 1:
        named = ", ".join(sorted(each.incarnation for each in found))
        raise HTTPException(409, f"several nodes are called {name}: name one of them by its incarnation, {named}")
    (leaving,) = found
    await node.operations.nodes.drain(leaving)
    return {"node": leaving.node, "incarnation": leaving.incarnation, "draining": True}


def _decode_optional(body: bytes) -> object:
    """A body that may be missing. Raises BadRequest."""
    return decode_json(body) if body else {}


async def _session_lists(node: Node, owner: Owner, sessions: list[SessionInfo]) -> Object:
    disconnects = await node.bus.disconnects.recent(owner)
    return {
        "sessions": [session.as_object() for session in sessions],
        "disconnects": [disconnect.as_object() for disconnect in disconnects],
    }


def _parse_agent_owner(request: Request) -> Owner:
    return Owner(OwnerKind.AGENT, parse_agent(request.path_params["agent_id"]))


def _limit_fields(limit: Limit) -> Object:
    return {"max_sessions": limit.max_sessions, "policy": limit.policy.value}


def _parse_max_sessions(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LIMIT_MAX:
        return value
    raise BadRequest(f"max_sessions has to be an integer from 1 to {LIMIT_MAX}")


def _parse_policy(value: object) -> LimitPolicy:
    if isinstance(value, str) and value in list(LimitPolicy):
        return LimitPolicy(value)
    raise BadRequest(f"policy has to be one of: {', '.join(LimitPolicy)}")


def _parse_count(request: Request, name: str, maximum: int) -> int:
    """An integer of the query; `maximum` if it is missing."""
    text = request.query_params.get(name, str(maximum))
    if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= (count := int(text)) <= maximum:
        return count
    raise BadRequest(f"{name} has to be an integer from 1 to {maximum}")
