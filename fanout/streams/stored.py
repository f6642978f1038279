"""Streams as Redis keeps them: what its scripts reply, as types."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from ...shared.channels import Channel
from ...shared.errors import MalformedBytes
from ...shared.names import StreamId
from ...shared.publication import Position
from ...shared.streams import StreamHeader, StreamSnapshot, StreamStatus
from ..heads import read_position
from ..pubsub.stream_events import unpack_header

OpenHeader = Callable[[bytes], bytes]
"""Takes the seal from a header. Raises MalformedBytes."""


@dataclass(frozen=True, slots=True)
class StoredStream:
    """How a stream stands in Redis. `length`: bytes that were confirmed; of them `text` has what was asked for."""

    header: StreamHeader
    length: int
    status: StreamStatus | None
    """How it has ended; None: it is open."""
    is_stopped: bool
    """Its producer has been asked to stop."""
    listeners: int
    text: bytes
    position: Position | None
    """Of its message in the history, once it has ended; None without history."""
    has_lost_text: bool = False
    """Redis does not have all of the text that it has confirmed."""
    is_doubtful: bool = False
    """Redis may have lost pieces, until the producer has shown that it has not."""

    @property
    def snapshot(self) -> StreamSnapshot:
        return StreamSnapshot(self.header, self.text)


def read_stored(stream_id: StreamId, reply: Any, open_header: OpenHeader) -> StoredStream | None:
    """What STREAM_READ has replied; None: there is no such stream. Raises MalformedBytes and ValueError."""
    if reply == []:
        return None
    header, length, status, stop, listeners, text, position, doubt = reply
    return StoredStream(
        unpack_header(stream_id, open_header(bytes(header))),
        int(length),
        StreamStatus(status.decode()) if status else None,
        stop == 1,
        int(listeners),
        bytes(text),
        read_end(position),
        has_lost_text=doubt == 1,
        is_doubtful=doubt == 2,
    )


def read_end(reply: Any) -> Position | None:
    """The position of a stream's message in the history. Raises ValueError."""
    return read_position(reply) if reply else None


def member_of(channel: Channel, stream_id: StreamId) -> str:
    """A stream as a member of the set of those that are due."""
    return f"{channel.kind}:{channel.name}/{stream_id}"


def check_reply(reply: Any) -> list[Any]:
    """The parts of a reply that says what stands against a call. Raises MalformedBytes."""
    if isinstance(reply, list) and reply:
        return [*cast("list[object]", reply)]
    raise MalformedBytes(f"a reply of unknown form about a stream: {reply!r:.80}")
