"""The events of streams on the channels of rooms and agents, as scripts publish them.

A stream has begun (`lua/stream_open.lua`), and a piece of its text (`lua/stream_write.lua`):

    \\7sID HEADER
    \\7dID START PIECE

HEADER is a msgpack array of user_id, username, meta and timestamp; PIECE is text. Where nodes have a secret, each has a
seal of 16 bytes in front. Redis assigns START, so it is not sealed. That a stream has ended is told by an envelope of
version 8 (`envelope.py`): it holds the message of the history, and in place of the session that is excluded it has
"ID LENGTH STATUS".
"""

from collections.abc import Callable
from typing import Any

import msgpack

from ...shared.errors import BadName, MalformedBytes
from ...shared.names import StreamId, UserId, parse_stream
from ...shared.publication import Encoded, EncodedMessage
from ...shared.streams import StreamEnd, StreamHeader, StreamPiece, StreamPublication, StreamSnapshot, StreamStatus

STREAM = b"\x07"
BEGUN, PIECE = b"s", b"d"
OpenBody = Callable[[bytes, bytes, bytes], bytes]
"""Of the kind of an event, the stream's id and what stands behind: without its seal. Raises MalformedBytes."""
_LENGTH_END = 2**53
"""Beyond every position: Lua and JavaScript do not count that far exactly."""


def pack_header(header: StreamHeader) -> bytes:
    return msgpack.packb([header.user_id, header.username, header.meta, header.timestamp])


def unpack_header(stream_id: StreamId, packed: bytes) -> StreamHeader:
    """Raises MalformedBytes."""
    try:
        parts: Any = msgpack.unpackb(packed, strict_map_key=False)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise MalformedBytes(f"a stream's beginning of {len(packed)} bytes: {error}") from error
    match parts:
        case [user_id, username, meta, str(timestamp)] if _is_text(user_id) and _is_text(username):
            return StreamHeader(stream_id, None if user_id is None else UserId(user_id), username, meta, timestamp)
        case _:
            raise MalformedBytes(f"a stream's beginning of unknown form: {parts!r:.80}")


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def unpack_event(data: bytes, open_body: OpenBody) -> StreamPublication:
    """What the bus has brought of a stream that is open. Raises MalformedBytes."""
    kind = data[1:2]
    name, _, rest = data[2:].partition(b" ")
    stream_id = _read_id(name)
    if kind == BEGUN:
        body = open_body(kind, name, rest)
        snapshot = StreamSnapshot(unpack_header(stream_id, body))
        return StreamPublication(encoded=EncodedMessage(body, b""), event=snapshot)
    start, _, rest = rest.partition(b" ")
    if kind != PIECE or not start.isdigit() or len(start) > 16:
        raise MalformedBytes(f"an event of a stream of unknown form: {data[:40]!r}")
    text = open_body(kind, name, rest)
    check_text(text)
    return StreamPublication(encoded=EncodedMessage(text, b""), event=StreamPiece(stream_id, int(start), text))


def check_text(text: bytes) -> None:
    """Raises MalformedBytes, unless it is UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise MalformedBytes(f"text of a stream that is not UTF-8: {error}") from error


def _read_id(name: bytes) -> StreamId:
    try:
        return parse_stream(name.decode())
    except (BadName, UnicodeDecodeError) as error:
        raise MalformedBytes(f"an event of a stream of unknown name: {name[:40]!r}") from error


def mark_of_end(end: StreamEnd) -> str:
    """What stands in the envelope of a stream's end, in place of the session that is excluded."""
    return f"{end.stream_id} {end.length} {end.status}"


def unpack_end(mark: str, encoded: Encoded, epoch: str = "", offset: int = 0) -> StreamPublication:
    """The message of a stream that has ended. Raises MalformedBytes."""
    name, _, rest = mark.partition(" ")
    digits, _, status = rest.partition(" ")
    if not (digits.isdigit() and len(digits) <= 16 and int(digits) < _LENGTH_END and status in list(StreamStatus)):
        raise MalformedBytes(f"the end of a stream of unknown form: {mark!r:.80}")
    end = StreamEnd(_read_id(name.encode()), int(digits), StreamStatus(status))
    return StreamPublication(encoded=encoded, epoch=epoch, offset=offset, event=end)
