"""The two wire formats of the client protocol carry the same objects."""

import msgpack
import orjson
import pytest
from tannoy.shared.codes import ErrorCode
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.protocol.codec import (
    JSON,
    MSGPACK,
    WIRE_FORMATS,
    StoredMessages,
    WireFormat,
    decode_command,
    encode_frame,
)
from tannoy.shared.protocol.command_parser import BadCommand
from tannoy.shared.protocol.commands import Message, Ping
from tannoy.shared.protocol.frames import Author, MessageFrame, OkFrame
from tannoy.shared.publication import Publication

both_formats = pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)

VALUES: list[object] = [
    None, True, False, 0, -1, 2**53, 2**63, 2**64 - 1, -(2**63), 1.5, -0.0, 1e308, 5e-324, "", "héllo 🎉 \u2028 \x00",
    [], {}, {"": ""}, [1, [2, {"three": [None]}]], {"a": {"b": {"c": []}}},
]  # fmt: skip


# ---- the wire


@both_formats
@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_a_value_is_the_same_after_encoding_and_decoding(wire: WireFormat, value: object) -> None:
    assert wire.decode(wire.encode(value)) == value


def test_the_subprotocols_are_the_documented_ones() -> None:
    assert WIRE_FORMATS == {"tannoy.v1.json": JSON, "tannoy.v1.msgpack": MSGPACK}


def test_json_uses_text_frames_and_msgpack_binary_ones() -> None:
    assert (JSON.binary, MSGPACK.binary) == (False, True)


# ---- answers


@both_formats
@pytest.mark.parametrize("count", [0, 1, 15, 16, 300])
def test_the_messages_of_an_answer_are_the_frames_that_were_delivered(wire: WireFormat, count: int) -> None:
    frame = MessageFrame(Keyspace("tannoy").room(RoomName("lobby")), Author(None, None, None), {"a": [1, "é"]}, "now")
    stored = [Publication(encode_frame(frame), epoch="e", offset=offset) for offset in range(1, count + 1)]

    answer = wire.encode(OkFrame(7, {"messages": StoredMessages(stored), "epoch": "e", "offset": count}).as_object())

    messages = [frame.as_object() | {"offset": offset} for offset in range(1, count + 1)]
    expected = {"type": "ok", "id": 7, "messages": messages, "epoch": "e", "offset": count}
    assert (orjson.loads if wire is JSON else msgpack.unpackb)(answer) == expected


@both_formats
def test_what_is_no_json_type_is_not_encoded(wire: WireFormat) -> None:
    with pytest.raises(TypeError):
        wire.encode({"messages": [object()]})


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


NOT_REPRESENTABLE: dict[str, tuple[WireFormat, bytes]] = {
    "an integer beyond 64 bits": (JSON, b'{"type":"message","id":7,"content":18446744073709551616}'),
    "NaN in JSON": (JSON, b'{"type":"message","id":7,"content":NaN}'),
    "a number beyond floating point": (JSON, b'{"type":"message","id":7,"content":1e999}'),
    "a key that occurs twice in JSON": (JSON, b'{"type":"message","id":7,"content":{"a":1,"a":2}}'),
    "a key that occurs twice in msgpack": (MSGPACK, b"\x82\xa2id\x07\xa1c\x82\xa1a\x01\xa1a\x02"),
    "deep nesting": (JSON, b'{"type":"message","id":7,"content":' + b"[" * 16 + b"]" * 16 + b"}"),
    "NaN in msgpack": (MSGPACK, msgpack.packb({"type": "message", "id": 7, "content": float("nan")})),
    "bytes": (MSGPACK, msgpack.packb({"type": "message", "id": 7, "content": b"x"})),
    "a number as a key": (MSGPACK, msgpack.packb({"type": "message", "id": 7, "content": {1: 2}})),
    "a text that is not UTF-8": (MSGPACK, b"\x82\xa2id\x07\xa1a\xa2\xff\xfe"),
}


@pytest.mark.parametrize("case", NOT_REPRESENTABLE)
def test_the_refusal_of_a_value_that_can_not_be_represented_has_the_id_of_its_command(case: str) -> None:
    wire, data = NOT_REPRESENTABLE[case]
    with pytest.raises(BadCommand) as caught:
        decode_command(data, binary=wire.binary, wire=wire)
    assert (caught.value.id, caught.value.refusal.code) == (7, ErrorCode.BAD_REQUEST)


@pytest.mark.parametrize("id", ["NaN", "[]", "18446744073709551616", "true"])
def test_the_refusal_of_a_value_that_can_not_be_represented_has_no_id_that_is_not_valid(id: str) -> None:
    with pytest.raises(BadCommand) as caught:
        decode_command(b'{"type":"message","id":%b,"content":NaN}' % id.encode(), binary=False, wire=JSON)
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
