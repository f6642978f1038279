"""The two wire formats of the client protocol, JSON and msgpack: objects to bytes and back.

A message is encoded in both formats on the node where it is published, so that the nodes that deliver it only frame
and copy bytes. `fanout/pubsub/envelope.py` has the format in which both travel on the bus.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import msgpack
import orjson

from ..errors import BadRequest
from ..publication import Encoded, EncodedMessage, Publication
from .command_parser import BadCommand, find_id, parse_command
from .commands import Command
from .decoding import BadValue, decode_json
from .frames import NodeFrame, Object
from .msgpack_decoding import decode_msgpack

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


# ---- answers that contain several of them


class StoredMessages:
    """The value of `messages` in an answer: they are copied as they were encoded, and not decoded for it.

    No dataclass: orjson would encode that field by field.
    """

    __slots__ = ("publications",)

    def __init__(self, publications: Sequence[Publication]) -> None:
        self.publications = publications


def _encode_json(value: object) -> bytes:
    return orjson.dumps(value, default=_as_fragment)


def _as_fragment(value: object) -> orjson.Fragment:
    if not isinstance(value, StoredMessages):
        raise TypeError(f"{type(value).__name__} is no JSON type")
    return orjson.Fragment(b"[%b]" % b",".join(map(_publication_as_json, value.publications)))


def _encode_msgpack(value: object) -> bytes:
    if not isinstance(value, dict):
        return msgpack.packb(value)
    fields = cast("Object", value)
    messages = fields.get("messages")
    return _pack_answer(fields, messages) if isinstance(messages, StoredMessages) else msgpack.packb(fields)


def _pack_answer(answer: Object, messages: StoredMessages) -> bytes:
    """Pack field by field: msgpack takes no bytes that are packed already."""
    packer = msgpack.Packer()
    parts = [packer.pack_map_header(len(answer))]
    for name, value in answer.items():
        parts.append(packer.pack(name))
        if value is messages:
            parts.append(packer.pack_array_header(len(messages.publications)))
            parts += map(_publication_as_msgpack, messages.publications)
        else:
            parts.append(packer.pack(value))
    return b"".join(parts)


# ---- the table


JSON = WireFormat("json", "tannoy.v1.json", False, _encode_json, decode_json, _json_of, _publication_as_json)
MSGPACK = WireFormat(
    "msgpack",
    "tannoy.v1.msgpack",
    True,
    _encode_msgpack,
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
