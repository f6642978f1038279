"""Messages as nodes encode them, and contents that both wire formats can represent."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tannoy.sdk.encoding import Encoder
from tannoy.sdk.errors import MessageTooLarge, PublishRefused
from tannoy.sdk.messages import ChannelMessage
from tannoy.shared.channels import ChannelKind
from tannoy.shared.clock import rfc3339
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName, UserId
from tannoy.shared.protocol.codec import encode_frame
from tannoy.shared.protocol.decoding import BadValue, check_value
from tannoy.shared.protocol.frames import Author, MessageFrame

from tests.support.clock import ManualClock

KEYSPACE = Keyspace("tannoy")
LOBBY = KEYSPACE.room(RoomName("lobby"))
ADA, NOBODY = Author(UserId("ada"), "Ada", None), Author(None, None, None)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
        | st.lists(inner, min_size=1, max_size=1)
    ),
    max_leaves=12,
)


def encoder(max_bytes: int = 65_536) -> Encoder:
    return Encoder(KEYSPACE, ManualClock(), max_bytes)


def message(content: object, author: Author = NOBODY) -> ChannelMessage:
    return ChannelMessage(ChannelKind.ROOM, "lobby", content, author, None, "s9")


@pytest.mark.parametrize("author", [ADA, NOBODY])
def test_a_message_is_encoded_as_a_node_does_it(author: Author) -> None:
    ready = encoder().encode(message({"deep": [1, None, 1.5, "é"]}, author))
    frame = MessageFrame(LOBBY, author, {"deep": [1, None, 1.5, "é"]}, rfc3339(ManualClock().now()))
    assert ready.encoded == encode_frame(frame)
    assert (ready.channel, ready.author, ready.exclude) == (LOBBY, author.user_id or "", "s9")


@given(VALUES)
@example(float("nan"))
@example({"deep": [None, float("-inf")]})
@example([[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]])
@example([[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]])
@example([0] * 16_384)
@example([0] * 16_385)
def test_exactly_what_a_node_would_accept_is_accepted(content: Any) -> None:
    try:
        check_value(content)
    except BadValue:
        with pytest.raises(PublishRefused):
            encoder().encode(message(content))
    else:
        encoder().encode(message(content))


@pytest.mark.parametrize("length", [126, 127])
def test_the_size_is_that_of_the_content_as_json(length: int) -> None:
    content = "x" * (length - 2)  # and two quotation marks
    if length <= 126:
        assert encoder(126).encode(message(content)).size > length
    else:
        with pytest.raises(MessageTooLarge, match="the content has 127 bytes as JSON, and 126 are allowed"):
            encoder(126).encode(message(content))
        with pytest.raises(MessageTooLarge):
            encoder(126).check_content(content)
