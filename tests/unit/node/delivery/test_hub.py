"""The registry of this node's sockets."""

import pytest
from tannoy.node.delivery.hub import Hub, HubStatistics
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName, UserId
from tannoy.shared.protocol.codec import JSON, MSGPACK

from tests.support.hub_members import KITCHEN, LOBBY, RecordingMember


def test_a_roster_is_there_until_its_last_member_is_removed() -> None:
    hub, members = Hub(), [RecordingMember() for _ in range(3)]
    for member in members:
        hub.add(LOBBY, member)
    there: list[bool] = []
    for member in members:
        hub.remove(LOBBY, member)
        there.append(LOBBY.address in hub.rosters)
    assert there == [True, True, False]


def test_channels_have_separate_rosters() -> None:
    hub, member = Hub(), RecordingMember()
    hub.add(LOBBY, member)
    hub.add(KITCHEN, member)
    hub.remove(LOBBY, member)
    assert list(hub.rosters) == [KITCHEN.address]


def test_roster_groups_outboxes_by_encoding() -> None:
    hub = Hub()
    text, also_text, binary = RecordingMember(wire=JSON), RecordingMember(wire=JSON), RecordingMember(wire=MSGPACK)
    for member in (text, also_text, binary):
        hub.add(LOBBY, member)
    roster = hub.rosters[LOBBY.address]
    assert roster.outboxes == {text.encoding: {text.outbox, also_text.outbox}, binary.encoding: {binary.outbox}}
    assert len(roster) == 3


def test_encoding_without_members_is_removed_from_the_roster() -> None:
    hub, text, binary = Hub(), RecordingMember(wire=JSON), RecordingMember(wire=MSGPACK)
    hub.add(LOBBY, text)
    hub.add(LOBBY, binary)
    hub.remove(LOBBY, binary)
    assert list(hub.rosters[LOBBY.address].outboxes) == [text.encoding]


def test_remove_of_a_session_that_is_no_member_raises() -> None:
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


def test_sessions_of_a_user_are_all_that_it_has_registered() -> None:
    hub = Hub()
    tabs = [RecordingMember(user="ada") for _ in range(2)]
    for member in (*tabs, RecordingMember(user="bob")):
        hub.register(member)
    assert sorted(hub.sessions_of(UserId("ada")), key=id) == sorted(tabs, key=id)
    assert hub.sessions_of(UserId("cyd")) == ()


def test_unregistered_session_is_no_session_of_its_user() -> None:
    hub, first, second = Hub(), RecordingMember(), RecordingMember()
    hub.register(first)
    hub.register(second)
    hub.unregister(first)
    assert hub.sessions_of(UserId("ada")) == (second,)


def test_user_without_sessions_is_removed() -> None:
    hub, member = Hub(), RecordingMember()
    hub.register(member)
    hub.unregister(member)
    assert hub.statistics() == HubStatistics(sessions=0, users=0, channels=0, rooms=0)


def test_sessions_may_be_unregistered_while_they_are_iterated() -> None:
    hub = Hub()
    for _ in range(3):
        hub.register(RecordingMember())
    for member in hub.sessions():
        hub.unregister(member)
    assert hub.statistics().sessions == 0


def test_sessions_of_a_user_may_be_unregistered_while_they_are_iterated() -> None:
    hub = Hub()
    for _ in range(3):
        hub.register(RecordingMember())
    for member in hub.sessions_of(UserId("ada")):
        hub.unregister(member)
    assert hub.sessions_of(UserId("ada")) == ()
