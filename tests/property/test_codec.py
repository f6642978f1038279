"""Codecs over generated data: values survive both formats and the bus; other bytes raise the documented error only."""

import struct
from contextlib import suppress
from typing import Any, cast

import msgpack
from hypothesis import given
from hypothesis import strategies as st
from tannoy.fanout.control.codec import pack_message, unpack_message
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
from tannoy.fanout.control.sealing import ControlSealer
from tannoy.fanout.pubsub.envelope import pack_publication, unpack_delivery, unpack_publication
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.clock import SystemClock
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import BadRequest, MalformedBytes
from tannoy.shared.names import AgentId, SessionId, UserId
from tannoy.shared.protocol.codec import JSON, MSGPACK, WireFormat, decode_command
from tannoy.shared.protocol.command_parser import BadCommand
from tannoy.shared.publication import EncodedMessage, Publication
from tannoy.shared.sessions import SessionInfo

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5), max_leaves=20
)
formats = st.sampled_from([JSON, MSGPACK])


@given(json_values, formats)
def test_json_value_survives_encode_and_decode(value: object, wire: WireFormat) -> None:
    assert same(wire.decode(wire.encode(value)), value)


@given(json_values)
def test_json_and_msgpack_decode_to_the_same_value(value: object) -> None:
    assert same(JSON.decode(JSON.encode(value)), MSGPACK.decode(MSGPACK.encode(value)))


def same(left: object, right: object) -> bool:
    """Equal, and of the same types all the way down: 1, 1.0 and True are three values."""
    return left == right and repr(left) == repr(right)


@given(st.binary(max_size=200), formats)
def test_decode_of_random_bytes_raises_only_bad_request(data: bytes, wire: WireFormat) -> None:
    with suppress(BadRequest):
        wire.decode(data)


class _Extension:
    """A msgpack extension type; the library's own class for it is not typed."""

    def __init__(self, data: bytes) -> None:
        self.data = data


anything_in_msgpack = st.recursive(
    scalars | st.binary(max_size=10) | st.floats() | st.builds(_Extension, st.binary(max_size=8)),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(scalars | st.binary(max_size=5), inner, max_size=5),
    max_leaves=20,
)


def pack_anything(value: Any) -> bytes:
    """Encode msgpack by hand: its library refuses some of these values."""
    match value:
        case _Extension():
            return b"\xc7" + bytes((len(value.data), 5)) + value.data
        case dict():
            members = cast("dict[object, object]", value)
            pairs = b"".join(pack_anything(key) + pack_anything(item) for key, item in members.items())
            return b"\xde" + struct.pack(">H", len(members)) + pairs
        case list():
            items = cast("list[object]", value)
            return b"\xdc" + struct.pack(">H", len(items)) + b"".join(map(pack_anything, items))
        case _:
            return msgpack.packb(value)


@given(anything_in_msgpack)
def test_decoded_msgpack_can_be_encoded_as_json(value: object) -> None:
    try:
        accepted = MSGPACK.decode(pack_anything(value))
    except BadRequest:
        return
    assert same(JSON.decode(JSON.encode(accepted)), accepted)


@given(
    json_values | st.dictionaries(st.sampled_from(["type", "id", "room", "content", "to", "key"]), json_values), formats
)
def test_decode_command_of_any_object_raises_only_bad_command(value: object, wire: WireFormat) -> None:
    with suppress(BadCommand):
        decode_command(wire.encode(value), binary=wire.binary, wire=wire)


# ---- the bus

encoded = st.builds(EncodedMessage, st.binary(max_size=50), st.binary(max_size=50))
names = st.text("abcXYZ019_.:@~-", min_size=1, max_size=128)
counts = st.integers(0, 2**63)
owners = st.builds(Owner, st.sampled_from(OwnerKind), names)
described = st.builds(SessionInfo, names, names, text, names, text, st.none() | names)
control_messages: st.SearchStrategy[ControlMessage] = (
    st.builds(DeliverToUser, counts, st.binary(max_size=20), names.map(UserId), encoded)
    | st.builds(DeliverToSession, counts, st.binary(max_size=20), names.map(AgentId), names.map(SessionId), encoded)
    | st.builds(Response, counts, counts, st.lists(described, max_size=3).map(tuple))
    | st.builds(CloseSessions, counts, st.binary(max_size=20), owners, st.none() | names.map(SessionId))
    | st.builds(ListSessions, counts, st.binary(max_size=20), names.map(UserId))
    | st.builds(Evict, owners, names, st.sampled_from(CloseCode), counts, names)
    | st.builds(LeaseGranted, owners, names)
)


@given(st.builds(Publication, encoded, st.just("") | names))
def test_publication_survives_pack_and_unpack(publication: Publication) -> None:
    assert unpack_publication(pack_publication(publication)) == publication


objects = st.dictionaries(text.filter(lambda name: name != "offset"), json_values, min_size=1, max_size=14)


@given(objects, text.filter(lambda epoch: epoch and " " not in epoch), st.integers(1, 2**53))
def test_offset_is_added_to_any_object_in_both_formats(fields: dict[str, object], epoch: str, offset: int) -> None:
    publication = Publication(EncodedMessage(JSON.encode(fields), MSGPACK.encode(fields)))
    delivery = unpack_delivery(b"\x03%b %d %b" % (epoch.encode(), offset, pack_publication(publication)))
    assert (delivery.epoch, delivery.offset) == (epoch, offset)
    for wire in (JSON, MSGPACK):
        assert wire.encode_publication(delivery) == wire.encode(fields | {"offset": offset})


@given(st.binary(max_size=60))
def test_unpack_of_random_bytes_after_a_position_raises_only_malformed_bytes(data: bytes) -> None:
    for start in (b"\x03", b"\x03e 1 ", b"\x03e 1 \x01"):
        with suppress(MalformedBytes):
            unpack_delivery(start + data)


@given(control_messages)
def test_control_message_survives_pack_and_unpack(message: ControlMessage) -> None:
    assert unpack_message(pack_message(message)) == message


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda rest: b"\x01" + rest))
def test_unpack_of_random_bytes_raises_only_malformed_bytes(data: bytes) -> None:
    with suppress(MalformedBytes):
        unpack_publication(data)
    with suppress(MalformedBytes):
        unpack_message(data)


@given(anything_in_msgpack.map(pack_anything))
def test_control_message_of_unknown_form_raises_only_malformed_bytes(body: bytes) -> None:
    """As an older or newer version of the product might send it."""
    with suppress(MalformedBytes):
        unpack_message(body)


@given(st.binary(max_size=60), st.binary(max_size=40), st.sampled_from([b"", b"secret"]))
def test_open_of_random_bytes_raises_only_malformed_bytes(data: bytes, channel: bytes, secret: bytes) -> None:
    with suppress(MalformedBytes):
        ControlSealer(secret, SystemClock()).open(channel, data)
