"""The sessions of a process in rooms, by partition."""

from tannoy.fanout.presence.present import PresentSession, PresentSessions
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName, UserId

KEYSPACE = Keyspace("tannoy")
LOBBY = KEYSPACE.room(RoomName("lobby"))
ADA = PresentSession(LOBBY, UserId("ada"), "Ada")
BOB = PresentSession(LOBBY, UserId("bob"), "Bob")


def test_sessions_are_listed_by_the_rooms_of_a_partition() -> None:
    present = PresentSessions()
    present.add(1, ADA)
    present.add(2, BOB)
    assert present.rooms_of(LOBBY.partition) == {"lobby": {1: ADA, 2: BOB}}
    assert present.rooms_of((LOBBY.partition + 1) % 64) == {}


def test_a_session_that_has_left_is_not_listed() -> None:
    present = PresentSessions()
    present.add(1, ADA)
    present.remove(LOBBY, 1)
    present.remove(LOBBY, 1)
    assert present.rooms_of(LOBBY.partition) == {}


def test_what_was_listed_does_not_change_with_a_later_leave() -> None:
    present = PresentSessions()
    present.add(1, ADA)
    listed = present.rooms_of(LOBBY.partition)
    present.remove(LOBBY, 1)
    assert listed == {"lobby": {1: ADA}}
