"""Two wire formats with the same objects, and what nodes say to each other."""

import hmac
import math

import msgpack
import orjson
import pytest
from tannoy.fanout.control.codec import pack_order, unpack_order
from tannoy.fanout.control.requests import (
    CloseSessions,
    ControlMessage,
    DeliverToSession,
    DeliverToUser,
    Evict,
    LeaseGranted,
    ListSessions,
    Response,
)
from tannoy.fanout.pubsub.envelope import pack_publication, unpack_publication
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.codes import CloseCode, ErrorCode
from tannoy.shared.errors import BadRequest, MalformedBytes
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId, RoomName, SessionId, UserId
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
from tannoy.shared.publication import EncodedMessage, Publication

from tests.support.records import session_info

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


# ---- the bus

READY = EncodedMessage(b'{"a":1}', b"\x81\xa1a\x01")


def test_encode_frame_encodes_in_both_wire_formats() -> None:
    room = Keyspace("tannoy").room(RoomName("lobby"))
    said = MessageFrame(room, Author(None, None, None), {"text": "é"}, "2026-11-21T08:15:30.123Z")
    encoded = encode_frame(said)
    assert JSON.decode(encoded.json) == MSGPACK.decode(encoded.msgpack) == said.as_object()


PUBLICATIONS = [
    Publication(READY),
    Publication(READY, "s" * 128),
    Publication(EncodedMessage(b"", b"")),
    Publication(EncodedMessage(b"{}", b""), "s1"),
    Publication(EncodedMessage(b"x" * 100_000, b"y" * 100_000), "s1"),
]


@pytest.mark.parametrize("publication", PUBLICATIONS, ids=lambda p: f"{len(p.encoded.json)}-{p.exclude:.3}")
def test_a_publication_is_the_same_after_packing_and_unpacking(publication: Publication) -> None:
    assert unpack_publication(pack_publication(publication)) == publication


def test_the_envelope_has_the_documented_bytes() -> None:
    packed = pack_publication(Publication(READY, "s1"))
    assert packed == b"\x01" + b"\x02" + b"\x00\x00\x00\x07" + b"s1" + b'{"a":1}' + b"\x81\xa1a\x01"


def test_an_envelope_truncated_within_its_json_is_malformed() -> None:
    packed = pack_publication(Publication(READY, "s1"))
    for length in range(len(packed) - len(READY.msgpack)):
        with pytest.raises(MalformedBytes):
            unpack_publication(packed[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"\x02\x00\x00\x00\x00\x00",  # of another version
        b'{"type":"message"}',
        b"\x01\x01\x00\x00\x00\x00\xff",  # exclude is not UTF-8
        b"\x01\xff\x00\x00\x00\x00",
        b"\x01\x00\xff\xff\xff\xff",
        b"\x01\xff\xff\xff\xff\xff" + b"a" * 100,
    ],
    ids=repr,
)
def test_an_envelope_that_no_node_writes_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedBytes):
        unpack_publication(data)


ORDERS: list[ControlMessage] = [
    DeliverToUser(1, b"tannoy:node:i1", UserId("ada"), READY),
    DeliverToSession(2**40, b"tannoy:node:i1", AgentId("42"), SessionId("s1"), READY),
    Response(3, 0),
    Response(3, 1, (session_info("s1"),)),
    CloseSessions(4, b"tannoy:node:i1", Owner(OwnerKind.AGENT, "42"), None),
    CloseSessions(4, b"tannoy:node:i1", Owner(OwnerKind.USER, "ada"), SessionId("s1")),
    ListSessions(5, b"tannoy:node:i1", UserId("ada")),
    Evict(Owner(OwnerKind.AGENT, "42"), "i1|7|s1", CloseCode.EVICTED, 10, "s2"),
    LeaseGranted(Owner(OwnerKind.USER, "ada"), "i1|7|42/s1"),
]
every_order = pytest.mark.parametrize("order", ORDERS, ids=lambda order: type(order).__name__)


@every_order
@pytest.mark.parametrize("secret", [b"", b"cluster"])
def test_an_order_travels_unchanged(order: ControlMessage, secret: bytes) -> None:
    assert unpack_order(pack_order(order, secret), secret) == order


@every_order
@pytest.mark.parametrize(("ours", "theirs"), [(b"cluster", b""), (b"", b"cluster"), (b"cluster", b"Cluster")])
def test_an_order_sealed_with_another_secret_is_malformed(order: ControlMessage, ours: bytes, theirs: bytes) -> None:
    with pytest.raises(MalformedBytes, match="CLUSTER_SECRET"):
        unpack_order(pack_order(order, theirs), ours)


@every_order
def test_an_order_with_any_bit_changed_is_malformed(order: ControlMessage) -> None:
    packed = pack_order(order, b"cluster")
    for position in range(len(packed) * 8):
        changed = bytearray(packed)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(MalformedBytes):
            unpack_order(bytes(changed), b"cluster")


@every_order
def test_a_truncated_order_is_malformed(order: ControlMessage) -> None:
    packed = pack_order(order, b"")
    for length in range(len(packed)):
        with pytest.raises(MalformedBytes):
            unpack_order(packed[:length], b"")


def test_every_kind_of_order_is_in_the_table() -> None:
    assert {type(order) for order in ORDERS} == set(ControlMessage.__args__)


STRANGE: list[tuple[object, ...]] = [
    ("evict", "planet", "42", "i1|7|s1", 4500, 10, "s2"),
    ("evict", "agent", "42", "i1|7|s1", 4999, 10, "s2"),
    ("evict", "agent", "42", "i1|7|s1", 4500, 10),
    ("granted", "planet", "42", "i1|7|s1"),
    ("granted", "agent", 42, "i1|7|s1"),
    ("close", 1, b"i1", "planet", "42", None),
    ("close", 1, b"i1", "agent", "42", 7),
    ("list", 1, b"i1"),
    ("delivered", 1, 1, None),
    ("dance",),
]


@pytest.mark.parametrize("parts", STRANGE, ids=str)
def test_an_order_that_no_node_of_this_version_gives_is_malformed(parts: tuple[object, ...]) -> None:
    body = msgpack.packb(parts)
    sealed = hmac.digest(b"", body, "sha256")[:16] + body
    with pytest.raises(MalformedBytes):
        unpack_order(sealed, b"")
