"""Names of rooms, agents, users, sessions and nodes: one alphabet, checked when they are parsed.

A value of these types has been checked: it is safe to build a key or a channel from it.
"""

import re
from typing import NewType

from .errors import BadName

RoomName = NewType("RoomName", str)
AgentId = NewType("AgentId", str)
UserId = NewType("UserId", str)
SessionId = NewType("SessionId", str)
NodeId = NewType("NodeId", str)

ALPHABET = "[A-Za-z0-9_.:@~-]{1,128}"
"""A regular expression that matches a whole name."""
_valid = re.compile(ALPHABET).fullmatch

USERNAME_MAX_CHARACTERS = 128


def _parse(what: str, value: object) -> str:
    if isinstance(value, str) and _valid(value):
        return value
    shown = repr(value if not isinstance(value, str) or len(value) <= 40 else value[:40] + "…")
    raise BadName(f"{what} {shown:.60} is not a name: 1 to 128 characters out of A-Z a-z 0-9 _ . : @ ~ - are allowed")


def parse_room(value: object) -> RoomName:
    """Raises BadName."""
    return RoomName(_parse("room", value))


def parse_agent(value: object) -> AgentId:
    """Raises BadName."""
    return AgentId(_parse("agent_id", value))


def parse_user(value: object) -> UserId:
    """Raises BadName."""
    return UserId(_parse("user_id", value))


def parse_session(value: object) -> SessionId:
    """Raises BadName."""
    return SessionId(_parse("session_id", value))


def parse_node(value: object) -> NodeId:
    """Raises BadName."""
    return NodeId(_parse("node", value))


def parse_username(value: object) -> str:
    """A username is shown to people: any printable text of 1 to 128 characters. Raises BadName."""
    if isinstance(value, str) and 0 < len(value) <= USERNAME_MAX_CHARACTERS:
        # The zero-width joiner is not printable, but many emoji consist of several characters joined by it.
        visible = value.replace("\u200d", "").strip()
        if visible and visible.isprintable():
            return value
    raise BadName(f"username has to be printable text of 1 to {USERNAME_MAX_CHARACTERS} characters")
