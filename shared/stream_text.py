"""The text of a stream on its way: whole characters out of whatever pieces a program has, and bytes in parts.

A program may have half a character at the end of a piece: bytes that were cut, or the first half of a surrogate pair,
as JSON gives it to who reads it in parts. It waits for the rest.
"""

import codecs

_HIGH_FIRST, _HIGH_LAST = "\ud800", "\udbff"


class TextPieces:
    """Of one stream. What can't be decoded becomes U+FFFD."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._half = ""

    def add(self, piece: str | bytes, *, is_last: bool = False) -> bytes:
        """The characters that are whole now, in UTF-8. `is_last`: nothing follows; half a character is replaced."""
        text = piece if isinstance(piece, str) else self._decoder.decode(piece, is_last)
        text = self._half + text
        self._half = ""
        if text and _HIGH_FIRST <= text[-1] <= _HIGH_LAST and not is_last:
            text, self._half = text[:-1], text[-1]
        try:
            return text.encode()
        except UnicodeEncodeError:  # surrogates: pairs become their character, all others are replaced
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()

    def finish(self) -> bytes:
        """What is left at the end."""
        return self.add(b"", is_last=True)


def cut(text: bytes, size: int) -> int:
    """Where the first part of a text of whole characters ends, that has at most `size` bytes."""
    if len(text) <= size:
        return len(text)
    while text[size] & 0xC0 == 0x80:  # in the midst of a character
        size -= 1
    return size
