"""The bytes that travel on the channels of rooms and agents.

Envelope of a publication (all integers big-endian):

    1 byte   version, 1
    1 byte   length of `exclude`
    4 bytes  length of the JSON
    …        exclude · JSON · msgpack

A message that history keeps is numbered: Redis (`lua/publish.lua`) puts `\\3EPOCH OFFSET ` in front of the envelope,
and the node adds the offset to the encoded message when it delivers it. `envelopes.py` seals envelopes.

Changes of a room's presence are published by Redis itself (`lua/presence_common.lua`): a byte 2 and a msgpack array

    room, "count", users_count, version
    room, "joined" or "left", users_count, version, user_id, username, users or false

`users` is flat, as in every reply of the presence scripts: user_id, "SESSIONS|CONNECTED_AT|USERNAME", user_id, …

What begins with a byte 7 is of a stream (`stream_events.py`), and so is an envelope of version 8.
"""

import re
import struct
from functools import lru_cache
from typing import Any, Literal, cast

import msgpack

from ...shared.errors import MalformedBytes
from ...shared.names import RoomName, UserId
from ...shared.protocol.codec import encode_lazily
from ...shared.protocol.commands import OFFSET_MAX
from ...shared.protocol.presence_frames import PresenceCount, PresentUser, UserEvent
from ...shared.publication import EncodedMessage, Publication
from ...shared.streams import StreamEnd
from .stream_events import STREAM, mark_of_end, unpack_end, unpack_event

_VERSION = 1
_END_OF_STREAM = 8
_VERSIONS = (_VERSION, _END_OF_STREAM)
_PRESENCE = b"\x02"
NUMBERED = b"\x03"
_FIXMAP, _FIXMAP_FULL = 0x80, 0x8F
_CHANGES: dict[bytes, Literal["user_joined", "user_left"]] = {b"joined": "user_joined", b"left": "user_left"}
_read_entry = re.compile(rb"(\d{1,9})\|(\d{1,14})\|(.*)", re.DOTALL).fullmatch
_ENVELOPE = struct.Struct(">BBI")
_COUNT_END = 2**53
"""Beyond every count and version: clients in JavaScript and the scripts themselves do not count that far exactly."""


def pack_publication(publication: Publication) -> bytes:
    exclude, json = publication.exclude.encode(), publication.encoded.json
    return b"".join((_ENVELOPE.pack(_VERSION, len(exclude), len(json)), exclude, json, publication.encoded.msgpack))


def pack_end(end: StreamEnd, message: EncodedMessage) -> bytes:
    """The envelope of a stream that has ended: its message, marked with what was the stream."""
    mark, json = mark_of_end(end).encode(), message.json
    return b"".join((_ENVELOPE.pack(_END_OF_STREAM, len(mark), len(json)), mark, json, message.msgpack))


def unpack_publication(data: bytes) -> Publication:
    """A publication that is not numbered, a change of presence, or an event of a stream. Raises MalformedBytes."""
    if data[:1] == _PRESENCE:
        return unpack_change(data[1:])
    if data[:1] == STREAM:
        return unpack_event(data, lambda kind, stream_id, body: body)
    return unpack_unkept(data)


def unpack_unkept(envelope: bytes) -> Publication:
    """The publication in an envelope that is not numbered. Raises MalformedBytes."""
    exclude, encoded = _unpack_envelope(envelope)
    if envelope[0] == _END_OF_STREAM:
        return unpack_end(exclude, encoded)
    return Publication(encoded, exclude)


def _unpack_envelope(data: bytes) -> tuple[str, EncodedMessage]:
    """(`exclude`, encoded message). Raises MalformedBytes."""
    try:
        version, exclude_length, json_length = _ENVELOPE.unpack_from(data)
        start = _ENVELOPE.size + exclude_length
        exclude = data[_ENVELOPE.size : start].decode() if exclude_length else ""
    except (struct.error, UnicodeDecodeError) as error:
        raise MalformedBytes(f"an envelope of {len(data)} bytes: {error}") from error
    end = start + json_length
    if version not in _VERSIONS or len(data) < end:
        raise MalformedBytes(f"an envelope of version {version} and {len(data)} bytes")
    return exclude, EncodedMessage(data[start:end], data[end:])


def unpack_delivery(data: bytes) -> Publication:
    """The publication in a message of pub/sub, numbered or not. Raises MalformedBytes."""
    if data[:1] != NUMBERED:
        return unpack_publication(data)
    envelope, epoch, offset = split_numbered(data)
    return unpack_numbered(envelope, epoch, offset)


def split_numbered(data: bytes) -> tuple[bytes, str, int]:
    """(envelope, epoch, offset) of a numbered envelope. Raises MalformedBytes."""
    try:
        epoch, offset, envelope = data.split(b" ", 2)
        return envelope, epoch[1:].decode(), int(offset)
    except ValueError as error:
        raise MalformedBytes(f"a numbered envelope of {len(data)} bytes: {error}") from error


def unpack_numbered(envelope: bytes, epoch: str, offset: int) -> Publication:
    """The publication in an envelope that history keeps, with its position. Raises MalformedBytes."""
    exclude, encoded = _unpack_envelope(envelope)
    packed = encoded.msgpack
    if not 0 < offset <= OFFSET_MAX:
        raise MalformedBytes(f"an offset that Redis assigns to no message: {offset!s:.40}")
    if encoded.json[-1:] != b"}" or not packed or not _FIXMAP <= packed[0] < _FIXMAP_FULL:
        raise MalformedBytes("a numbered envelope that holds no frame")
    if envelope[0] == _END_OF_STREAM:
        return unpack_end(exclude, encoded, epoch, offset)
    return Publication(encoded, exclude, 0, epoch, offset)


def unpack_change(data: bytes) -> Publication:
    """The publication of a change of presence, from its msgpack array. Raises MalformedBytes."""
    try:
        change = _read_change(msgpack.unpackb(data, raw=True))
        return Publication(encode_lazily(change), version=change.version)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise MalformedBytes(f"a change of presence of {len(data)} bytes: {error}") from error


def _read_change(parts: Any) -> UserEvent | PresenceCount:
    match parts:
        case [bytes(room), b"count", int(users_count), int(version)] if _can_be(users_count, version):
            return PresenceCount(RoomName(room.decode()), users_count, version)
        case [bytes(room), bytes(kind), int(users_count), int(version), bytes(user_id), bytes(username), flat] if (
            _can_be(users_count, version) and kind in _CHANGES
        ):
            users = None if flat is False else read_users(flat)
            who = UserId(user_id.decode()), username.decode()
            return UserEvent(_CHANGES[kind], RoomName(room.decode()), *who, users_count, version, users)
        case _:
            raise ValueError(f"of unknown form: {parts!r:.80}")


def _can_be(users_count: int, version: int) -> bool:
    return 0 <= users_count < _COUNT_END and 0 < version < _COUNT_END


def read_users(flat: object) -> tuple[PresentUser, ...]:
    """The users in a reply of the presence scripts, longest connected first. Raises ValueError."""
    if not isinstance(flat, list):
        raise ValueError(f"users of unknown form: {flat!r:.80}")
    listed = cast("list[object]", flat)
    users: list[PresentUser] = []
    for user_id, entry in zip(listed[::2], listed[1::2], strict=True):
        if not (isinstance(user_id, bytes) and isinstance(entry, bytes)):
            raise ValueError(f"a user of unknown form: {user_id!r:.40} {entry!r:.40}")
        users.append(_read_user(user_id, entry))
    users.sort(key=lambda user: (user.connected_at, user.user_id))
    return tuple(users)


def is_user(user_id: bytes, entry: bytes) -> bool:
    """Whether `read_users` can read this user."""
    try:
        _read_user(user_id, entry)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4096)
def _read_user(user_id: bytes, entry: bytes) -> PresentUser:
    """Cached, since every event of a small room lists the same users again. Raises ValueError."""
    parts = _read_entry(entry)
    if parts is None:
        raise ValueError(f"a user of unknown form: {user_id!r:.40} {entry!r:.40}")
    sessions, connected_at, username = parts.groups()
    return PresentUser(UserId(user_id.decode()), username.decode(), int(connected_at), int(sessions))
