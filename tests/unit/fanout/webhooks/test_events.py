"""Entries of the backlog, read as events; what no node has written is refused."""

from collections.abc import Sequence

import orjson
import pytest
from tannoy.fanout.pubsub.envelopes import PLAIN
from tannoy.fanout.webhooks.events import EventReader
from tannoy.shared.channels import Channel
from tannoy.shared.errors import MalformedBytes
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.protocol.codec import encode_frame
from tannoy.shared.protocol.frames import Author, MessageFrame
from tannoy.shared.publication import Publication

KEYSPACE = Keyspace("test")
ENTRY = b"1764547200123-4"
AT = "2025-12-01T00:00:00.123Z"
OPENED = {"id": "abc-7-opened", "type": "session_opened", "timestamp": "then", "user_id": "ada"}


def read(*words: bytes | str) -> dict[str, object]:
    listed: Sequence[bytes] = [word.encode() if isinstance(word, str) else word for word in words]
    return EventReader(KEYSPACE, PLAIN).read(3, ENTRY, listed).event


def test_a_room_event_has_its_id_of_the_entry_and_its_time() -> None:
    assert read("t", "room_vacated", "r", "lobby") == {
        "id": "3-1764547200123-4",
        "type": "room_vacated",
        "timestamp": AT,
        "room": "lobby",
    }


def test_a_user_event_says_who_and_how_many_there_are() -> None:
    event = read("t", "user_joined", "r", "lobby", "u", "ada", "n", "Ada", "c", "2")
    assert {name: event[name] for name in ("user_id", "username", "users_count")} == {
        "user_id": "ada",
        "username": "Ada",
        "users_count": 2,
    }


def test_a_message_is_its_frame_with_its_position() -> None:
    room: Channel = KEYSPACE.room(RoomName("lobby"))
    frame = MessageFrame(room, Author.named("ada", "Ada"), {"hi": 1}, AT)  # type: ignore[arg-type]
    envelope = PLAIN.pack(room.address, Publication(encode_frame(frame), ""), kept=True)
    event = read("t", "message_published", "c", "room:lobby", "p", "e-1 9", "m", envelope)
    assert (event["type"], event["room"], event["content"]) == ("message_published", "lobby", {"hi": 1})
    assert (event["epoch"], event["offset"], event["timestamp"]) == ("e-1", 9, AT)


def test_the_end_of_a_session_of_a_lost_node_has_the_id_that_the_node_would_have_given_it() -> None:
    event = read("t", "session_lost", "j", orjson.dumps(OPENED))
    assert event == {
        **OPENED,
        "id": "abc-7-closed",
        "type": "session_closed",
        "timestamp": AT,
        "code": None,
        "reason": "the node was lost",
    }


def test_an_event_that_is_sent_again_is_the_same() -> None:
    assert read("t", "again", "j", orjson.dumps(OPENED)) == OPENED


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("t",),
        ("t", "room_closed", "r", "lobby"),
        ("t", "room_vacated"),
        ("t", "room_vacated", "r", "a room"),
        ("t", "user_joined", "r", "lobby", "u", b"\xff", "n", "Ada", "c", "2"),
        ("t", "user_joined", "r", "lobby", "u", "ada", "n", "Ada", "c", "two"),
        ("t", "session_opened", "j", "[]"),
        ("t", "session_opened", "j", "{}"),
        ("t", "session_opened", "j", "{"),
        ("t", "message_published", "c", "lobby", "p", "e-1 9", "m", "x"),
        ("t", "message_published", "c", "room:lobby", "p", "e-1", "m", "x"),
        ("t", "message_published", "c", "room:lobby", "p", "e-1 9", "m", "x"),
    ],
)
def test_what_no_node_has_written_is_refused(words: tuple[bytes | str, ...]) -> None:
    with pytest.raises(MalformedBytes):
        read(*words)
