"""What callers of `many` write, who may have no type checker."""

from typing import Any

import pytest
from tannoy.sdk.errors import InvalidName, PublishRefused
from tannoy.sdk.messages import ChannelMessage, check_fields
from tannoy.shared.channels import ChannelKind
from tannoy.shared.names import UserId
from tannoy.shared.protocol.frames import Author


def test_a_message_without_an_author_has_none() -> None:
    assert check_fields({"agent_id": "42", "content": None}) == ChannelMessage(
        ChannelKind.AGENT, "42", None, Author(None, None, None)
    )


def test_the_username_is_the_user_id_if_it_is_missing_and_an_integer_is_its_text() -> None:
    message = check_fields({"room": "lobby", "content": 1, "user_id": 7, "key": "k", "exclude_session": "s1"})
    assert message == ChannelMessage(ChannelKind.ROOM, "lobby", 1, Author(UserId("7"), "7", None), "k", "s1")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"content": 1}, "either a room or an agent_id"),
        ({"content": 1, "room": "r", "agent_id": "a"}, "either a room or an agent_id"),
        ({"room": "r"}, "the field 'content' is missing"),
        ({"room": "r", "content": 1, "to": "ada", "x": 1}, r"no field 'to', 'x' here: allowed are agent_id content"),
        ({"room": "r", "content": 1, "key": "k" * 257}, "key has to be a string of 1 to 256 characters"),
        ({"room": "r", "content": 1, "key": "\ud800"}, "key has half of a surrogate pair"),
    ],
)
def test_a_malformed_message_is_refused_with_what_is_allowed(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(PublishRefused, match=says):
        check_fields(fields)


@pytest.mark.parametrize("name", [7, "", "a b", "é", ["lobby"]])
def test_a_name_that_is_none_is_refused(name: object) -> None:
    with pytest.raises(InvalidName):
        check_fields({"room": name, "content": 1})
