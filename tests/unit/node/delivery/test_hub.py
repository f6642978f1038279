"""The registry of this node's sockets."""

import pytest
from tannoy.node.delivery.hub import Hub, HubStatistics
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName, UserId
from tannoy.shared.protocol.codec import JSON, MSGPACK

from tests.support.hub_members import KITCHEN, LOBBY, RecordingMember


def test_the_first_one_in_is_reported() -> None:
    hub = Hub()
    assert [hub.add(LOBBY, RecordingMember()) for _ in range(3)] == [True, False, False]


def test_the_last_one_out_is_reported() -> None:
    hub, members = Hub(), [RecordingMember() for _ in range(3)]
    for member in members:
        hub.add(LOBBY, member)
    assert [hub.remove(LOBBY, member) for member in members] == [False, False, True]


def test_the_first_one_of_another_format_is_not_the_first_one_in() -> None:
    hub = Hub()
    hub.add(LOBBY, RecordingMember(wire=JSON))
    assert hub.add(LOBBY, RecordingMember(wire=MSGPACK)) is False


def test_whoever_comes_after_the_last_one_out_is_the_first_one_in() -> None:
    hub, member = Hub(), RecordingMember()
    assert [hub.add(LOBBY, member), hub.remove(LOBBY, member), hub.add(LOBBY, member)] == [True, True, True]


def test_channels_are_told_apart() -> None:
    hub, member = Hub(), RecordingMember()
    assert (hub.add(LOBBY, member), hub.add(KITCHEN, member)) == (True, True)
    assert hub.remove(LOBBY, member) is True
    assert list(hub.rosters) == [KITCHEN.address]


def test_a_roster_holds_its_sockets_by_wire_format() -> None:
    hub = Hub()
    text, also_text, binary = RecordingMember(wire=JSON), RecordingMember(wire=JSON), RecordingMember(wire=MSGPACK)
    for member in (text, also_text, binary):
        hub.add(LOBBY, member)
    roster = hub.rosters[LOBBY.address]
    assert roster.outboxes == {text.encoding: {text.outbox, also_text.outbox}, binary.encoding: {binary.outbox}}
    assert len(roster) == 3


def test_a_format_that_nobody_speaks_any_more_is_not_framed_for() -> None:
    hub, text, binary = Hub(), RecordingMember(wire=JSON), RecordingMember(wire=MSGPACK)
    hub.add(LOBBY, text)
    hub.add(LOBBY, binary)
    hub.remove(LOBBY, binary)
    assert list(hub.rosters[LOBBY.address].outboxes) == [text.encoding]


def test_nothing_is_left_of_an_empty_channel() -> None:
    hub, member = Hub(), RecordingMember()
    hub.add(LOBBY, member)
    hub.remove(LOBBY, member)
    assert hub.rosters == {}


def test_whoever_is_not_there_can_not_be_removed() -> None:
    hub = Hub()
    hub.add(LOBBY, RecordingMember())
    with pytest.raises(KeyError):
        hub.remove(LOBBY, RecordingMember())


def test_all_members_of_a_channel_share_one_channel_object() -> None:
    hub = Hub()
    hub.add(LOBBY, RecordingMember())
    again = Keyspace("tannoy").room(RoomName("lobby"))
    assert again is not LOBBY
    assert hub.intern_channel(again) is LOBBY
    assert hub.intern_channel(KITCHEN) is KITCHEN


def test_a_user_has_all_its_sessions() -> None:
    hub = Hub()
    tabs = [RecordingMember(user="ada") for _ in range(2)]
    for member in (*tabs, RecordingMember(user="bob")):
        hub.register(member)
    assert sorted(hub.sessions_of(UserId("ada")), key=id) == sorted(tabs, key=id)
    assert hub.sessions_of(UserId("nobody")) == ()


def test_a_session_that_is_gone_is_not_its_users_any_more() -> None:
    hub, first, second = Hub(), RecordingMember(), RecordingMember()
    hub.register(first)
    hub.register(second)
    hub.unregister(first)
    assert hub.sessions_of(UserId("ada")) == (second,)


def test_nothing_is_left_of_a_user_without_sessions() -> None:
    hub, member = Hub(), RecordingMember()
    hub.register(member)
    hub.unregister(member)
    assert hub.statistics() == HubStatistics(sessions=0, users=0, channels=0)


def test_whoever_walks_the_sessions_may_end_what_it_meets() -> None:
    hub = Hub()
    for _ in range(3):
        hub.register(RecordingMember())
    for member in hub.sessions():
        hub.unregister(member)
    assert hub.statistics().sessions == 0


def test_whoever_walks_a_users_sessions_may_end_what_it_meets() -> None:
    hub = Hub()
    for _ in range(3):
        hub.register(RecordingMember())
    for member in hub.sessions_of(UserId("ada")):
        hub.unregister(member)
    assert hub.sessions_of(UserId("ada")) == ()
