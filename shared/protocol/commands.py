"""The commands of clients: one frozen dataclass per `type` of `docs/protocol.md §3`."""

from dataclasses import dataclass, field
from typing import ClassVar

from ..names import RoomName, StreamId, UserId
from ..publication import Position
from .frames import CommandId

PAGE_MAX = 300
"""Messages in one answer of `history`."""
PAGE_DEFAULT = 100
"""Messages in an answer of `history` if the command has no `limit`."""
OFFSET_MAX = 2**53
"""Larger integers are not exact in Lua and in JavaScript."""


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """A page of messages after the offset `since` and before the offset `before`, both exclusive.

    The first `limit` messages if `since` is given, else the last ones.
    """

    limit: int = PAGE_DEFAULT
    before: int | None = None
    since: int | None = None


@dataclass(frozen=True, slots=True)
class Join:
    type: ClassVar = "join"
    id: CommandId | None
    room: RoomName | None
    recover: Position | None = None
    observe: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    type: ClassVar = "leave"
    id: CommandId | None
    room: RoomName | None


@dataclass(frozen=True, slots=True)
class Message:
    type: ClassVar = "message"
    id: CommandId | None
    room: RoomName | None
    content: object
    key: str | None


@dataclass(frozen=True, slots=True)
class Private:
    type: ClassVar = "private"
    id: CommandId | None
    to: UserId
    content: object


@dataclass(frozen=True, slots=True)
class Typing:
    type: ClassVar = "typing"
    id: CommandId | None
    room: RoomName | None


@dataclass(frozen=True, slots=True)
class GetPresence:
    type: ClassVar = "presence"
    id: CommandId
    room: RoomName | None


@dataclass(frozen=True, slots=True)
class GetHistory:
    type: ClassVar = "history"
    id: CommandId
    room: RoomName | None
    query: HistoryQuery


@dataclass(frozen=True, slots=True)
class StopStream:
    """Ask the producer of a stream to stop."""

    type: ClassVar = "stop"
    id: CommandId | None
    room: RoomName | None
    stream_id: StreamId


@dataclass(frozen=True, slots=True)
class Ping:
    type: ClassVar = "ping"
    id: CommandId | None


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to the node's `ping`; it is not answered."""

    type: ClassVar = "pong"
    id: CommandId | None


@dataclass(frozen=True, slots=True)
class Authenticate:
    """The first frame of a client whose handshake had no token."""

    type: ClassVar = "auth"
    id: CommandId | None
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refresh:
    """A token that takes the place of the one before."""

    type: ClassVar = "refresh"
    id: CommandId | None
    token: str = field(repr=False)


Command = (
    Join
    | Leave
    | Message
    | Private
    | Typing
    | GetPresence
    | GetHistory
    | StopStream
    | Ping
    | Pong
    | Authenticate
    | Refresh
)
