"""Bytes from clients and back ends to values that both wire formats and JavaScript's text can represent.

What can't be represented is refused, never changed, with one exception: half of a surrogate pair, which a text cut in
the middle of an emoji ends with, becomes U+FFFD, as in every text that a browser sends. `msgpack_decoding.py` has
msgpack; this module has JSON, and the rules of values for both.
"""

import itertools
import json
import math
import re
from collections.abc import Sequence
from typing import Any, cast

import orjson

from ..errors import BadRequest

MAX_DEPTH = 16
"""Levels of nesting that a frame may have. Deeper nesting could exhaust the stack of a client's recursive parser."""
ELEMENTS_MAX = 16_384
"""Values in a frame, in arrays and objects of any depth: so the cost of handling it is bounded besides its bytes."""
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**64 - 1
"""The integers that msgpack can represent."""
_BEYOND = INTEGER_MAX + 1
_INTEGER_MAX_CHARACTERS = 20
"""Characters of the longest of those integers: a longer literal is beyond them."""


class BadValue(BadRequest):
    """Bytes that can be read, but hold what JSON can't represent, nest too deep, hold too much, or a key twice.

    `value` is what they hold.
    """

    def __init__(self, message: str, value: object) -> None:
        super().__init__(message)
        self.value = value


Members = list[tuple[object, object]]
"""The members of one object, as they were written."""


def check_keys_once(objects: Sequence[Members], keys: int, root: object) -> None:
    """Raise BadValue if an object had a key twice. RFC 8259 leaves open which of its two values counts.

    `objects`: all objects of a frame; `keys`: how many keys were left of them. A parser collects them by the `append`
    of a list: a function in Python, called for each object, would be most of what a frame of many objects costs.
    """
    if sum(map(len, objects)) == keys:
        return
    for members in objects:
        seen: set[object] = set()
        for name, _ in members:
            if name in seen:
                raise BadValue(f"the key {name!r:.50} occurs twice in an object", root)
            seen.add(name)


# ---- JSON

_DIGITS_TO_ZERO = bytes(ord("0") if chr(code).isdecimal() and code < 128 else 0 for code in range(256))
_LONG_INTEGER = b"0" * 19
_find_huge_integer = re.compile(rb"[0-9]{21}").search
_find_key_ends = re.compile(rb'"[ \t\r\n]*:').findall
_find_surrogate = re.compile(rb"\\u[dD][89a-fA-F]").search
_replace_escapes = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair: one character
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\."  # any other escape, so that what follows an escaped backslash is not taken for one
).sub


def decode_json(data: bytes) -> object:
    """Decode JSON. Raises BadRequest, and BadValue."""
    value = _load(data)
    # Commas and opening brackets are an upper bound of the values: only a frame that has many is looked at in whole.
    if data.count(b",") + data.count(b"[") + data.count(b"{") >= ELEMENTS_MAX:
        check_value(value)
    keys, depth = _measure(value)
    if depth > MAX_DEPTH:
        raise _too_deep(value)
    exact = _restore(data, keys, value)
    if exact is not value:
        check_value(exact)
    return exact


def parse_json(data: bytes) -> object:
    """Decode JSON whose parts are to be checked one by one, with `check_value`. Raises BadRequest, and BadValue."""
    value = _load(data)
    keys, _ = _measure(value)
    return _restore(data, keys, value)


def _restore(data: bytes, keys: int, value: object) -> object:
    """The value, with integers beyond 64 bits that orjson has changed. Raises BadValue for a key that occurs twice.

    `keys`: of all objects of the value.
    """
    if _may_hold_long_integers(data):
        return _load_with_integers(data)
    if _may_have_more_keys(data, keys):
        _check_keys_in(data, keys, value)
    return value


def _load(data: bytes) -> object:
    try:
        return cast("object", orjson.loads(data))
    except orjson.JSONDecodeError as error:
        repaired = _replace_lone_surrogates(data)
        try:
            return cast("object", orjson.loads(repaired))
        except orjson.JSONDecodeError:
            raise _not_json(repaired, error) from error


def _may_hold_long_integers(data: bytes) -> bool:
    """Whether there are 19 digits in a row. `translate` and `in` cost a tenth of what a regular expression does."""
    return _LONG_INTEGER in data.translate(_DIGITS_TO_ZERO)


def _may_have_more_keys(data: bytes, keys: int) -> bool:
    """Whether orjson may have lost a key that occurs twice: behind each key is a quotation mark and a colon.

    A text may have both too. Counting colons alone costs little, and is enough for most frames.
    """
    return data.count(b":") > keys and len(_find_key_ends(data)) > keys


def _measure(root: object) -> tuple[int, int]:
    """The keys of all objects, and the levels of nesting."""
    keys = depth = 0
    level: list[Any] = [root] if type(root) in _CONTAINERS else []
    while level:
        depth += 1
        below: list[Any] = []
        for kind, value in zip(map(type, level), level, strict=True):
            if kind is dict:
                keys += len(value)
                below.extend(value.values())
            else:
                below.extend(value)
        level = [value for value in below if type(value) in _CONTAINERS]
    return keys, depth


def _load_with_integers(data: bytes) -> object:
    """Parse JSON with every integer beyond 64 bits as one beyond them; orjson reads it as a floating-point number.

    Raises BadValue if a key occurs twice.
    """
    text = _replace_lone_surrogates(data)
    parse_int = _parse_integer if _find_huge_integer(text) else int
    try:
        value: object = json.loads(text, parse_int=parse_int)
    except RecursionError:
        raise _too_deep(None) from None
    keys, _ = _measure(value)
    _check_keys_in(text, keys, value)
    return value


def _check_keys_in(data: bytes, keys: int, value: object) -> None:
    """Raise BadValue if a key occurs twice in this JSON. `keys`: all of those in `value`, which has each once."""
    objects: list[Members] = []
    # Of a number only its length is made: it is not needed, and a function in Python would be called for each.
    json.loads(_replace_lone_surrogates(data), parse_int=len, parse_float=len, object_pairs_hook=objects.append)
    check_keys_once(objects, keys, value)


def _parse_integer(literal: str) -> int:
    return int(literal) if len(literal) <= _INTEGER_MAX_CHARACTERS else _BEYOND


def _replace_lone_surrogates(data: bytes) -> bytes:
    if _find_surrogate(data) is None:
        return data
    return _replace_escapes(lambda escape: b"\\ufffd" if escape[1] else escape[0], data)


def _not_json(data: bytes, error: orjson.JSONDecodeError) -> BadRequest:
    message = f"this is not JSON: {error}"
    try:
        value: object = json.loads(data.decode(), parse_int=_parse_integer)  # reads NaN and Infinity, as Python does
    except (ValueError, RecursionError):
        return BadRequest(message)
    return BadValue(message, value)


# ---- values


def check_value(root: object) -> int:
    """Raise BadValue if JSON and msgpack can't both represent a value, if it nests too deep or holds too much.

    Returns how many keys its objects have. Level by level, so that what is done for each value is done by built-in
    functions.
    """
    level: list[Any] = [root]
    left, keys = ELEMENTS_MAX, 0
    for depth in itertools.count(1):
        kinds_in_order = list[type](map(type, level))
        kinds = set(kinds_in_order)
        _check_scalars(level, kinds, root)
        if kinds.isdisjoint(_CONTAINERS):
            break
        if depth > MAX_DEPTH:
            raise _too_deep(root)
        below: list[Any] = []
        names: list[Any] = []
        for kind, value in zip(kinds_in_order, level, strict=True):
            if kind is dict:
                names.extend(value)
                below.extend(value.values())
            elif kind is list:
                below.extend(value)
        _check_keys(names, root)
        left -= len(below)
        if left < 0:
            raise BadValue(f"this holds more than {ELEMENTS_MAX} values in its arrays and objects", root)
        keys += len(names)
        level = below
    return keys


_CONTAINERS = frozenset[type]({dict, list})
_JSON_TYPES = _CONTAINERS | {str, int, float, bool, type(None)}


def _check_scalars(values: list[object], kinds: set[type], root: object) -> None:
    if not kinds <= _JSON_TYPES:
        odd = next(kind for kind in kinds if kind not in _JSON_TYPES)
        raise BadValue(f"only JSON types are allowed, not {odd.__name__}", root)
    if float in kinds and not all(math.isfinite(value) for value in values if type(value) is float):
        raise BadValue("numbers have to be finite: NaN and infinity are not allowed", root)
    if int in kinds:
        integers = [value for value in values if type(value) is int]
        if min(integers) < INTEGER_MIN or max(integers) > INTEGER_MAX:
            raise BadValue(f"integers go from {INTEGER_MIN} to {INTEGER_MAX}: send others as a string", root)


def _check_keys(names: list[Any], root: object) -> None:
    for kind in set(map(type, names)):
        if kind is not str:
            raise BadValue(f"keys of an object have to be strings, not {kind.__name__}", root)


def _too_deep(value: object) -> BadValue:
    return BadValue(f"this nests deeper than {MAX_DEPTH} levels", value)
