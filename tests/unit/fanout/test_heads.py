"""The head of a channel's history in a reply of Redis."""

import pytest
from tannoy.fanout.heads import read_position
from tannoy.fanout.redis.connection import Reply
from tannoy.shared.publication import Position


def test_a_head_is_an_epoch_and_an_offset() -> None:
    assert read_position(b"life-1 40") == Position("life-1", 40)


@pytest.mark.parametrize("reply", [None, 1, [b"life-1 40"], b"", b"life-1", b"life-1 many", b"life 1 40", b"\xff 1"])
def test_another_reply_is_a_value_error(reply: Reply) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # UnicodeDecodeError is one, with words of its own
        read_position(reply)
