"""One object, two wire formats: text frames hold JSON, binary frames msgpack."""

import json

import msgpack
import pytest
from tannoy.node.protocols.framing import frame_encoded, frame_object, frames_of
from tannoy.node.rfc6455 import Opcode, split_frames
from tannoy.shared.names import RoomName, UserId
from tannoy.shared.protocol.codec import JSON, MSGPACK, WireFormat, encode_frame
from tannoy.shared.protocol.frames import TypingFrame
from tannoy.shared.publication import Publication

TYPING = TypingFrame(RoomName("lobby"), UserId("ada"), "Ada é")


def _read(frames: bytes) -> tuple[Opcode, object]:
    ((opcode, payload),) = split_frames(frames)
    return opcode, msgpack.unpackb(payload) if opcode is Opcode.BINARY else json.loads(payload)


@pytest.mark.parametrize(("wire", "opcode"), [(JSON, Opcode.TEXT), (MSGPACK, Opcode.BINARY)], ids=["json", "msgpack"])
def test_an_object_becomes_one_frame_of_its_format(wire: WireFormat, opcode: Opcode) -> None:
    assert _read(frame_object(TYPING, wire)) == (opcode, TYPING.as_object())


@pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=["json", "msgpack"])
def test_what_another_node_has_encoded_is_the_same_frame(wire: WireFormat) -> None:
    assert frame_encoded(encode_frame(TYPING), wire) == frame_object(TYPING, wire)


@pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=["json", "msgpack"])
def test_a_session_gets_all_but_what_excludes_it_in_order(wire: WireFormat) -> None:
    encoded = [encode_frame(TypingFrame(RoomName("lobby"), UserId(user), user)) for user in ("ada", "bob", "cyd")]
    publications = [Publication(encoded[0]), Publication(encoded[1], "s1"), Publication(encoded[2], "s2")]
    assert frames_of(publications, wire, "s1") == frame_encoded(encoded[0], wire) + frame_encoded(encoded[2], wire)
    assert frames_of(publications[1:2], wire, "s1") == b""
