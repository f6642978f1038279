"""The sockets of one channel, and the buffers of those that join it."""

import pytest
from tannoy.node.delivery import roster as roster_module
from tannoy.node.delivery.hub import Hub
from tannoy.node.delivery.roster import JoinBuffer
from tannoy.node.delivery.watermark import NOTHING_SEEN
from tannoy.shared.protocol.codec import MSGPACK
from tannoy.shared.publication import EncodedMessage, Publication

from tests.support.hub_members import LOBBY, RecordingMember


def publication(size: int) -> Publication:
    return Publication(EncodedMessage(b"x" * size, b""))


@pytest.mark.parametrize(("size", "kept"), [(10, 10), (100, 10), (101, 9), (300, 3), (1000, 1), (1001, 0)])
def test_join_buffer_beyond_a_bound_drops_the_oldest_and_notes_it(
    monkeypatch: pytest.MonkeyPatch, size: int, kept: int
) -> None:
    monkeypatch.setattr(roster_module, "JOIN_BUFFER_MAX_PUBLICATIONS", 10)
    monkeypatch.setattr(roster_module, "JOIN_BUFFER_MAX_BYTES", 1000)
    buffer, publications = JoinBuffer(), [publication(size) for _ in range(10)]
    for one in publications:
        buffer.extend([one])
    assert (len(buffer.publications), buffer.overflowed) == (kept, kept < 10)
    assert all(mine is theirs for mine, theirs in zip(buffer.publications, publications[10 - kept :], strict=True))
    buffer.extend([publication(1), publication(1)])
    assert buffer.publications[-1].encoded.json == b"x"
    assert len(buffer.publications) <= 10


def test_overflowed_join_buffer_keeps_the_latest_of_a_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_module, "JOIN_BUFFER_MAX_PUBLICATIONS", 2)
    hub, member = Hub(), RecordingMember("new")
    buffer = hub.begin_join(LOBBY, member)
    hub.rosters[LOBBY.address].begin_delivery([publication(1), publication(2), publication(3)])
    assert buffer.overflowed
    assert [len(one.encoded.json) for one in hub.complete_join(LOBBY, member, NOTHING_SEEN)] == [2, 3]


def test_session_is_found_in_the_roster_of_its_channel() -> None:
    hub, one, other = Hub(), RecordingMember("one"), RecordingMember("other", wire=MSGPACK)
    hub.add(LOBBY, one)
    hub.add(LOBBY, other)
    roster = hub.rosters[LOBBY.address]
    assert roster.find_session("other") == (other.encoding, other.outbox)
    assert roster.find_session("stranger") is None


def test_roster_of_joining_sessions_alone_has_no_members() -> None:
    hub, member = Hub(), RecordingMember()
    hub.begin_join(LOBBY, member)
    assert len(hub.rosters[LOBBY.address]) == 0
    hub.complete_join(LOBBY, member, NOTHING_SEEN)
    assert len(hub.rosters[LOBBY.address]) == 1
