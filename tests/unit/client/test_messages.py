"""The items of a channel."""

from datetime import UTC, datetime

from tannoy.client.messages import Gap, parse_message
from tannoy.shared.publication import Position

_FRAME = {
    "type": "message",
    "room": "lobby",
    "user_id": "ada",
    "username": "Ada",
    "session_id": "laptop",
    "content": {"text": "hi"},
    "timestamp": "2026-01-02T03:04:05.678Z",
}


def test_a_message_has_the_fields_of_its_frame() -> None:
    message = parse_message(_FRAME | {"offset": 7})
    assert (message.content, message.offset, message.user_id) == ({"text": "hi"}, 7, "ada")
    assert (message.username, message.session_id, message.timestamp) == ("Ada", "laptop", "2026-01-02T03:04:05.678Z")


def test_a_message_without_history_has_no_offset() -> None:
    assert parse_message(_FRAME).offset is None


def test_the_time_of_a_message_has_its_time_zone() -> None:
    assert parse_message(_FRAME).time == datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)


def test_a_gap_between_two_epochs_says_so() -> None:
    assert Gap("lobby", Position("e1", 4), Position("e2", 7)).is_new_epoch
    assert not Gap("lobby", Position("e1", 4), Position("e1", 7)).is_new_epoch
    assert not Gap("lobby", None, None).is_new_epoch


def test_a_gap_says_which_offsets_may_be_missing() -> None:
    gap = Gap("lobby", Position("e1", 4), Position("e1", 7))
    assert str(gap) == "messages may be missing: offsets 5 to 7 of epoch e1"
