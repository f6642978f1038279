"""What the settings let scripts tell the HTTP hooks."""

import pytest
from tannoy.fanout.history.publisher import ToldChannels
from tannoy.fanout.webhooks.told import read_told
from tannoy.shared.errors import StartError
from tannoy.shared.settings import Settings

URL = "https://example.org/"


@pytest.mark.parametrize(
    ("events", "word"),
    [
        ("room_vacated", "5000:r"),
        ("user_joined", "5000:u"),
        ("room_occupied,user_left", "5000:ru"),
        ("session_opened", ""),
        ("none", ""),
    ],
)
def test_the_word_for_presence_has_the_bound_and_what_is_told(events: str, word: str) -> None:
    assert read_told(Settings(hook_url=URL, hook_events=events, hook_backlog=5000)) == (word, None)


def test_messages_are_told_of_the_channels_that_the_settings_list() -> None:
    _, messages = read_told(Settings(hook_url=URL, hook_messages="room:a*", hook_backlog=5000))
    assert messages == ToldChannels(("room:a*",), 5000)


def test_without_a_target_nothing_is_told() -> None:
    assert read_told(Settings(hook_messages="room:*")) == ("", None)


def test_messages_without_a_history_stop_the_start() -> None:
    with pytest.raises(StartError, match="TANNOY_HOOK_MESSAGES needs a history"):
        read_told(Settings(hook_url=URL, hook_messages="room:*", history_size=0))
