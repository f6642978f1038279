"""The two wire formats of the client protocol carry the same objects."""

import math

import msgpack
import orjson
import pytest
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import BadRequest
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.protocol.codec import (
    JSON,
    MAX_DEPTH,
    MSGPACK,
    WIRE_FORMATS,
    WireFormat,
    decode_command,
    encode_frame,
)
from tannoy.shared.protocol.commands import BadCommand, Message, Ping
from tannoy.shared.protocol.frames import Author, MessageFrame

both_formats = pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)

VALUES: list[object] = [
    None, True, False, 0, -1, 2**53, 2**63, 2**64 - 1, -(2**63), 1.5, -0.0, 1e308, 5e-324, "", "héllo 🎉 \u2028 \x00",
    [], {}, {"": ""}, [1, [2, {"three": [None]}]], {"a": {"b": {"c": []}}},
]  # fmt: skip


def nested(levels: int, innermost: object) -> object:
    """`innermost` inside that many arrays."""
    value = innermost
    for _ in range(levels):
        value = [value]
    return value


def as_bytes(wire: WireFormat, value: object) -> bytes:
    """What a client would send, by a library that checks nothing."""
    return orjson.dumps(value) if wire is JSON else msgpack.packb(value)


# ---- the wire


@both_formats
@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_a_value_is_the_same_after_encoding_and_decoding(wire: WireFormat, value: object) -> None:
    assert wire.decode(wire.encode(value)) == value


def test_the_subprotocols_are_the_documented_ones() -> None:
    assert WIRE_FORMATS == {"tannoy.v1.json": JSON, "tannoy.v1.msgpack": MSGPACK}


def test_json_uses_text_frames_and_msgpack_binary_ones() -> None:
    assert (JSON.binary, MSGPACK.binary) == (False, True)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"{}{}", b"NaN", b"[Infinity]", b"-Infinity", b"1e999", b"'a'", b"\xff",
     b'"\xc3"', b'"\\ud800"', b"nul"],
    ids=repr,
)  # fmt: skip
def test_malformed_json_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest):
        JSON.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",  # never used
        b"\x91",  # an array that ends too early
        b"\x01\x02",  # two values
        b"\xa2\xff\xfe",  # a string that is not UTF-8
        b"\xdd\xff\xff\xff\xff",  # an array of four thousand million
        b"\x91" * 100_000 + b"\x01",
        b"\x81\x90\x01",  # an array as a key
        b"\x81\x80\x01",  # an object as a key
        b"\xd7\xff" + b"\xff" * 8,  # a broken timestamp
    ],
    ids=lambda data: f"{data[:12]!r}",
)
def test_malformed_msgpack_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest):
        MSGPACK.decode(data)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_in_msgpack_are_refused(number: float) -> None:
    with pytest.raises(BadRequest, match="finite"):
        MSGPACK.decode(msgpack.packb({"a": [number]}))


@pytest.mark.parametrize("value", [b"bytes", {"a": [b""]}], ids=repr)
def test_bytes_in_msgpack_are_refused(value: object) -> None:
    with pytest.raises(BadRequest, match="JSON types"):
        MSGPACK.decode(msgpack.packb(value))


@pytest.mark.parametrize("data", [b"\xd4\x05\x01", b"\xd6\xff\x00\x00\x00\x00", b"\x91\xd4\x05\x01"], ids=repr)
def test_an_extension_type_in_msgpack_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest, match="JSON types"):
        MSGPACK.decode(data)


@pytest.mark.parametrize("key", [1, None, True, 1.5, b"k"])
def test_a_key_in_msgpack_that_is_not_a_string_is_refused(key: object) -> None:
    with pytest.raises(BadRequest, match="keys"):
        MSGPACK.decode(msgpack.packb([{key: 1}]))


@both_formats
@pytest.mark.parametrize("innermost", [1, [], {}, {"a": 1}], ids=repr)
def test_nesting_of_the_allowed_depth_is_accepted(wire: WireFormat, innermost: object) -> None:
    levels = MAX_DEPTH - isinstance(innermost, list | dict)
    assert wire.decode(as_bytes(wire, nested(levels, innermost))) == nested(levels, innermost)


@both_formats
@pytest.mark.parametrize("innermost", [1, [], {}, {"a": 1}], ids=repr)
def test_nesting_of_one_level_more_is_refused(wire: WireFormat, innermost: object) -> None:
    levels = MAX_DEPTH + 1 - isinstance(innermost, list | dict)
    with pytest.raises(BadRequest):
        wire.decode(as_bytes(wire, nested(levels, innermost)))


def test_a_flat_frame_with_many_brackets_is_accepted() -> None:
    value: list[list[object]] = [[]] * 1000
    assert JSON.decode(orjson.dumps(value)) == value


# ---- commands


@both_formats
def test_a_command_is_decoded_from_a_frame_of_its_wire_format(wire: WireFormat) -> None:
    data = wire.encode({"type": "message", "content": [1, None]})
    assert decode_command(data, binary=wire.binary, wire=wire) == Message(None, None, [1, None], None)


@both_formats
def test_a_frame_of_the_other_opcode_is_refused(wire: WireFormat) -> None:
    data = wire.encode({"type": "ping"})
    with pytest.raises(BadCommand, match=f"a connection with {wire.subprotocol}") as caught:
        decode_command(data, binary=not wire.binary, wire=wire)
    assert caught.value.refusal.code is ErrorCode.BAD_REQUEST


@both_formats
def test_the_refusal_of_an_undecodable_frame_has_no_id(wire: WireFormat) -> None:
    with pytest.raises(BadCommand) as caught:
        decode_command(b"\xc1", binary=wire.binary, wire=wire)
    assert caught.value.id is None


@pytest.mark.parametrize("id", [2**64 - 1, -(2**63)])
@both_formats
def test_the_refusal_of_a_bad_command_has_its_id(wire: WireFormat, id: int) -> None:
    command = decode_command(wire.encode({"type": "ping", "id": id}), binary=wire.binary, wire=wire)
    assert command == Ping(id)
    assert wire.decode(wire.encode({"id": command.id})) == {"id": id}


# ---- frames of a node


def test_encode_frame_encodes_in_both_wire_formats() -> None:
    room = Keyspace("tannoy").room(RoomName("lobby"))
    said = MessageFrame(room, Author(None, None, None), {"text": "é"}, "2026-11-21T08:15:30.123Z")
    encoded = encode_frame(said)
    assert JSON.decode(encoded.json) == MSGPACK.decode(encoded.msgpack) == said.as_object()
