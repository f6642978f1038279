"""Handlers of the HTTP API for rooms, sessions, limits and nodes."""

from typing import Annotated

from fastapi import Query
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ...shared.channels import Owner, OwnerKind
from ...shared.policy import Limit
from ...shared.protocol.frames import Object
from ...shared.sessions import SessionInfo
from ..node import Node
from ..operations.pages import PAGES_AT_ONCE
from .bodies import LimitBody
from .contract import AgentPath, NodePath, RoomPath, SessionPath, UserPath
from .queries import RoomsQuery, UsersQuery
from .requests import decode_optional, node_of, not_found, read_object


async def list_rooms(request: Request, query: Annotated[RoomsQuery, Query()]) -> Object:
    """Rooms with at least one user, the fullest first."""
    node = node_of(request)
    # It asks each partition for as many rooms, so it takes all turns.
    turns = node.operations.page_turns
    rooms, total = await turns.run(PAGES_AT_ONCE, lambda: node.bus.presence.fullest_rooms(query.limit))
    return {"rooms": [{"room": room, "users_count": users} for room, users in rooms], "total": total}


async def get_room(request: Request, room: RoomPath) -> Object:
    """How many users and sessions are in a room."""
    node = node_of(request)
    users, sessions = await node.bus.presence.count(node.keyspace.room(room))
    return {"room": room, "users_count": users, "sessions_count": sessions}


async def get_presence(request: Request, room: RoomPath) -> Object:
    """Who is in a room."""
    node = node_of(request)
    return {"room": room, **await node.operations.presence_queries.get_room(node.keyspace.room(room))}


async def get_agent(request: Request, agent_id: AgentPath) -> Object:
    """The limit of an agent, its sessions, and why sessions were refused or closed."""
    node, agent = node_of(request), Owner(OwnerKind.AGENT, agent_id)
    limit, sessions = await node.operations.presence_queries.list_sessions(agent)
    return {"agent_id": agent.name, **_limit_fields(limit), **await _session_lists(node, agent, sessions)}


async def list_users(request: Request, query: Annotated[UsersQuery, Query()]) -> Object:
    """Who is online on all nodes, in pages."""
    return (await node_of(request).operations.online.read_page(query.limit, query.cursor)).as_object()


async def get_user(request: Request, user_id: UserPath) -> Object:
    """The limit of a user, its sessions, and why sessions were refused or closed."""
    node = node_of(request)
    sessions = await node.bus.control.list_sessions(user_id)
    limit = node.bus.limits.default(OwnerKind.USER)
    lists = await _session_lists(node, Owner(OwnerKind.USER, user_id), sessions)
    return {"user_id": user_id, **_limit_fields(limit), **lists}


async def set_limit(request: Request, agent_id: AgentPath, body: LimitBody) -> Object:
    """Set the limit of an agent, on all nodes, at once."""
    limit = Limit(body.max_sessions, body.policy)
    closed = await node_of(request).bus.limits.set(Owner(OwnerKind.AGENT, agent_id), limit)
    return {"agent_id": agent_id, **_limit_fields(limit), "closed": closed}


async def close_agent_sessions(request: Request, agent_id: AgentPath) -> Object:
    """Close all sessions of an agent (4504)."""
    return {"sessions": await node_of(request).bus.control.close_sessions(Owner(OwnerKind.AGENT, agent_id), None)}


async def close_agent_session(request: Request, agent_id: AgentPath, session_id: SessionPath) -> Object:
    """Close one session of an agent (4504)."""
    control = node_of(request).bus.control
    closed = await control.close_sessions(Owner(OwnerKind.AGENT, agent_id), session_id)
    if closed == 0:
        raise not_found(f"agent {agent_id} has no session {session_id} on any node")
    return {"sessions": closed}


async def close_user_sessions(request: Request, user_id: UserPath) -> Object:
    """Close all sessions of a user (4504)."""
    return {"sessions": await node_of(request).bus.control.close_sessions(Owner(OwnerKind.USER, user_id), None)}


async def list_nodes(request: Request) -> Object:
    """The nodes that are alive."""
    nodes = await node_of(request).bus.list_nodes()
    return {"nodes": [each.as_object() for each in sorted(nodes, key=lambda each: each.node)]}


async def drain_node(request: Request, node: NodePath) -> Object:
    """Let one node leave, as on SIGTERM, whichever node is asked."""
    asked = node_of(request)
    await read_object(asked, request, decode=decode_optional)
    found = await asked.operations.nodes.find(node)
    if not found:
        raise not_found(f"no node {node} is alive: GET /api/v1/nodes lists those that are")
    if len(found) > 1:
        named = ", ".join(sorted(each.incarnation for each in found))
        raise HTTPException(409, f"several nodes are called {node}: name one of them by its incarnation, {named}")
    (leaving,) = found
    await asked.operations.nodes.drain(leaving)
    return {"node": leaving.node, "incarnation": leaving.incarnation, "draining": True}


async def _session_lists(node: Node, owner: Owner, sessions: list[SessionInfo]) -> Object:
    disconnects = await node.bus.disconnects.recent(owner)
    return {
        "sessions": [session.as_object() for session in sessions],
        "disconnects": [disconnect.as_object() for disconnect in disconnects],
    }


def _limit_fields(limit: Limit) -> Object:
    return {"max_sessions": limit.max_sessions, "policy": limit.policy.value}
