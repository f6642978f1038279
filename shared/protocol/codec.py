"""The two wire formats of the client protocol, JSON and msgpack: objects to bytes and back.

A message is encoded in both formats on the node where it is published, so that the nodes that deliver it only frame
and copy bytes. `fanout/pubsub/envelope.py` has the format in which both travel on the bus.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import msgpack
import orjson

from ..errors import BadRequest
from ..publication import Encoded, EncodedMessage, Publication
from .commands import BadCommand, Command, parse_command
from .frames import NodeFrame, Object

MAX_DEPTH = 64
"""Levels of nesting that a frame may have. Deeper nesting could exhaust the stack of a client's recursive parser."""


# ---- wire formats


@dataclass(frozen=True, slots=True, eq=False)
class WireFormat:
    """How objects are encoded on one connection. `binary`: in binary frames, else in text frames."""

    name: str
    subprotocol: str
    binary: bool
    encode: Callable[[object], bytes]
    decode: Callable[[bytes], object]
    select_encoded: Callable[[Encoded], bytes]
    """The bytes in this wire format of a message that was encoded in all of them."""
    encode_publication: Callable[[Publication], bytes]
    """The payload of a publication for clients of this wire format: the encoded frame with its offset added."""


def _decode_json(data: bytes) -> object:
    try:
        value: object = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"this is not JSON: {error}") from error
    # The number of opening brackets is an upper bound of the depth: only a frame that has many is traversed.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_tree(value)
    return value


def _decode_msgpack(data: bytes) -> object:
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=False)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise BadRequest(f"this is not msgpack: {error or type(error).__name__}") from error
    _check_tree(value)
    return value


def _check_tree(root: object) -> None:
    """Refuse values that JSON can't represent, so that both formats carry the same objects, and too deep nesting."""
    level: list[object] = [root]
    for depth in itertools.count(1):
        below: list[object] = []
        for value in level:
            if depth > MAX_DEPTH and isinstance(value, (dict, list)):
                raise BadRequest(f"this nests deeper than {MAX_DEPTH} levels")
            if isinstance(value, dict):
                for key, item in cast("dict[object, object]", value).items():
                    if not isinstance(key, str):
                        raise BadRequest(f"keys of an object have to be strings, not {type(key).__name__}")
                    below.append(item)
            elif isinstance(value, list):
                below.extend(cast("list[object]", value))
            elif isinstance(value, float) and not math.isfinite(value):
                raise BadRequest("numbers have to be finite: NaN and infinity are not allowed")
            elif value is not None and not isinstance(value, (str, int, float, bool)):
                raise BadRequest(f"only JSON types are allowed, not {type(value).__name__}")
        if not below:
            return
        level = below


# ---- what was encoded by the node it entered at, and its offset


def _json_of(encoded: Encoded) -> bytes:
    return encoded.json


def _msgpack_of(encoded: Encoded) -> bytes:
    return encoded.msgpack


def _publication_as_json(publication: Publication) -> bytes:
    encoded, offset = publication.encoded, publication.offset
    return encoded.json if not offset or publication.resets else b'%b,"offset":%d}' % (encoded.json[:-1], offset)


_OFFSET_KEY = msgpack.packb("offset")


def _publication_as_msgpack(publication: Publication) -> bytes:
    offset, packed = publication.offset, publication.encoded.msgpack
    if not offset or publication.resets:
        return packed
    # a map of less than 15 entries: its first byte holds their number
    return b"%c%b%b%b" % (packed[0] + 1, packed[1:], _OFFSET_KEY, msgpack.packb(offset))


# ---- the table


JSON = WireFormat("json", "tannoy.v1.json", False, orjson.dumps, _decode_json, _json_of, _publication_as_json)
MSGPACK = WireFormat(
    "msgpack",
    "tannoy.v1.msgpack",
    True,
    cast("Callable[[object], bytes]", msgpack.packb),
    _decode_msgpack,
    _msgpack_of,
    _publication_as_msgpack,
)
WIRE_FORMATS: dict[str, WireFormat] = {wire.subprotocol: wire for wire in (JSON, MSGPACK)}


def decode_command(data: bytes, *, binary: bool, wire: WireFormat) -> Command:
    """The command in one frame. Raises BadCommand."""
    try:
        if binary is not wire.binary:
            got, wanted = ("binary", "text") if binary else ("text", "binary")
            raise BadRequest(f"a {got} frame on a connection with {wire.subprotocol}: {wanted} frames are allowed")
        value = wire.decode(data)
    except BadRequest as refusal:
        raise BadCommand(None, refusal) from refusal
    return parse_command(value)


def encode_frame(frame: NodeFrame) -> EncodedMessage:
    """Encode a frame in both wire formats, once for all receivers on all nodes."""
    whole = frame.as_object()
    return EncodedMessage(orjson.dumps(whole), msgpack.packb(whole))


def decode_publication(publication: Publication) -> Object:
    """The frame of a publication as an object, for answers that contain several messages."""
    return cast("Object", orjson.loads(JSON.encode_publication(publication)))


class _LazilyEncoded:
    """Encodes a frame in a wire format when it is first read; there may be no client of the other format."""

    __slots__ = ("_json", "_msgpack", "_object")

    def __init__(self, frame: NodeFrame) -> None:
        self._object = frame.as_object()
        self._json: bytes | None = None
        self._msgpack: bytes | None = None

    @property
    def json(self) -> bytes:
        if self._json is None:
            self._json = orjson.dumps(self._object)
        return self._json

    @property
    def msgpack(self) -> bytes:
        if self._msgpack is None:
            self._msgpack = msgpack.packb(self._object)
        return self._msgpack


def encode_lazily(frame: NodeFrame) -> Encoded:
    """Encode a frame for receivers on this node: at most once per wire format, and only for formats in use."""
    return _LazilyEncoded(frame)
