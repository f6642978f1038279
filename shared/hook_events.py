"""TANNOY_HOOK_EVENTS: the events that the target of the HTTP hooks is told of (docs/hooks.md)."""

from collections.abc import Iterable
from enum import StrEnum


class HookEvent(StrEnum):
    ROOM_OCCUPIED = "room_occupied"
    ROOM_VACATED = "room_vacated"
    USER_JOINED = "user_joined"
    USER_LEFT = "user_left"
    SESSION_OPENED = "session_opened"
    SESSION_CLOSED = "session_closed"
    MESSAGE_PUBLISHED = "message_published"


ROOM_EVENTS = frozenset({HookEvent.ROOM_OCCUPIED, HookEvent.ROOM_VACATED})
USER_EVENTS = frozenset({HookEvent.USER_JOINED, HookEvent.USER_LEFT})
SESSION_EVENTS = frozenset({HookEvent.SESSION_OPENED, HookEvent.SESSION_CLOSED})

CHOOSABLE = tuple(event for event in HookEvent if event is not HookEvent.MESSAGE_PUBLISHED)
"""Messages are chosen by TANNOY_HOOK_MESSAGES."""


def parse_events(entries: Iterable[str]) -> tuple[HookEvent, ...]:
    """In the order of HookEvent, each once; of `none` alone, none. Raises ValueError with what is allowed."""
    named = {entry.strip() for entry in entries if entry.strip()}
    if named == {"none"}:
        return ()
    if unknown := sorted(named - set(CHOOSABLE)):
        hint = ": TANNOY_HOOK_MESSAGES has the rooms and agents of these" if unknown == ["message_published"] else ""
        raise ValueError(f"has {unknown[0]!r:.80}{hint}; allowed are {', '.join(CHOOSABLE)}, or none")
    return tuple(event for event in CHOOSABLE if event in named)
