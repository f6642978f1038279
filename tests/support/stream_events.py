"""Events of streams as the bus brings them, and the text that a client has put together of what it was sent."""

from collections.abc import Iterable
from typing import Any

from tannoy.shared.channels import Channel
from tannoy.shared.names import StreamId, UserId
from tannoy.shared.protocol.codec import encode_frame
from tannoy.shared.protocol.frames import Author, MessageFrame
from tannoy.shared.publication import EncodedMessage, Position, Publication
from tannoy.shared.streams import (
    StreamEnd,
    StreamEvent,
    StreamHeader,
    StreamPiece,
    StreamPublication,
    StreamRead,
    StreamSnapshot,
    StreamStatus,
)

from tests.support.hub_members import LOBBY

Delivery = tuple[bytes, Publication]
AT = "2026-01-01T00:00:00.000Z"
EPOCH = "e"


def header(stream_id: str = "s") -> StreamHeader:
    return StreamHeader(StreamId(stream_id), UserId("bot"), "bot", {"model": "m"}, AT)


def delivery_of(event: StreamEvent, channel: Channel = LOBBY) -> Delivery:
    return channel.address, StreamPublication(encoded=EncodedMessage(b"", b""), event=event)


def begun(stream_id: str = "s") -> Delivery:
    return delivery_of(StreamSnapshot(header(stream_id)))


def piece(start: int, text: str, stream_id: str = "s") -> Delivery:
    return delivery_of(StreamPiece(StreamId(stream_id), start, text.encode()))


def ended(text: str, offset: int = 1, *, status: str = "done", stream_id: str = "s", epoch: str = EPOCH) -> Delivery:
    """The message of a stream that has ended; an offset of 0: no history is kept."""
    content = {"stream_id": stream_id, "text": text, "status": status, "meta": {"model": "m"}}
    encoded = encode_frame(MessageFrame(LOBBY, Author(UserId("bot"), "bot", None), content, AT))
    end = StreamEnd(StreamId(stream_id), len(text.encode()), StreamStatus(status))
    position = {"epoch": epoch, "offset": offset} if offset else {}
    return LOBBY.address, StreamPublication(encoded=encoded, event=end, **position)  # type: ignore[arg-type]


def read(
    text: str | None, *, status: str | None = None, offset: int | None = None, stream_id: str = "s", epoch: str = EPOCH
) -> Delivery:
    """How the stream stands in Redis; without a text there is none."""
    snapshot = None if text is None else StreamSnapshot(header(stream_id), text.encode())
    position = None if offset is None else Position(epoch, offset)
    how = None if status is None else StreamStatus(status)
    return delivery_of(StreamRead(StreamId(stream_id), snapshot, how, position))


def shown(frames: Iterable[dict[str, Any]]) -> list[str]:
    """What a client is sent, shortly: `stream TEXT`, `delta FROM TEXT`, `end STATUS TO`, `message TEXT`."""
    return [_show(frame) for frame in frames]


def _show(frame: dict[str, Any]) -> str:
    match frame["type"]:
        case "stream":
            return f"stream {frame.get('text', '')}".rstrip()
        case "delta":
            assert frame["to"] == frame["from"] + len(frame["text"].encode())
            return f"delta {frame['from']} {frame['text']}"
        case "stream_end":
            return f"end {frame['status']} {frame['to']}"
        case "message":
            content = frame["content"]
            return f"message {content['text'] if isinstance(content, dict) else content}"
        case other:
            return str(other)
