"""What a frame of many small objects costs: no call of a function in Python for each of them."""

import sys
from types import FrameType

import msgpack
import orjson
import pytest
from tannoy.node.transports.base import SHARE_BYTES
from tannoy.shared.protocol.codec import JSON, MSGPACK, WireFormat
from tannoy.shared.protocol.decoding import ELEMENTS_MAX

MANY = 1000
SMALL = [{"a": number} for number in range(MANY)]
LONG = b"[%b,9223372036854775807]" % b",".join([b'{"a":1}'] * MANY)
LIKE_KEYS = b'["\\":",%b]' % b",".join([b'{"a":1}'] * MANY)
WIDE = b"\xdd\x00\x00\x03\xe8" + b"\x81\xa1a\xcd\x00\x01" * MANY


def calls_of_decoding(wire: WireFormat, data: bytes) -> int:
    """How many functions in Python are called."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        wire.decode(data)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    ("wire", "data"),
    [
        (JSON, orjson.dumps(SMALL)),
        (JSON, LONG),
        (JSON, LIKE_KEYS),
        (MSGPACK, msgpack.packb(SMALL)),
        (MSGPACK, WIDE),
    ],
    ids=["JSON", "a long integer", "a text like a key", "msgpack", "msgpack with wide integers"],
)
def test_decoding_calls_no_function_for_each_object(wire: WireFormat, data: bytes) -> None:
    assert calls_of_decoding(wire, data) < MANY / 10


def test_a_turn_takes_no_more_values_than_a_frame_may_have_before_its_last_frame() -> None:
    assert SHARE_BYTES <= ELEMENTS_MAX  # a value takes at least one byte
