"""Bytes in msgpack to values that both wire formats can represent, by the rules of `decoding.py`."""

import codecs
import re
from collections.abc import Callable

import msgpack

from ..errors import BadRequest
from .decoding import BadValue, Members, check_keys_once, check_value

_find_long_container = re.compile(rb"[\xdc-\xdf]").search  # array16, array32, map16, map32
_is_surrogate = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]").match
_UNPACK_ERRORS = (ValueError, TypeError, msgpack.exceptions.UnpackException)
_WITHOUT_WORDS = {
    "FormatError": "it has a byte that msgpack does not use",
    "StackError": "it is nested too deeply",
}
"""What to say of those errors that say nothing."""
_REPLACE_SURROGATES = "tannoy-replace-surrogates"


def _replace_surrogate(error: UnicodeError) -> tuple[str, int]:
    """Decode a surrogate that was encoded in UTF-8, which some encoders of msgpack do, as U+FFFD."""
    if isinstance(error, UnicodeDecodeError) and _is_surrogate(error.object, error.start):
        return "\ufffd", error.start + 3
    raise error


codecs.register_error(_REPLACE_SURROGATES, _replace_surrogate)


def decode_msgpack(data: bytes) -> object:
    """Decode msgpack. Raises BadRequest, and BadValue."""
    try:
        if _find_long_container(data):
            _check_complete(data)
        value = _unpack(data, _REPLACE_SURROGATES)
    except UnicodeDecodeError as error:
        raise _not_utf8(data, error) from error
    except _UNPACK_ERRORS as error:
        raise BadRequest(f"this is not msgpack: {_WITHOUT_WORDS.get(type(error).__name__) or error}") from error
    keys = check_value(value)
    # What is packed to the same bytes has each key once. Some encoders write longer ones: those are looked at again.
    if keys and msgpack.packb(value) != data:
        objects: list[Members] = []
        _unpack(data, _REPLACE_SURROGATES, objects.append)
        check_keys_once(objects, keys, value)
    return value


def _check_complete(data: bytes) -> None:
    """Raise UnpackException if arrays announce more than follows: their memory would be allocated, and then freed."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(data))
    unpacker.feed(data)
    unpacker.skip()


def _not_utf8(data: bytes, error: UnicodeDecodeError) -> BadRequest:
    message = f"this is not msgpack: {error}"
    try:
        return BadValue(message, _unpack(data, "replace"))
    except _UNPACK_ERRORS:
        return BadRequest(message)


def _unpack(data: bytes, unicode_errors: str, collect: Callable[[Members], None] | None = None) -> object:
    """With `collect`, it gets the members of each object, and the result is of no use."""
    hook = {} if collect is None else {"object_pairs_hook": collect}
    return msgpack.unpackb(data, raw=False, strict_map_key=False, unicode_errors=unicode_errors, **hook)
