"""Streams: texts that grow in a channel, as values. Positions are bytes of the text in UTF-8.

`docs/protocol.md §12` says what clients are told; `docs/architecture.md` how pieces and snapshots are merged.
"""

from dataclasses import dataclass
from enum import StrEnum

from .names import StreamId, UserId
from .publication import Encoded, Position, Publication

META_MAX_BYTES = 4096
"""Bytes of a stream's `meta`, as JSON: every snapshot of the stream repeats it."""


class StreamStatus(StrEnum):
    """How a stream has ended."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"


PRODUCER_STATUSES = (StreamStatus.DONE, StreamStatus.FAILED, StreamStatus.STOPPED)
"""Those with which a producer may end its stream: that it is lost, nodes find out."""


@dataclass(frozen=True, slots=True)
class StreamHeader:
    """What is known of a stream from its beginning. `timestamp` is RFC 3339; `meta` is any JSON value, or None."""

    stream_id: StreamId
    user_id: UserId | None
    username: str | None
    meta: object
    timestamp: str


@dataclass(frozen=True, slots=True)
class StreamSnapshot:
    """How a stream stands: it has just begun, with an empty text, or its whole text."""

    header: StreamHeader
    text: bytes = b""

    @property
    def stream_id(self) -> StreamId:
        return self.header.stream_id


@dataclass(frozen=True, slots=True)
class StreamPiece:
    """A piece of a stream's text, which begins at `start`."""

    stream_id: StreamId
    start: int
    text: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """A stream has ended with a text of `length` bytes. Its publication is the message that the history keeps."""

    stream_id: StreamId
    length: int
    status: StreamStatus


@dataclass(frozen=True, slots=True)
class StreamRead:
    """How a stream stands in Redis, which was asked. Without `snapshot` there is none of this name any more.

    `status`: it has ended; `position`: of its message in the history, None without history.
    """

    stream_id: StreamId
    snapshot: StreamSnapshot | None = None
    status: StreamStatus | None = None
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a producer is told of a piece: where the text ends, who listens, and whether it has been asked to stop."""

    to: int
    listeners: int
    stop: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """How a stream has ended. `position` is that of its message in the history; None without history."""

    to: int
    status: StreamStatus
    position: Position | None


StreamEvent = StreamSnapshot | StreamPiece | StreamEnd | StreamRead

STREAM_MARK = "/"
"""Stands in `exclude` of a StreamPublication: no session has this name, and the relay looks at batches with marks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPublication(Publication):
    """An event of a stream on its way from the bus to the sessions of a channel.

    That of a StreamEnd is the message of the history, encoded and with its position. Those of other events are encoded
    where they are delivered.
    """

    exclude: str = STREAM_MARK
    encoded: Encoded
    event: StreamEvent
