"""From the bus to the sockets: framed once per format, written once per socket, large rosters in slices."""

import pytest
from tannoy.node.delivery import relay as relay_module
from tannoy.node.delivery.hub import Hub
from tannoy.node.delivery.relay import Relay
from tannoy.node.rfc6455 import Opcode, frame
from tannoy.shared.channels import Channel
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.protocol.codec import JSON, MSGPACK, WireFormat
from tannoy.shared.publication import EncodedMessage, Publication

from tests.support.recording_transport import RecordingTransport
from tests.unit.node.delivery.test_hub import Somebody, somebody

KEYSPACE = Keyspace("tannoy")
LOBBY, KITCHEN = (KEYSPACE.room(RoomName(name)) for name in ("lobby", "kitchen"))


class Place:
    """A hub with its relay; `link` records what the relay does to the link."""

    def __init__(self, *, slice_size: int = 4096) -> None:
        self.hub = Hub()
        self.link: list[str] = []
        self.relay = Relay(
            self.hub,
            pause_link=lambda: self.link.append("pause"),
            resume_link=lambda: self.link.append("resume"),
            fence_if_expired=lambda: False,
            slice_size=slice_size,
        )

    def join(self, session_id: str = "s", *, channel: Channel = LOBBY, wire: WireFormat = JSON) -> Somebody:
        member = somebody(session_id, wire=wire)
        self.hub.add(channel, member)
        return member

    def say(self, *texts: str, channel: Channel = LOBBY, exclude: str = "") -> None:
        """All of it in one batch of the link."""
        self.relay.deliver([said(text, channel=channel, exclude=exclude) for text in texts])


def said(text: str, *, channel: Channel = LOBBY, exclude: str = "") -> tuple[bytes, Publication]:
    encoded = EncodedMessage(text.encode(), text.upper().encode())
    return channel.address, Publication(encoded, exclude)


def writes(member: Somebody) -> list[bytes]:
    writer = member.outbox.write
    transport = getattr(writer, "__self__", None)
    assert isinstance(transport, RecordingTransport)
    return transport.writes


def text_frames(*texts: str) -> bytes:
    return b"".join(frame(Opcode.TEXT, text.encode()) for text in texts)


def binary_frames(*texts: str) -> bytes:
    return b"".join(frame(Opcode.BINARY, text.upper().encode()) for text in texts)


# ---- framing


def test_each_socket_gets_its_own_format() -> None:
    place = Place()
    text, binary = place.join(wire=JSON), place.join(wire=MSGPACK)
    place.say("hi")
    assert (writes(text), writes(binary)) == ([text_frames("hi")], [binary_frames("hi")])


def test_all_of_one_batch_is_one_write_in_order() -> None:
    place = Place()
    member = place.join()
    place.say("1", "2", "3")
    assert writes(member) == [text_frames("1", "2", "3")]


def test_sockets_of_one_format_share_the_same_bytes() -> None:
    place = Place()
    members = [place.join() for _ in range(10)]
    place.say("1", "2")
    assert len({id(writes(member)[0]) for member in members}) == 1


def test_a_message_is_framed_once_per_format_however_many_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    framed: list[WireFormat] = []

    def counting(publication: Publication, wire: WireFormat) -> bytes:
        framed.append(wire)
        return b"frame"

    monkeypatch.setattr(relay_module, "frame_publication", counting)
    place = Place()
    for wire in (JSON, MSGPACK, JSON, MSGPACK, JSON):
        place.join(wire=wire)
    place.say("1")
    assert sorted(wire.name for wire in framed) == ["json", "msgpack"]


def test_channels_of_one_batch_are_told_apart() -> None:
    place = Place()
    lobby, kitchen = place.join(), place.join(channel=KITCHEN)
    place.relay.deliver([said("1"), said("a", channel=KITCHEN), said("2")])
    assert (writes(lobby), writes(kitchen)) == ([text_frames("1", "2")], [text_frames("a")])


def test_what_nobody_here_listens_to_is_dropped() -> None:
    place = Place()
    place.say("hi")
    later = place.join()
    assert (writes(later), place.relay.statistics()["deliveries"]) == ([], 0)


# ---- exclusion


def test_an_excluded_session_does_not_get_it() -> None:
    place = Place()
    author, other = place.join("author"), place.join("other")
    place.say("typing", exclude="author")
    assert (writes(author), writes(other)) == ([], [text_frames("typing")])


def test_an_excluded_session_gets_all_else_of_the_batch_in_order() -> None:
    place = Place()
    ada, bob, cyd = (place.join(name) for name in ("ada", "bob", "cyd"))
    place.relay.deliver([said("1"), said("2", exclude="ada"), said("3", exclude="bob"), said("4")])
    assert writes(ada) == [text_frames("1", "3", "4")]
    assert writes(bob) == [text_frames("1", "2", "4")]
    assert writes(cyd) == [text_frames("1", "2", "3", "4")]


# ---- whoever leaves in the midst


def test_a_write_may_make_its_own_socket_leave() -> None:
    place = Place()
    members = [place.join() for _ in range(5)]
    for member in members:
        leave_on_write(place, member, member)
    place.say("1")
    assert place.hub.rosters == {}


def test_a_write_may_make_the_sockets_of_the_other_format_leave() -> None:
    place = Place()
    binary = place.join(wire=MSGPACK)
    text = place.join(wire=JSON)
    leave_on_write(place, binary, text)
    leave_on_write(place, text, binary)
    place.say("1")
    assert len(place.hub.rosters[LOBBY.address]) == 1


def leave_on_write(place: Place, writer: Somebody, leaver: Somebody) -> None:
    """Whatever is written to `writer` makes `leaver` leave."""

    def leave(frames: bytes) -> None:
        leaver.outbox.discard()
        place.hub.remove(LOBBY, leaver)

    writer.outbox.write = leave
