"""Streams to clients that read slowly: one frame of what they have not read, and nothing of it dropped or doubled."""

from collections.abc import Iterator

import pytest
from tannoy.node.delivery.outbox import Outbox, OutboxLimits
from tannoy.shared.policy import SlowPolicy

from tests.support.clock import on_manual_time, turns
from tests.support.hub_members import LOBBY, RecordingMember, RelayDriver, delivery
from tests.support.outbox_listener import OutboxListener
from tests.support.recording_transport import RecordingTransport
from tests.support.stream_events import Delivery, begun, ended, piece, read, shown


class SlowReader(RecordingMember):
    """A member that reads only when the test lets it; from then on until its transport is full again."""

    def __init__(
        self, *, max_bytes: int = 1000, policy: SlowPolicy = SlowPolicy.DISCONNECT, high_water: int | None = None
    ) -> None:
        super().__init__("slow")
        self.transport = RecordingTransport(high_water=high_water)
        self.limits = OutboxLimits(max_bytes, policy)
        self.events: list[str] = []
        self.outbox = Outbox(
            self.transport,
            self.limits,
            "slow",
            on_overflow=lambda: self.events.append("overflow"),
            on_skipped=lambda: self.events.append("skipped"),
        )
        listener = OutboxListener()
        listener.outbox = self.outbox
        self.transport.listen(listener)

    def take(self) -> list[str]:
        return shown(self.transport.take())

    def read(self) -> list[str]:
        self.transport.drain()
        return self.take()


class SlowRoom(RelayDriver):
    def __init__(self, member: SlowReader, *, slice_size: int = 4096) -> None:
        super().__init__(slice_size=slice_size)
        self.member = member
        self.hub.add(LOBBY, member)

    def bring(self, *deliveries: Delivery) -> None:
        self.relay.deliver(list(deliveries))


@pytest.fixture
def room() -> Iterator[SlowRoom]:
    """Its member has been given `one `, and then stopped to read."""
    room = SlowRoom(SlowReader())
    room.bring(begun(), piece(0, "one "))
    room.member.take()
    room.member.transport.stall()
    yield room
    assert room.member.limits.slow in (0, 1)


def test_what_was_not_read_comes_as_one_delta(room: SlowRoom) -> None:
    for at, text in ((4, "two "), (8, "three "), (14, "four")):
        room.bring(piece(at, text))
    assert room.member.take() == []
    assert room.member.read() == ["delta 4 two three four"]


def test_after_that_it_goes_on_where_it_was(room: SlowRoom) -> None:
    room.bring(piece(4, "two "))
    room.member.read()
    room.bring(piece(8, "three "))
    room.bring(piece(14, "four"))
    assert room.member.take() == ["delta 8 three ", "delta 14 four"]
    room.member.transport.stall()
    room.bring(piece(18, "!"))
    assert room.member.read() == ["delta 18 !"]


def test_a_stream_that_began_meanwhile_comes_as_a_whole(room: SlowRoom) -> None:
    room.bring(begun("new"), piece(0, "a", "new"))
    room.bring(piece(1, "b", "new"))
    assert room.member.read() == ["stream ab"]


def test_what_exceeds_the_outbox_comes_as_the_whole_text_once(room: SlowRoom) -> None:
    for at in range(4, 1204, 100):
        room.bring(piece(at, "x" * 100))
    assert room.member.read() == [f"stream one {'x' * 1200}"]


def test_text_of_streams_does_not_fill_the_outbox(room: SlowRoom) -> None:
    for at in range(4, 5004, 500):
        room.bring(piece(at, "x" * 500))
    room.bring(delivery('{"type":"typing"}'))
    assert room.member.events == []
    assert room.member.read()[1:] == ["typing"]


def test_the_end_comes_behind_what_was_not_read(room: SlowRoom) -> None:
    room.bring(piece(4, "two"), ended("one two"))
    assert room.member.read() == ["delta 4 two", "end done 7"]


def test_messages_stay_in_their_order_around_the_text(room: SlowRoom) -> None:
    room.bring(ended("m1", 1, stream_id="x"), piece(4, "two "), ended("m2", 2, stream_id="y"), piece(8, "three"))
    room.bring(ended("one two three", 3))
    assert room.member.read() == ["message m1", "delta 4 two three", "message m2", "end done 13"]


def test_who_is_skipped_keeps_its_streams() -> None:
    room = SlowRoom(SlowReader(policy=SlowPolicy.SKIP))
    room.bring(begun(), piece(0, "a"))
    room.member.take()
    room.member.transport.stall()
    room.bring(piece(1, "b"))
    for _ in range(20):
        room.bring(delivery('{"type":"typing","x":"' + "x" * 100 + '"}'))
    room.bring(piece(2, "c"), ended("abc"))
    assert room.member.read() == ["delta 1 bc", "end done 3"]
    assert room.member.events == ["skipped"]


def test_a_transport_that_is_full_again_is_given_no_more_than_the_outbox_may_hold_at_once() -> None:
    room = SlowRoom(SlowReader(max_bytes=100, high_water=10))
    for stream_id in "abc":
        room.bring(begun(stream_id))
        room.member.read()
    room.member.transport.stall()
    for stream_id in "abc":
        room.bring(piece(0, stream_id * 90, stream_id))
    assert [room.member.read() for _ in range(3)] == [[f"delta 0 {each * 90}"] for each in "abc"]
    room.bring(piece(90, "!", "b"))
    assert room.member.read() == ["delta 90 !"]


def test_a_transport_that_keeps_up_is_given_all() -> None:
    room = SlowRoom(SlowReader(max_bytes=100))
    room.bring(begun("a"), begun("b"))
    room.member.take()
    room.member.transport.stall()
    room.bring(piece(0, "a" * 90, "a"), piece(0, "b" * 90, "b"))
    assert room.member.read() == [f"delta 0 {'a' * 90}", f"delta 0 {'b' * 90}"]
    assert room.member.limits.slow == 0


@on_manual_time
async def test_what_was_owed_is_not_given_again_by_a_delivery_in_slices() -> None:
    member = SlowReader()
    room = SlowRoom(member, slice_size=1)
    others = [room.join(f"other-{number}") for number in range(3)]
    room.bring(begun())
    await turns(6)
    member.take()
    member.transport.stall()
    room.bring(piece(0, "a"))
    await turns(6)
    room.bring(piece(1, "b"))  # its slices are written in the next turns
    given = member.read()
    await turns(6)
    given += member.take()
    room.bring(piece(2, "c"))
    await turns(6)
    given += member.take()
    assert given == ["delta 0 ab", "delta 2 c"]
    assert [shown(other.transport.take())[1:] for other in others] == [["delta 0 a", "delta 1 b", "delta 2 c"]] * 3


@on_manual_time
async def test_what_is_owed_of_a_text_that_was_replaced_is_of_one_text() -> None:
    members = [SlowReader(), SlowReader()]
    room = SlowRoom(members[0], slice_size=1)
    room.hub.add(LOBBY, members[1])
    room.bring(begun(), piece(0, "a long text"))
    await turns(6)
    for member in members:
        member.take()
        member.transport.stall()
    room.bring(piece(11, ", and more"))
    await turns(6)
    room.bring(read("än"))  # Redis has lost the other text; who is in the second slice has not heard of it yet
    given = [member.read() for member in members]
    await turns(6)
    given = [before + member.take() for before, member in zip(given, members, strict=True)]
    assert sorted(given) == [["delta 11 , and more", "stream än"], ["stream än"]]


@on_manual_time
async def test_batches_with_streams_that_queue_behind_a_slice_keep_their_order() -> None:
    room = SlowRoom(SlowReader(), slice_size=1)
    room.join("other")
    room.bring(begun(), ended("m1", 1, stream_id="x"))
    room.bring(piece(0, "a"), ended("a", 2))
    room.bring(ended("m3", 3, stream_id="y"))
    await turns(12)
    assert room.member.take() == ["stream", "message m1", "delta 0 a", "end done 1", "message m3"]
