"""The frames of streams: `docs/protocol.md §12`. Positions are bytes of the text in UTF-8."""

from dataclasses import dataclass
from typing import ClassVar

from ..channels import Channel
from ..names import StreamId, UserId
from ..streams import StreamHeader, StreamStatus
from .channel_field import Object, channel_field


@dataclass(frozen=True, slots=True)
class StreamFrame:
    """The `stream` frame: it has begun, or how it stands, with its whole text."""

    type: ClassVar = "stream"
    channel: Channel
    stream_id: StreamId
    user_id: UserId | None
    username: str | None
    timestamp: str
    to: int
    from_: int = 0
    """Sent as `from`: always 0."""
    meta: object | None = None
    text: str | None = None

    @classmethod
    def of(cls, channel: Channel, header: StreamHeader, text: bytes) -> "StreamFrame":
        who = header.stream_id, header.user_id, header.username, header.timestamp
        return cls(channel, *who, len(text), meta=header.meta, text=text.decode() if text else None)

    def as_object(self) -> Object:
        fields: Object = {
            "type": self.type,
            **channel_field(self.channel),
            "stream_id": self.stream_id,
            "user_id": self.user_id,
            "username": self.username,
            "timestamp": self.timestamp,
            "from": self.from_,
            "to": self.to,
        }
        if self.meta is not None:
            fields["meta"] = self.meta
        if self.text is not None:
            fields["text"] = self.text
        return fields


@dataclass(frozen=True, slots=True)
class DeltaFrame:
    """The `delta` frame: a stream goes on."""

    type: ClassVar = "delta"
    channel: Channel
    stream_id: StreamId
    from_: int
    to: int
    text: str

    def as_object(self) -> Object:
        return {
            "type": self.type,
            **channel_field(self.channel),
            "stream_id": self.stream_id,
            "from": self.from_,
            "to": self.to,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class StreamEndFrame:
    """The `stream_end` frame. `offset`: of its message in the history; None without history."""

    type: ClassVar = "stream_end"
    channel: Channel
    stream_id: StreamId
    to: int
    status: StreamStatus
    offset: int | None = None

    def as_object(self) -> Object:
        fields: Object = {
            "type": self.type,
            **channel_field(self.channel),
            "stream_id": self.stream_id,
            "to": self.to,
            "status": self.status.value,
        }
        if self.offset is not None:
            fields["offset"] = self.offset
        return fields
