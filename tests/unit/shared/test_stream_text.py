"""The text of a stream: whole characters, wherever a program has cut it."""

import pytest
from tannoy.shared.stream_text import TextPieces, cut

TEXT = "aé漢🎉"


def joined(*pieces: str | bytes) -> str:
    text = TextPieces()
    return (b"".join(text.add(piece) for piece in pieces) + text.finish()).decode()


def test_text_is_passed_on() -> None:
    assert joined("one ", "two") == "one two"


@pytest.mark.parametrize("at", range(len(TEXT.encode()) + 1))
def test_bytes_may_be_cut_anywhere(at: int) -> None:
    encoded = TEXT.encode()
    assert joined(encoded[:at], encoded[at:]) == TEXT


def test_only_whole_characters_are_passed_on() -> None:
    text = TextPieces()
    assert text.add("é".encode()[:1]) == b""
    assert text.add("é".encode()[1:]) == "é".encode()


def test_a_surrogate_pair_may_be_cut_in_two() -> None:
    assert joined("a\ud83c", "\udf89b") == "a🎉b"


def test_half_a_pair_that_stays_alone_is_replaced() -> None:
    assert joined("a\ud83c", "b") == "a\ufffdb"
    assert joined("a\ud83c") == "a\ufffd"


def test_half_a_character_of_bytes_that_stays_alone_is_replaced() -> None:
    assert joined("é".encode()[:1]) == "\ufffd"


@pytest.mark.parametrize(("size", "end"), [(1, 1), (2, 1), (3, 3), (5, 3), (6, 6), (9, 6), (10, 10), (99, 10)])
def test_a_part_ends_between_characters(size: int, end: int) -> None:
    assert cut(TEXT.encode(), size) == end
