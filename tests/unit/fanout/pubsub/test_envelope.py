"""Numbered deliveries: the position that Redis puts in front of an envelope, and the offset in each wire format."""

import msgpack
import pytest
from tannoy.fanout.pubsub.envelope import pack_publication, unpack_delivery, unpack_numbered
from tannoy.shared.errors import MalformedBytes
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId, RoomName, SessionId, UserId
from tannoy.shared.protocol.codec import (
    JSON,
    MSGPACK,
    WireFormat,
    encode_frame,
    encode_lazily,
)
from tannoy.shared.protocol.frames import Author, MessageFrame, NodeFrame, Resync
from tannoy.shared.publication import EncodedMessage, Position, Publication

LOBBY = Keyspace("tannoy").room(RoomName("lobby"))
AGENT = Keyspace("tannoy").agent(AgentId("42"))
ADA = Author(UserId("ada"), "Ada é", SessionId("s1"))
SAID: list[NodeFrame] = [
    MessageFrame(LOBBY, ADA, {"deep": [1, None, "}"]}, "2026-11-21T08:15:30.123Z"),
    MessageFrame(AGENT, Author(None, None, None), "}", "2026-11-21T08:15:30.123Z"),
    MessageFrame(LOBBY, ADA, {}, "2026-11-21T08:15:30.123Z"),
]
OFFSETS = [1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 10**14 + 1, 2**53]
both_formats = pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)

# ---- the offset gets into the frame


@both_formats
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("frame", SAID, ids=lambda frame: frame.channel.name)
def test_a_numbered_frame_is_the_object_with_its_offset_in_each_format(
    frame: MessageFrame, offset: int, wire: WireFormat
) -> None:
    publication = Publication(encode_frame(frame), "", 0, "e", offset)
    assert wire.encode_publication(publication) == wire.encode(frame.as_object() | {"offset": offset})


@both_formats
def test_a_frame_without_an_offset_is_passed_on_unchanged(wire: WireFormat) -> None:
    encoded = encode_frame(SAID[0])
    payload = wire.encode_publication(Publication(encoded))
    assert payload is (encoded.msgpack if wire.binary else encoded.json)


@both_formats
@pytest.mark.parametrize("encode", [encode_frame, encode_lazily])
def test_a_resync_is_passed_on_with_the_position_that_it_holds(encode: object, wire: WireFormat) -> None:
    resync = Resync(LOBBY, "why", Position("e", 7))
    encoded = encode_frame(resync) if encode is encode_frame else encode_lazily(resync)
    publication = Publication(encoded, epoch="e", offset=7, resets=True)
    assert wire.decode(wire.encode_publication(publication)) == resync.as_object()


# ---- what comes from the bus


@pytest.mark.parametrize("exclude", ["", "s1"])
@pytest.mark.parametrize("offset", OFFSETS)
def test_a_numbered_delivery_is_the_publication_at_its_position(exclude: str, offset: int) -> None:
    encoded = encode_frame(SAID[0])
    data = b"\x03life-1 %d " % offset + pack_publication(Publication(encoded, exclude))
    assert unpack_delivery(data) == Publication(encoded, exclude, 0, "life-1", offset)


def test_a_delivery_that_is_not_numbered_has_no_position() -> None:
    publication = Publication(encode_frame(SAID[0]), "s1")
    assert unpack_delivery(pack_publication(publication)) == publication


def test_an_entry_of_history_is_the_envelope_as_it_was_packed() -> None:
    publication = Publication(encode_frame(SAID[0]), "s1")
    assert unpack_numbered(pack_publication(publication), "e", 3) == Publication(publication.encoded, "s1", 0, "e", 3)


GOOD = pack_publication(Publication(encode_frame(SAID[0])))
MALFORMED: list[bytes] = [
    b"\x03",
    b"\x03" + GOOD,
    b"\x03e",
    b"\x03e 1",
    b"\x03e 1 ",
    b"\x03e x " + GOOD,
    b"\x03e 1.5 " + GOOD,
    b"\x03e 0 " + GOOD,
    b"\x03e -1 " + GOOD,
    b"\x03e %d " % (2**53 + 1) + GOOD,
    b"\x03e 1" + b"0" * 30 + b" " + GOOD,
    b"\x03e 1" + b"0" * 5000 + b" " + GOOD,
    b"\x03\xff 1 " + GOOD,
    b"\x03e 1 " + GOOD[:-1000],
    b"\x03e 1 \x03e 1 " + GOOD,
]


@pytest.mark.parametrize("data", MALFORMED, ids=lambda data: repr(data[:24]))
def test_a_numbered_delivery_of_another_form_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedBytes):
        unpack_delivery(data)


NO_FRAMES = {
    "no JSON": EncodedMessage(b"", msgpack.packb({"a": 1})),
    "JSON that is no object": EncodedMessage(b"[1]", msgpack.packb({"a": 1})),
    "no msgpack": EncodedMessage(b'{"a":1}', b""),
    "msgpack that is no map": EncodedMessage(b'{"a":1}', msgpack.packb([1])),
    "a map too large for one more": EncodedMessage(b'{"a":1}', msgpack.packb({str(number): 1 for number in range(15)})),
    "a map of the longer form": EncodedMessage(b'{"a":1}', msgpack.packb({str(number): 1 for number in range(16)})),
}


@pytest.mark.parametrize("encoded", NO_FRAMES.values(), ids=NO_FRAMES)
def test_a_message_to_which_no_offset_can_be_added_is_malformed(encoded: EncodedMessage) -> None:
    with pytest.raises(MalformedBytes):
        unpack_numbered(pack_publication(Publication(encoded)), "e", 1)


def test_the_largest_map_that_has_room_for_an_offset_gets_it() -> None:
    fields = {str(number): 1 for number in range(14)}
    encoded = EncodedMessage(JSON.encode(fields), MSGPACK.encode(fields))
    publication = unpack_numbered(pack_publication(Publication(encoded)), "e", 1)
    assert MSGPACK.decode(MSGPACK.encode_publication(publication)) == fields | {"offset": 1}
