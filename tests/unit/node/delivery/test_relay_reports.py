"""Reports of the relay: what became of a message with a token at each socket."""

import pytest
from tannoy.node.delivery.outbox import Outbox, OutboxLimits
from tannoy.node.delivery.watermark import Watermark
from tannoy.shared.policy import SlowPolicy
from tannoy.shared.publication import EncodedMessage, Publication
from tannoy.shared.reports import SocketOutcome, add_token

from tests.support.clock import on_manual_time, turns
from tests.support.hub_members import KITCHEN, LOBBY, RecordingMember, RelayDriver, delivery, text_frames

MARK = add_token("", "t")


def join_slow(driver: RelayDriver, session_id: str, max_bytes: int, policy: SlowPolicy = SlowPolicy.DISCONNECT) -> None:
    """Join a session whose socket is full, with an outbox of this size."""
    member = RecordingMember(session_id)
    limits, nothing = OutboxLimits(max_bytes, policy), lambda: None
    member.outbox = Outbox(member.transport, limits, session_id, on_overflow=nothing, on_skipped=nothing)
    driver.hub.add(LOBBY, member)
    member.outbox.pause()


def test_sockets_are_counted_as_written_slow_or_closed() -> None:
    driver = RelayDriver()
    for session_id in ("a", "b"):
        driver.join(session_id)
    join_slow(driver, "c", 1000)
    join_slow(driver, "d", 1)
    driver.deliver("hello", exclude=MARK)
    assert driver.outcomes == {"t": SocketOutcome(2, 1, 1, ("d",))}


def test_a_socket_that_skips_the_message_counts_as_slow() -> None:
    driver = RelayDriver()
    join_slow(driver, "a", 1, SlowPolicy.SKIP)
    driver.deliver("hello", exclude=MARK)
    assert driver.outcomes == {"t": SocketOutcome(slow=1)}


def test_a_socket_that_was_closed_before_is_not_counted() -> None:
    driver = RelayDriver()
    driver.join("a").outbox.discard()
    driver.deliver("hello", exclude=MARK)
    assert driver.outcomes == {"t": SocketOutcome()}


def test_a_message_without_a_token_is_not_reported() -> None:
    driver = RelayDriver()
    driver.join("a")
    driver.deliver("hello")
    driver.deliver("hello", exclude="b")
    assert driver.outcomes == {}


def test_a_message_with_a_token_is_delivered_as_every_other_and_not_to_the_excluded_session() -> None:
    driver = RelayDriver()
    excluded, other = driver.join("a"), driver.join("b")
    driver.relay.deliver([delivery("1"), delivery("2", exclude=add_token("a", "t")), delivery("3")])
    assert (excluded.writes, other.writes) == ([text_frames("1", "3")], [text_frames("1", "2", "3")])
    assert driver.outcomes == {"t": SocketOutcome(written=1)}


def test_each_message_of_a_batch_has_its_own_outcome() -> None:
    driver = RelayDriver()
    for session_id in ("a", "b"):
        driver.join(session_id)
    marks = (add_token("", "t1"), add_token("a", "t2"))
    driver.relay.deliver([delivery("1", exclude=marks[0]), delivery("2", exclude=marks[1])])
    assert driver.outcomes == {"t1": SocketOutcome(written=2), "t2": SocketOutcome(written=1)}


def test_a_member_that_knows_the_message_from_its_snapshot_is_not_counted() -> None:
    driver = RelayDriver()
    member = driver.join("a")
    driver.join("b")
    driver.hub.skip_to(LOBBY, member, Watermark(0, "e", 7))
    encoded = EncodedMessage(b'{"a":1}', b"\x81\xa1a\x01")
    driver.relay.deliver([(LOBBY.address, Publication(encoded, MARK, 0, "e", 7))])
    assert driver.outcomes == {"t": SocketOutcome(written=1)}


def test_a_channel_without_sessions_is_not_reported() -> None:
    driver = RelayDriver()
    driver.deliver("hello", channel=KITCHEN, exclude=MARK)
    assert driver.outcomes == {}


@on_manual_time
async def test_a_delivery_in_slices_is_reported_when_the_last_one_is_written() -> None:
    driver = RelayDriver(slice_size=3)
    for number in range(8):
        driver.join(str(number))
    driver.deliver("1", exclude=MARK)
    driver.deliver("2", exclude=add_token("", "t2"))
    assert driver.outcomes == {}
    await turns(10)
    assert driver.outcomes == {"t": SocketOutcome(written=8), "t2": SocketOutcome(written=8)}


@pytest.mark.parametrize("after", [0, 1])
@on_manual_time
async def test_a_delivery_in_slices_that_ends_since_all_have_left_is_reported_as_far_as_it_went(after: int) -> None:
    driver = RelayDriver(slice_size=3)
    members = [driver.join(str(number)) for number in range(8)]
    driver.deliver("1", exclude=MARK)
    await turns(after)
    for member in members:
        driver.hub.remove(LOBBY, member)
    await turns(10)
    assert driver.outcomes == {"t": SocketOutcome(written=3 + 3 * after)}
