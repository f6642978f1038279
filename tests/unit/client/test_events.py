"""Frames as typed events."""

import pytest
from tannoy.client.catch_up import Frame
from tannoy.client.events import (
    BusStatus,
    Event,
    NodeError,
    PresenceCounted,
    PrivateMessage,
    Typing,
    UserJoined,
    UserLeft,
    parse_event,
)

_ADA: Frame = {"room": "lobby", "user_id": "ada", "username": "Ada"}


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        ({"type": "typing", **_ADA}, Typing("lobby", "ada", "Ada")),
        ({"type": "user_joined", **_ADA, "users_count": 3, "version": 9}, UserJoined("lobby", "ada", "Ada", 3)),
        ({"type": "user_left", **_ADA, "users_count": 2, "version": 9}, UserLeft("lobby", "ada", "Ada", 2)),
        ({"type": "presence", "room": "lobby", "users_count": 2000, "version": 9}, PresenceCounted("lobby", 2000)),
        (
            {"type": "private", "from_user_id": "ada", "from_username": "Ada", "content": [1], "timestamp": "t"},
            PrivateMessage("ada", "Ada", [1], "t"),
        ),
        ({"type": "status", "bus": "down"}, BusStatus("down")),
        ({"type": "error", "code": "internal", "message": "why"}, NodeError("internal", "why")),
    ],
)
def test_a_frame_becomes_its_event(frame: Frame, event: Event) -> None:
    assert parse_event(frame) == event


def test_a_type_of_a_later_version_is_no_event() -> None:
    assert parse_event({"type": "delta", "text": "tok"}) is None


def test_a_field_of_a_later_version_is_ignored() -> None:
    assert parse_event({"type": "status", "bus": "up", "since": 4}) == BusStatus("up")
