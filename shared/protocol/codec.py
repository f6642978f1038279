"""The two wire formats of the client protocol, JSON and msgpack: objects to bytes and back.

A message is encoded in both formats on the node where it is published, so that the nodes that deliver it only frame
and copy bytes. `fanout/pubsub/envelope.py` has the format in which both travel on the bus.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import msgpack
import orjson

from ..errors import BadRequest
from ..publication import Encoded, EncodedMessage, Publication
from .commands import BadCommand, Command, find_id, parse_command
from .decoding import BadValue, decode_json, decode_msgpack
from .frames import NodeFrame, Object

# ---- wire formats


@dataclass(frozen=True, slots=True, eq=False)
class WireFormat:
    """How objects are encoded on one connection. `binary`: in binary frames, else in text frames."""

    name: str
    subprotocol: str
    binary: bool
    encode: Callable[[object], bytes]
    decode: Callable[[bytes], object]
    """Raises BadRequest, and BadValue if the bytes can be read, but hold what JSON can't represent."""
    select_encoded: Callable[[Encoded], bytes]
    """The bytes in this wire format of a message that was encoded in all of them."""
    encode_publication: Callable[[Publication], bytes]
    """The payload of a publication for clients of this wire format: the encoded frame with its offset added."""


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


JSON = WireFormat("json", "tannoy.v1.json", False, orjson.dumps, decode_json, _json_of, _publication_as_json)
MSGPACK = WireFormat(
    "msgpack",
    "tannoy.v1.msgpack",
    True,
    cast("Callable[[object], bytes]", msgpack.packb),
    decode_msgpack,
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
    except BadValue as refusal:
        raise BadCommand(find_id(refusal.value), refusal) from refusal
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
