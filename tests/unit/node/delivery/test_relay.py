"""Delivery from the bus to the sockets: framed once per encoding, written once per socket."""

from tannoy.node.protocols.encoding import PROTOCOLS, Encoding
from tannoy.node.protocols.framing import Chunk, Framing
from tannoy.shared.protocol.codec import JSON, MSGPACK

from tests.support.hub_members import KITCHEN, LOBBY, RecordingMember, RelayDriver, binary_frames, delivery, text_frames

# ---- framing


def test_each_socket_is_written_to_in_its_encoding() -> None:
    driver = RelayDriver()
    text, binary = driver.join(wire=JSON), driver.join(wire=MSGPACK)
    driver.deliver("hi")
    assert (text.writes, binary.writes) == ([text_frames("hi")], [binary_frames("hi")])


def test_batch_is_one_write_in_order() -> None:
    driver = RelayDriver()
    member = driver.join()
    driver.deliver("1", "2", "3")
    assert member.writes == [text_frames("1", "2", "3")]


def test_sockets_of_one_encoding_share_the_same_bytes() -> None:
    driver = RelayDriver()
    members = [driver.join() for _ in range(10)]
    driver.deliver("1", "2")
    assert len({id(member.writes[0]) for member in members}) == 1


def test_message_is_framed_once_per_encoding_however_many_sockets() -> None:
    framed: list[bytes] = []

    def counting(payload: bytes) -> bytes:
        framed.append(payload)
        return payload

    framing = Framing("counting", text=counting, binary=counting, join=b"".join)
    encodings = [Encoding(PROTOCOLS[wire], framing) for wire in (JSON, MSGPACK)]
    framed.clear()
    driver = RelayDriver()
    for encoding in (*encodings, *encodings, encodings[0]):
        member = RecordingMember()
        member.encoding = encoding
        driver.hub.add(LOBBY, member)
    driver.deliver("once")
    assert sorted(framed) == [b"ONCE", b"once"]


def test_batch_of_two_channels_is_delivered_to_the_members_of_each() -> None:
    driver = RelayDriver()
    lobby, kitchen = driver.join(), driver.join(channel=KITCHEN)
    driver.relay.deliver([delivery("1"), delivery("a", channel=KITCHEN), delivery("2")])
    assert (lobby.writes, kitchen.writes) == ([text_frames("1", "2")], [text_frames("a")])


def test_message_of_a_channel_without_members_is_dropped() -> None:
    driver = RelayDriver()
    driver.deliver("hi")
    later = driver.join()
    assert (later.writes, driver.relay.statistics().deliveries) == ([], 0)


# ---- exclusion


def test_excluded_session_receives_nothing() -> None:
    driver = RelayDriver()
    author, other = driver.join("author"), driver.join("other")
    driver.deliver("typing", exclude="author")
    assert (author.writes, other.writes) == ([], [text_frames("typing")])


def test_excluded_session_receives_the_rest_of_the_batch_in_order() -> None:
    driver = RelayDriver()
    ada, bob, cyd = (driver.join(name) for name in ("ada", "bob", "cyd"))
    driver.relay.deliver([delivery("1"), delivery("2", exclude="ada"), delivery("3", exclude="bob"), delivery("4")])
    assert ada.writes == [text_frames("1", "3", "4")]
    assert bob.writes == [text_frames("1", "2", "4")]
    assert cyd.writes == [text_frames("1", "2", "3", "4")]


# ---- members that leave during a delivery


def test_write_may_remove_its_own_member() -> None:
    driver = RelayDriver()
    members = [driver.join() for _ in range(5)]
    for member in members:
        leave_on_write(driver, member, member)
    driver.deliver("1")
    assert driver.hub.rosters == {}


def test_write_may_remove_members_of_another_encoding() -> None:
    driver = RelayDriver()
    binary = driver.join(wire=MSGPACK)
    text = driver.join(wire=JSON)
    leave_on_write(driver, binary, text)
    leave_on_write(driver, text, binary)
    driver.deliver("1")
    assert len(driver.hub.rosters[LOBBY.address]) == 1


def leave_on_write(driver: RelayDriver, writer: RecordingMember, leaver: RecordingMember) -> None:
    """Let a write to `writer` remove `leaver` from the hub."""

    def leave(chunk: Chunk) -> None:
        leaver.outbox.discard()
        driver.hub.remove(LOBBY, leaver)

    writer.outbox.write = leave


# ---- versions of presence events


def test_presence_event_that_does_not_lie_above_those_before_is_dropped_and_counted() -> None:
    driver = RelayDriver()
    member = driver.join()
    for versions in ([5], [4, 5], [6, 3, 8], [7], [9]):
        driver.relay.deliver([delivery(f"v{version}", version=version) for version in versions])
    assert member.writes == [text_frames("v5"), text_frames("v6", "v8"), text_frames("v9")]
    assert driver.relay.statistics().outdated == 4


def test_messages_beside_an_outdated_presence_event_are_delivered() -> None:
    driver = RelayDriver()
    member = driver.join()
    driver.relay.deliver([delivery("v5", version=5)])
    driver.relay.deliver([delivery("1"), delivery("v4", version=4), delivery("2")])
    assert member.writes == [text_frames("v5"), text_frames("1", "2")]
