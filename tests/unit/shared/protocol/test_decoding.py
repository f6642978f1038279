"""What clients and back ends send is decoded unchanged or refused; half of a surrogate pair becomes U+FFFD."""

import math
import tracemalloc
from typing import cast

import msgpack
import orjson
import pytest
from tannoy.shared.errors import BadRequest
from tannoy.shared.protocol.codec import JSON, MSGPACK, WireFormat
from tannoy.shared.protocol.decoding import (
    ELEMENTS_MAX,
    MAX_DEPTH,
    BadValue,
    check_value,
    decode_json,
    parse_json,
)
from tannoy.shared.protocol.msgpack_decoding import decode_msgpack

both_formats = pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)


def nested(levels: int, innermost: object) -> object:
    """`innermost` inside that many arrays."""
    value = innermost
    for _ in range(levels):
        value = [value]
    return value


def as_bytes(wire: WireFormat, value: object) -> bytes:
    """What a client would send, by a library that checks nothing."""
    return orjson.dumps(value) if wire is JSON else msgpack.packb(value)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"{}{}", b"NaN", b"[Infinity]", b"-Infinity", b"1e999", b"'a'", b"\xff",
     b'"\xc3"', b'"\\ud80"', b"nul"],
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
        b"\xa1\xff\x01",  # the same, and a second value
        b"\xdd\xff\xff\xff\xff",  # an array of four thousand million
        b"\x91" * 100_000 + b"\x01",
        b"\x81\x90\x01",  # an array as a key
        b"\x81\x80\x01",  # an object as a key
        b"\xd7\xff" + b"\xff" * 8,  # a broken timestamp
    ],
    ids=lambda data: f"{data[:12]!r}",
)
def test_malformed_msgpack_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest, match=r"^this is not msgpack: .{9}"):
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


# ---- keys that occur twice

TWICE = {
    "at the top": (b'{"a":1,"b":2,"a":3}', b"\x83\xa1a\x01\xa1b\x02\xa1a\x03"),
    "below": (b'{"a":{"b":1,"b":1}}', b"\x81\xa1a\x82\xa1b\x01\xa1b\x01"),
    "in an array": (b'[1,{"b":1,"b":2}]', b"\x92\x01\x82\xa1b\x01\xa1b\x02"),
    "beside an object further down": (b'{"a":1,"a":{"c":{}}}', b"\x82\xa1a\x01\xa1a\x81\xa1c\x80"),
    "when halves of surrogate pairs are replaced": (
        b'{"\\ud83d":1,"\\ud83e":2}',
        b"\x82\xa3\xed\xa0\xbd\x01\xa3\xed\xa0\xbe\x02",
    ),
}


@pytest.mark.parametrize("where", TWICE)
@both_formats
def test_a_key_that_occurs_twice_is_refused(wire: WireFormat, where: str) -> None:
    data = TWICE[where][wire is MSGPACK]
    with pytest.raises(BadValue, match="occurs twice in an object"):
        wire.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a" :1, "\\u0061":2}',
        b'{"a":1,"a":18446744073709551615}',
        b'{"a":1,"a":"' + b":" * 1000 + b'"}',
        b'{"b":"https://a.example","a"\t\r\n : 1,"a":2}',
    ],
    ids=["written in two ways", "beside a long integer", "beside a text of colons", "with white space"],
)
def test_a_key_that_occurs_twice_is_refused_however_the_json_is_written(data: bytes) -> None:
    for decode in (decode_json, parse_json):
        with pytest.raises(BadValue, match="the key 'a' occurs twice"):
            decode(data)


@both_formats
@pytest.mark.parametrize(
    "value",
    [
        {"a": {"a": {"a": 1}}},
        [{"a": 1}, {"a": 1}],
        {"a": "b:c", "b": ":"},
        "a:b",
        {"a:": {"a:": 1}, ":": []},
        {"a": '{"a":1,"a":2}'},
    ],
    ids=repr,
)
def test_a_key_in_several_objects_and_colons_in_texts_are_accepted(wire: WireFormat, value: object) -> None:
    assert wire.decode(as_bytes(wire, value)) == value


# ---- integers


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, -(2**63), 10**18, -(10**18)])
@both_formats
def test_an_integer_of_64_bits_is_unchanged(wire: WireFormat, number: int) -> None:
    assert wire.decode(as_bytes(wire, {"a": [number]})) == {"a": [number]}


@pytest.mark.parametrize("literal", ["18446744073709551616", "-9223372036854775809", "1" + "0" * 4000])
def test_an_integer_beyond_64_bits_is_refused_by_what_is_allowed(literal: str) -> None:
    with pytest.raises(BadValue) as caught:
        decode_json(b'{"a":[%b]}' % literal.encode())
    assert "integers go from -9223372036854775808 to 18446744073709551615" in caught.value.message or (
        len(literal) > 400 and "not JSON" in caught.value.message  # the parser refuses it itself
    )


@pytest.mark.parametrize(
    "value", ["18446744073709551616", {"1" * 30: 1}, 0.12345678901234567890123, 1e20, 12345678901234567890.5], ids=str
)
def test_a_long_row_of_digits_that_is_no_integer_is_unchanged(value: object) -> None:
    assert decode_json(orjson.dumps({"a": value})) == {"a": value}


def test_a_floating_point_number_with_many_digits_stays_one() -> None:
    (number,) = orjson.loads(b"[18446744073709551616.0]")
    assert repr(decode_json(b"[18446744073709551616.0]")) == repr([number])


# ---- text


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("cut \\ud83d", "cut \ufffd"),
        ("\\ude00 cut", "\ufffd cut"),
        ("\\uD83D\\ud83d\\ude00", "\ufffd\U0001f600"),
        ("\\ud83d\\u0041", "\ufffdA"),
        ("\\ud83d \\\\ud83d", "\ufffd \\ud83d"),
        ("\\ud83d\\n\\u00e9", "\ufffd\n\xe9"),
        ("\\ud83d 18446744073709551616", "\ufffd 18446744073709551616"),
    ],
    ids=ascii,
)
def test_half_of_a_surrogate_pair_in_json_is_replaced(escaped: str, text: str) -> None:
    assert decode_json(b'{"a":"%b"}' % escaped.encode()) == {"a": text}


def test_half_of_a_surrogate_pair_in_a_key_is_replaced() -> None:
    assert decode_json(b'{"\\ud83d":1}') == {"\ufffd": 1}


@pytest.mark.parametrize("encoded", [b"\xed\xa0\xbd", b"\xed\xb8\x80", b"\xed\xa0\xbd\xed\xa0\xbd"], ids=repr)
def test_half_of_a_surrogate_pair_in_msgpack_is_replaced(encoded: bytes) -> None:
    data = b"\x81\xa1a" + bytes([0xA0 + len(encoded)]) + encoded
    assert decode_msgpack(data) == {"a": "\ufffd" * (len(encoded) // 3)}


def test_replaced_text_can_be_encoded_in_both_formats() -> None:
    value = decode_json(b'{"a":"\\ud83d"}')
    assert JSON.decode(JSON.encode(value)) == MSGPACK.decode(MSGPACK.encode(value)) == value


# ---- parts


def test_parts_of_a_parsed_value_are_refused_one_by_one() -> None:
    parsed = parse_json(b'[1, 18446744073709551616, "fine", %b]' % (b"[" * 17 + b"]" * 17))
    assert isinstance(parsed, list)
    parts = cast("list[object]", parsed)
    assert [_is_refused(part) for part in parts] == [False, True, False, True]


def _is_refused(value: object) -> bool:
    try:
        check_value(value)
    except BadRequest:
        return True
    return False


# ---- how much


def holding(elements: int) -> list[object]:
    """An object, an array and scalars, with this many values in all of them."""
    return [{"a": [None] * (elements - 2)}]


@both_formats
def test_as_many_values_as_a_frame_may_hold_are_decoded(wire: WireFormat) -> None:
    value = holding(ELEMENTS_MAX)
    assert wire.decode(as_bytes(wire, value)) == value


@both_formats
@pytest.mark.parametrize(
    "value",
    [
        holding(ELEMENTS_MAX + 1),
        [0] * (ELEMENTS_MAX + 1),
        {f"{number:x}": 0 for number in range(ELEMENTS_MAX + 1)},
        [[] for _ in range(ELEMENTS_MAX + 1)],
        [[0] * (ELEMENTS_MAX // 2), 1234567890123456789, [0] * (ELEMENTS_MAX // 2)],
    ],
    ids=["nested", "array", "object", "empty arrays", "with a long integer"],
)
def test_more_values_than_a_frame_may_hold_are_refused(wire: WireFormat, value: object) -> None:
    with pytest.raises(BadValue, match=f"more than {ELEMENTS_MAX} values"):
        wire.decode(as_bytes(wire, value))


@both_formats
def test_a_text_with_more_commas_and_brackets_than_values_are_allowed_is_decoded(wire: WireFormat) -> None:
    text = ",[{" * ELEMENTS_MAX
    assert wire.decode(as_bytes(wire, [text])) == [text]


@pytest.mark.parametrize("head", [b"\xdd\x00\x00\xfd\xe8", b"\xdf\x00\x00\x7d\x00\xa0"], ids=["arrays", "maps"])
def test_arrays_that_announce_more_than_follows_are_refused_before_they_are_built(head: bytes) -> None:
    data = head * (65_000 // len(head))
    tracemalloc.start()
    with pytest.raises(BadRequest, match="not msgpack"):
        MSGPACK.decode(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * len(data)
