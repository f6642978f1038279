"""The frames that a node sends to clients. Those of presence are in `presence_frames.py`, those of streams in
`stream_frames.py`, the commands of clients in `commands.py`.

A frame's `as_object()` is the object of `docs/protocol.md §4`: fields that are marked `?` there are left out when
unset, all others are always there.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..channels import Channel
from ..clock import rfc3339
from ..codes import CLOSE_RULES, CloseCode, ErrorCode
from ..names import NodeId, RoomName, SessionId, UserId
from ..publication import NO_HISTORY, Position, StartPosition
from .channel_field import Object as Object
from .channel_field import channel_field
from .presence_frames import PresenceCount, PresenceSnapshot, UserEvent
from .stream_frames import DeltaFrame, StreamEndFrame, StreamFrame

CommandId = str | int


@dataclass(frozen=True, slots=True)
class Author:
    """The author of a message. All three fields are None if a back end published it without an author."""

    user_id: UserId | None
    username: str | None
    session_id: SessionId | None

    @classmethod
    def named(cls, user_id: UserId | None, username: str | None) -> "Author":
        """The author that a back end names, if any. The username is the user id if it is missing."""
        return cls(user_id, user_id if username is None else username, None)


@dataclass(slots=True)  # frozen it would take four times as long to create
class WelcomeFrame:
    """The `welcome` frame. `ping_interval` is in seconds; `message_max_bytes` is the size of the largest frame."""

    type: ClassVar = "welcome"
    session_id: SessionId
    user_id: UserId
    username: str
    node: NodeId
    ping_interval: float
    message_max_bytes: int
    channel: Channel | None
    snapshot: PresenceSnapshot | None = None
    start: StartPosition = NO_HISTORY
    expires_at: float | None = None
    """When the token expires, in Unix seconds; None: there is no token."""

    def as_object(self) -> Object:
        fields: Object = {
            "type": self.type,
            "session_id": self.session_id,
            "user_id": self.user_id,
            "username": self.username,
            "node": self.node,
            "ping_interval": self.ping_interval,
            "message_max_bytes": self.message_max_bytes,
        }
        if self.channel is not None:
            fields |= channel_field(self.channel)
        if self.snapshot is not None:
            fields |= self.snapshot.as_fields()
        if self.expires_at is not None:
            fields["expires_at"] = rfc3339(self.expires_at)
        return fields | self.start.as_fields()


@dataclass(frozen=True, slots=True)
class OkFrame:
    type: ClassVar = "ok"
    id: CommandId
    fields: Object

    def as_object(self) -> Object:
        return {"type": self.type, "id": self.id} | self.fields


@dataclass(frozen=True, slots=True)
class ErrorFrame:
    """The `error` frame. `retry_after` is in seconds."""

    type: ClassVar = "error"
    id: CommandId | None
    code: ErrorCode
    message: str
    retry_after: float | None = None

    def as_object(self) -> Object:
        fields: Object = {"type": self.type}
        if self.id is not None:
            fields["id"] = self.id
        fields |= {"code": self.code.value, "message": self.message}
        if self.retry_after is not None:
            fields["retry_after"] = self.retry_after
        return fields


@dataclass(frozen=True, slots=True)
class MessageFrame:
    """The `message` frame: a message to a room or an agent. `timestamp` is RFC 3339."""

    type: ClassVar = "message"
    channel: Channel
    author: Author
    content: object
    timestamp: str

    def as_object(self) -> Object:
        return {
            "type": self.type,
            **channel_field(self.channel),
            "user_id": self.author.user_id,
            "username": self.author.username,
            "session_id": self.author.session_id,
            "content": self.content,
            "timestamp": self.timestamp,
        }


@dataclass(frozen=True, slots=True)
class PrivateFrame:
    """The `private` frame: a message to one user. `timestamp` is RFC 3339."""

    type: ClassVar = "private"
    author: Author
    content: object
    timestamp: str

    def as_object(self) -> Object:
        return {
            "type": self.type,
            "from_user_id": self.author.user_id,
            "from_username": self.author.username,
            "content": self.content,
            "timestamp": self.timestamp,
        }


@dataclass(frozen=True, slots=True)
class TypingFrame:
    type: ClassVar = "typing"
    room: RoomName
    user_id: UserId
    username: str

    def as_object(self) -> Object:
        return {"type": self.type, "room": self.room, "user_id": self.user_id, "username": self.username}


@dataclass(frozen=True, slots=True)
class Resync:
    """The `resync` frame: messages up to `position` may be missing. Without history, both fields of it are null."""

    type: ClassVar = "resync"
    channel: Channel
    reason: str
    position: Position | None = None

    def as_object(self) -> Object:
        return {
            "type": self.type,
            **channel_field(self.channel),
            "epoch": self.position and self.position.epoch,
            "offset": self.position and self.position.offset,
            "reason": self.reason,
        }


BusState = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class StatusFrame:
    """The `status` frame: the node is without Redis (`down`), or has it again (`up`)."""

    type: ClassVar = "status"
    bus: BusState

    def as_object(self) -> Object:
        return {"type": self.type, "bus": self.bus}


@dataclass(frozen=True, slots=True)
class PingFrame:
    type: ClassVar = "ping"

    def as_object(self) -> Object:
        return {"type": self.type}


@dataclass(frozen=True, slots=True)
class PongFrame:
    """The answer to a client's `ping`."""

    type: ClassVar = "pong"
    id: CommandId | None

    def as_object(self) -> Object:
        return {"type": self.type} if self.id is None else {"type": self.type, "id": self.id}


@dataclass(frozen=True, slots=True)
class ByeFrame:
    """The `bye` frame: the last one before the node closes the connection. `retry_after` is in seconds."""

    type: ClassVar = "bye"
    code: CloseCode
    retry_after: float | None = None

    def as_object(self) -> Object:
        rule = CLOSE_RULES[self.code]
        fields: Object = {"type": self.type, "code": int(self.code), "reason": rule.reason, "reconnect": rule.reconnect}
        if self.retry_after is not None:
            fields["retry_after"] = self.retry_after
        return fields


NodeFrame = (
    WelcomeFrame
    | OkFrame
    | ErrorFrame
    | MessageFrame
    | PrivateFrame
    | TypingFrame
    | UserEvent
    | PresenceCount
    | Resync
    | StreamFrame
    | DeltaFrame
    | StreamEndFrame
    | StatusFrame
    | PingFrame
    | PongFrame
    | ByeFrame
)
