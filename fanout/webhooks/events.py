"""From an entry of the backlog to an event as the target gets it. What Redis holds is input: parsed here, or refused.

The forms of entries are those of `lua/presence_told_common.lua`, `lua/publish_one.lua`, `lua/hooks_sessions.lua`,
`lua/hooks_dead.lua` and `lua/hooks_resend.lua`. An event has the same `id` however often it is sent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from ...shared.clock import rfc3339
from ...shared.errors import BadName, MalformedBytes
from ...shared.hook_events import HookEvent
from ...shared.keyspace import Keyspace
from ...shared.names import parse_room
from ..pubsub.envelopes import Envelopes
from ..unreadable import parse_channel

Event = dict[str, object]
NODE_LOST = "the node was lost"
"""Why a session has ended whose node was killed."""


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """`milliseconds`: when it was queued, by the clock of Redis."""

    partition: int
    entry_id: bytes
    milliseconds: int
    event: Event


class EventReader:
    """Reads entries of the backlog of a cluster."""

    def __init__(self, keyspace: Keyspace, envelopes: Envelopes) -> None:
        self._keyspace = keyspace
        self._envelopes = envelopes
        self._readers: Mapping[str, Callable[[int, bytes, Mapping[bytes, bytes]], Event]] = {
            HookEvent.ROOM_OCCUPIED: self._read_room,
            HookEvent.ROOM_VACATED: self._read_room,
            HookEvent.USER_JOINED: self._read_user,
            HookEvent.USER_LEFT: self._read_user,
            HookEvent.MESSAGE_PUBLISHED: self._read_message,
            HookEvent.SESSION_OPENED: _read_whole,
            HookEvent.SESSION_CLOSED: _read_whole,
            "session_lost": _read_lost,
            "again": _read_whole,
        }

    def read(self, partition: int, entry_id: bytes, words: Sequence[bytes]) -> QueuedEvent:
        """Raises MalformedBytes: no node of this cluster has written it."""
        fields = dict(zip(words[::2], words[1::2], strict=False))
        try:
            milliseconds = int(entry_id.partition(b"-")[0])
            read = self._readers[fields[b"t"].decode()]
            event = read(partition, entry_id, fields)
        except (KeyError, ValueError, BadName, OverflowError, OSError) as error:
            raise MalformedBytes(f"an entry of the backlog of hooks: {error!r:.120}") from error
        return QueuedEvent(partition, entry_id, milliseconds, event)

    def _read_room(self, partition: int, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Event:
        room = parse_room(fields[b"r"].decode())
        return {
            "id": f"{partition}-{entry_id.decode()}",
            "type": HookEvent(fields[b"t"].decode()).value,
            "timestamp": rfc3339(int(entry_id.partition(b"-")[0]) / 1000),
            "room": room,
        }

    def _read_user(self, partition: int, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Event:
        who = {"user_id": fields[b"u"].decode(), "username": fields[b"n"].decode()}
        return {**self._read_room(partition, entry_id, fields), **who, "users_count": int(fields[b"c"])}

    def _read_message(self, partition: int, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Event:
        channel = parse_channel(fields[b"c"].decode(), self._keyspace)
        epoch, _, digits = fields[b"p"].decode().partition(" ")
        publication = self._envelopes.unpack_entry(channel.address, fields[b"m"], epoch, int(digits))
        frame = _read_object(publication.encoded.json)
        return {
            **frame,
            "id": f"{partition}-{entry_id.decode()}",
            "type": HookEvent.MESSAGE_PUBLISHED.value,
            "epoch": epoch,
            "offset": int(digits),
        }


def _read_whole(partition: int, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Event:
    event = _read_object(fields[b"j"])
    if not isinstance(event.get("id"), str) or not isinstance(event.get("type"), str):
        raise ValueError("an event without id or type")
    return event


def _read_lost(partition: int, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Event:
    """The end of a session, from the event with which it has opened."""
    opened = _read_whole(partition, entry_id, fields)
    return {
        **opened,
        "id": closed_id(str(opened["id"])),
        "type": HookEvent.SESSION_CLOSED.value,
        "timestamp": rfc3339(int(entry_id.partition(b"-")[0]) / 1000),
        "code": None,
        "reason": NODE_LOST,
    }


def closed_id(opened_id: str) -> str:
    """The id of the event with which a session ends: the same, whoever tells of it."""
    return f"{opened_id.removesuffix('-opened')}-closed"


def _read_object(json: bytes) -> Event:
    """Raises ValueError."""
    value: Any = orjson.loads(json)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return cast("Event", value)
