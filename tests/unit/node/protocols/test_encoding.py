"""What a socket is sent in each encoding: a client protocol's payloads, in the framing of a transport."""

import json
from typing import Any

import msgpack
import pytest
from tannoy.node.protocols.encoding import Encoding, encoding_of
from tannoy.node.protocols.framing import ASGI_MESSAGES, WEBSOCKET_FRAMES, AsgiMessages, Chunk
from tannoy.node.rfc6455 import Opcode
from tannoy.shared.names import RoomName, UserId
from tannoy.shared.protocol.codec import JSON, MSGPACK, encode_frame
from tannoy.shared.protocol.command_parser import BadCommand
from tannoy.shared.protocol.commands import Ping
from tannoy.shared.protocol.frames import PingFrame, TypingFrame
from tannoy.shared.publication import Publication

from tests.support.recording_transport import split_frames

TYPING = TypingFrame(RoomName("lobby"), UserId("ada"), "Ada é")
ENCODINGS = [encoding_of(wire, framing) for wire in (JSON, MSGPACK) for framing in (WEBSOCKET_FRAMES, ASGI_MESSAGES)]
in_each_encoding = pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.name)


def objects(chunk: Chunk) -> list[Any]:
    """The objects that a client reads from a chunk."""
    if isinstance(chunk, AsgiMessages):
        return [json.loads(m["text"]) if "text" in m else msgpack.unpackb(m["bytes"]) for m in chunk.messages]
    assert isinstance(chunk, bytes)
    return [json.loads(p) if opcode is Opcode.TEXT else msgpack.unpackb(p) for opcode, p in split_frames(chunk)]


def test_encoding_of_a_wire_format_and_a_framing_is_one_object() -> None:
    assert len({id(encoding) for encoding in ENCODINGS}) == 4
    assert encoding_of(JSON, ASGI_MESSAGES) is encoding_of(JSON, ASGI_MESSAGES)


@in_each_encoding
def test_frame_is_read_back_as_its_object(encoding: Encoding) -> None:
    assert objects(encoding.frame(TYPING)) == [TYPING.as_object()]
    assert objects(encoding.ping) == [PingFrame().as_object()]


@in_each_encoding
def test_encoded_message_is_read_back_as_its_object(encoding: Encoding) -> None:
    assert objects(encoding.encoded(encode_frame(TYPING))) == [TYPING.as_object()]


@in_each_encoding
def test_publication_carries_its_offset(encoding: Encoding) -> None:
    publication = Publication(encode_frame(TYPING), epoch="e", offset=7)
    assert objects(encoding.publication(publication)) == [TYPING.as_object() | {"offset": 7}]
    assert objects(encoding.publications([publication] * 2)) == [TYPING.as_object() | {"offset": 7}] * 2


@in_each_encoding
def test_publications_for_a_session_leave_out_those_that_exclude_it(encoding: Encoding) -> None:
    frames = [TypingFrame(RoomName("lobby"), UserId(user), user) for user in ("ada", "bob", "cyd")]
    first, excluded, last = (Publication(encode_frame(f), e) for f, e in zip(frames, ("", "s1", "s2"), strict=True))
    chunk = encoding.publications_for([first, excluded, last], "s1")
    assert objects(chunk) == [frames[0].as_object(), frames[2].as_object()]
    assert not encoding.publications_for([excluded], "s1")


@pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)
def test_command_is_read_from_payloads_of_its_kind_alone(wire: Any) -> None:
    encoding, payload = encoding_of(wire, WEBSOCKET_FRAMES), wire.encode({"type": "ping", "id": 1})
    assert encoding.decode_command(payload, wire.binary) == Ping(1)
    with pytest.raises(BadCommand):
        encoding.decode_command(payload, not wire.binary)
