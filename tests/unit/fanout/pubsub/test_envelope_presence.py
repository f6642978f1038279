"""Changes of presence that scripts in Redis publish: decoded, and encoded in both wire formats."""

import msgpack
import pytest
from tannoy.fanout.pubsub.envelope import read_users, unpack_publication
from tannoy.shared.errors import MalformedBytes
from tannoy.shared.names import RoomName, UserId
from tannoy.shared.protocol.codec import JSON, MSGPACK, encode_frame
from tannoy.shared.protocol.frames import NodeFrame
from tannoy.shared.protocol.presence_frames import PresenceCount, PresentUser, UserEvent
from tannoy.shared.publication import EncodedMessage

LOBBY, ADA, BOB = RoomName("lobby"), UserId("ada"), UserId("bob")
MS = 1_795_000_000_123
V = 1_795_000_000_123_456
"""A version of a room's presence: microseconds of the clock."""
FLAT = ["bob", f"0|{MS + 1}|Bob|by 👩‍💻\n", "ada", f"2|{MS}|Ada"]
USERS = (PresentUser(ADA, "Ada", MS, 2), PresentUser(BOB, "Bob|by 👩‍💻\n", MS + 1, 0))


def packed(*parts: object) -> bytes:
    return b"\x02" + msgpack.packb(parts)


CHANGES: list[tuple[bytes, NodeFrame]] = [
    (packed("lobby", "joined", 2, V, "ada", "Ada", FLAT), UserEvent("user_joined", LOBBY, ADA, "Ada", 2, V, USERS)),
    (packed("lobby", "joined", 51, V, "ada", "Ada", False), UserEvent("user_joined", LOBBY, ADA, "Ada", 51, V)),
    (packed("lobby", "left", 0, 1, "ada", "é|🎉", []), UserEvent("user_left", LOBBY, ADA, "é|🎉", 0, 1, ())),
    (packed("lobby", "count", 2000, V), PresenceCount(LOBBY, 2000, V)),
]


@pytest.mark.parametrize(("data", "frame"), CHANGES, ids=lambda value: type(value).__name__)
def test_a_presence_change_is_decoded_to_its_frame_in_both_formats(
    data: bytes, frame: UserEvent | PresenceCount
) -> None:
    publication = unpack_publication(data)
    encoded = EncodedMessage(publication.encoded.json, publication.encoded.msgpack)
    assert (encoded, publication.version) == (encode_frame(frame), frame.version)
    assert (publication.exclude, publication.epoch, publication.offset) == ("", "", 0)
    whole = JSON.decode(publication.encoded.json)
    assert MSGPACK.decode(publication.encoded.msgpack) == whole == frame.as_object()


def test_users_are_listed_in_the_order_of_their_arrival() -> None:
    assert read_users([value.encode() for value in FLAT]) == USERS


@pytest.mark.parametrize(
    "data",
    [
        b"\x02",
        b"\x02\xc1",
        b"\x02\x00\x00",
        packed(),
        packed("lobby"),
        packed("lobby", "count", 2000),
        packed("lobby", "count", 2000, 0),
        packed("lobby", "count", 2000, -1),
        packed("lobby", "count", -1, V),
        packed("lobby", "count", 2000, 2**64 - 1),
        packed("lobby", "left", -1, V, "ada", "Ada", False),
        packed("lobby", "left", 1, 2**53, "ada", "Ada", False),
        packed("lobby", "count", 2000, 1.5),
        packed("lobby", "gone", 1, V, "ada", "Ada", False),
        packed("lobby", "joined", 1, V, "ada", "Ada"),
        packed("lobby", "joined", 1, V, "ada", "Ada", True),
        packed("lobby", "joined", 1, V, "ada", "Ada", None),
        packed("lobby", "joined", 1, V, "ada", "Ada", {}),
        packed("lobby", "joined", 1, V, "ada", "Ada", ["ada"]),
        packed("lobby", "joined", 1, V, "ada", "Ada", ["ada", 1]),
        packed("lobby", "joined", 1, V, "ada", "Ada", [1, f"1|{MS}|Ada"]),
        packed("lobby", "joined", 1, V, "ada", "Ada", ["ada", "Ada"]),
        packed("lobby", "joined", 1, V, "ada", "Ada", ["ada", "1|1"]),
        packed("lobby", "joined", 1, V, "ada", "Ada", ["ada", "-1|1|Ada"]),
        packed("lobby", "joined", 1, V, "ada", "Ada", ["ada", "1|99999999999999999999|Ada"]),
        packed("lobby", "joined", 1, V, "ada", "Ada", ["ada", b"1|1|\xff"]),
        packed("lobby", "joined", 1, V, "ada", b"\xff", False),
        packed("lobby", "joined", 1, V, b"\xff", "Ada", False),
        packed(b"\xff", "count", 1, V),
        b"\x02" + msgpack.packb({"room": "lobby"}),
    ],
    ids=repr,
)
def test_a_presence_change_that_no_script_writes_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedBytes):
        unpack_publication(data)


def test_a_truncated_presence_change_is_malformed() -> None:
    for data, _ in CHANGES:
        for length in range(len(data)):
            with pytest.raises(MalformedBytes):
                unpack_publication(data[:length])
