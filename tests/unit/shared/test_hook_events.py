"""TANNOY_HOOK_EVENTS."""

import pytest
from tannoy.shared.hook_events import CHOOSABLE, HookEvent, parse_events


def test_events_are_read_in_their_order_each_once() -> None:
    assert parse_events(["user_left", " room_occupied ", "user_left", ""]) == (
        HookEvent.ROOM_OCCUPIED,
        HookEvent.USER_LEFT,
    )


def test_an_unknown_event_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=f"has 'room_closed'; allowed are {', '.join(CHOOSABLE)}, or none"):
        parse_events(["room_occupied", "room_closed"])


def test_messages_are_refused_with_the_setting_that_they_have() -> None:
    with pytest.raises(ValueError, match="TANNOY_HOOK_MESSAGES has the rooms and agents of these"):
        parse_events(["message_published"])
