"""Names of rooms, agents, users, sessions, nodes and streams, checked when they are parsed (docs/protocol.md §1).

A value of these types has been checked: it is safe to build a key or a channel from it.
"""

import re
from collections.abc import Callable
from typing import NewType

from .errors import BadName

RoomName = NewType("RoomName", str)
AgentId = NewType("AgentId", str)
UserId = NewType("UserId", str)
SessionId = NewType("SessionId", str)
NodeId = NewType("NodeId", str)
StreamId = NewType("StreamId", str)

CHARACTERS = "A-Z a-z 0-9 _ . : @ ~ -"
"""What a name consists of."""
USER_CHARACTERS = f"{CHARACTERS} | + ="
"""What a user id consists of: those of identity providers and mail addresses need three characters more."""
CHARACTER_CLASS = "A-Za-z0-9_.:@~-"
"""CHARACTERS as they stand between the brackets of a regular expression."""
USER_CHARACTER_CLASS = "A-Za-z0-9_.:@~|+=-"
NAME_MAX_CHARACTERS = 128
USERNAME_MAX_CHARACTERS = 128

_find_bad_character = re.compile(f"[^{CHARACTER_CLASS}]").search
_find_bad_user_character = re.compile(f"[^{USER_CHARACTER_CLASS}]").search


def _parse(
    field: str,
    value: object,
    find_bad_character: Callable[[str], re.Match[str] | None] = _find_bad_character,
    characters: str = CHARACTERS,
) -> str:
    if not isinstance(value, str):
        raise BadName(f"{field} has to be a string, not {value!r:.40}")
    if not 0 < len(value) <= NAME_MAX_CHARACTERS:
        raise BadName(f"{field} has to have 1 to {NAME_MAX_CHARACTERS} characters, not {len(value)}")
    if bad := find_bad_character(value):
        shown = repr(value if len(value) <= 40 else value[:40] + "…")
        raise BadName(f"{field} {shown} must not contain {bad[0]!a}: allowed are {characters}")
    return value


def parse_room(value: object) -> RoomName:
    """Raises BadName."""
    return RoomName(_parse("room", value))


def parse_agent(value: object) -> AgentId:
    """Raises BadName."""
    return AgentId(_parse("agent_id", value))


def parse_user(value: object) -> UserId:
    """An integer stands for its decimal text. Raises BadName."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return UserId(_parse("user_id", value, _find_bad_user_character, USER_CHARACTERS))


def parse_session(value: object) -> SessionId:
    """Raises BadName."""
    return SessionId(_parse("session_id", value))


def parse_node(value: object) -> NodeId:
    """Raises BadName."""
    return NodeId(_parse("node", value))


def parse_stream(value: object) -> StreamId:
    """Raises BadName."""
    return StreamId(_parse("stream_id", value))


def parse_username(value: object) -> str:
    """A username is shown to people: any printable text of 1 to 128 characters. Raises BadName."""
    if isinstance(value, str) and 0 < len(value) <= USERNAME_MAX_CHARACTERS:
        # The zero-width joiner is not printable, but many emoji consist of several characters joined by it.
        # A space is printable; line breaks and all other white space are not.
        visible = value.replace("\u200d", "")
        if visible.strip() and visible.isprintable():
            return value
    raise BadName(f"username has to be printable text of 1 to {USERNAME_MAX_CHARACTERS} characters")
