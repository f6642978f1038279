"""An outbox over any sequence of writes, stalls and drains: bounded, in order, and every drop is announced."""

import struct

from hypothesis import given
from hypothesis import strategies as st
from tannoy.node.delivery.outbox import Outbox, OutboxLimits
from tannoy.shared.policy import SlowPolicy

from tests.support.outbox_listener import OutboxListener
from tests.support.recording_transport import RecordingTransport

LIMIT = 200
HEAD = struct.Struct(">cHH")
MESSAGE, PRIVATE, ANSWER, RESYNC = b"m", b"p", b"a", b"y"

Step = tuple[str, int]
steps = st.lists(
    st.tuples(st.just("message"), st.integers(0, 90))
    | st.tuples(st.just("private"), st.integers(0, 60))
    | st.tuples(st.just("answer"), st.integers(0, 500))
    | st.tuples(st.just("stall"), st.integers(0, 120))
    | st.tuples(st.just("drain"), st.just(0)),
    max_size=60,
)


def packed(kind: bytes, number: int, size: int) -> bytes:
    return HEAD.pack(kind, number, size) + b"." * size


def unpacked(stream: bytes) -> list[tuple[bytes, int]]:
    """(kind, number) of each frame that was sent."""
    found: list[tuple[bytes, int]] = []
    position = 0
    while position < len(stream):
        kind, number, size = HEAD.unpack_from(stream, position)
        found.append((kind, number))
        position += HEAD.size + size
    assert position == len(stream), "a frame was torn"
    return found


def bytes_but_answers(stream: bytes) -> int:
    """Bytes of all frames that are no answers."""
    total, position = 0, 0
    while position < len(stream):
        kind, _, size = HEAD.unpack_from(stream, position)
        total += 0 if kind == ANSWER else HEAD.size + size
        position += HEAD.size + size
    return total


class Run(OutboxListener):
    """An outbox, the frames that were written to it, and what it did with them."""

    def __init__(self, policy: SlowPolicy) -> None:
        self.transport = RecordingTransport()
        self.limits = OutboxLimits(LIMIT, policy)
        self.outbox = Outbox(self.transport, self.limits, "s1", on_overflow=self._overflowed, on_skipped=self._skipped)
        self.written: list[tuple[bytes, int]] = []
        self.is_closed = False
        self.stalled_at = 0
        self.largest_hand_over = 0

    def _overflowed(self) -> None:
        assert not self.is_closed, "closed twice"
        self.is_closed = True

    def _skipped(self) -> None:
        self.outbox.write_direct(packed(RESYNC, 0, 0))

    def take(self, step: Step) -> None:
        verb, size = step
        number = len(self.written)
        if verb == "message":
            self.written.append((MESSAGE, number))
            self.outbox.write(packed(MESSAGE, number, size))
        elif verb == "private":
            self.written.append((PRIVATE, number))
            self.outbox.write_direct(packed(PRIVATE, number, size))
        elif verb == "answer":
            self.written.append((ANSWER, number))
            self.outbox.write_answer(packed(ANSWER, number, size))
        elif verb == "stall" and not self.limits.slow and not self.is_closed:
            self.transport.listener = self
            self.transport.stall(buffered=size)
        elif verb == "drain" and self.limits.slow:
            self.drain()

    def drain(self) -> None:
        writes = len(self.transport.writes)
        self.transport.listener = self
        self.transport.drain()
        for frames in self.transport.writes[writes:]:
            self.largest_hand_over = max(self.largest_hand_over, bytes_but_answers(frames))

    @property
    def sent(self) -> list[tuple[bytes, int]]:
        return unpacked(self.transport.stream)


def carried_out(policy: SlowPolicy, taken: list[Step]) -> Run:
    run = Run(policy)
    for step in taken:
        run.take(step)
    if run.limits.slow:
        run.drain()
    return run


policies = st.sampled_from(list(SlowPolicy))


@given(policies, steps)
def test_outbox_sends_in_the_order_of_its_writes(policy: SlowPolicy, taken: list[Step]) -> None:
    run = carried_out(policy, taken)
    numbers = [number for kind, number in run.sent if kind != RESYNC]
    assert numbers == sorted(set(numbers))


@given(policies, steps)
def test_outbox_hands_over_at_most_its_limit_and_answers(policy: SlowPolicy, taken: list[Step]) -> None:
    assert carried_out(policy, taken).largest_hand_over <= LIMIT


@given(steps)
def test_disconnect_policy_drops_nothing_unless_it_closes(taken: list[Step]) -> None:
    run = carried_out(SlowPolicy.DISCONNECT, taken)
    if run.is_closed:
        assert run.sent == run.written[: len(run.sent)]
    else:
        assert run.sent == run.written


@given(steps)
def test_skip_policy_drops_only_messages_unless_it_closes(taken: list[Step]) -> None:
    run = carried_out(SlowPolicy.SKIP, taken)
    kept = [each for each in run.written if each[0] != MESSAGE]
    sent = [each for each in run.sent if each[0] not in (MESSAGE, RESYNC)]
    assert sent == (kept[: len(sent)] if run.is_closed else kept)


@given(policies, st.lists(st.tuples(st.sampled_from(["answer", "stall", "drain"]), st.integers(0, 500)), max_size=60))
def test_answers_alone_never_overflow(policy: SlowPolicy, taken: list[Step]) -> None:
    run = carried_out(policy, taken)
    assert (run.sent, run.limits.overflowed) == (run.written, 0)


@given(steps)
def test_skip_policy_sends_a_resync_before_the_message_after_a_gap(taken: list[Step]) -> None:
    run = carried_out(SlowPolicy.SKIP, taken)
    if run.is_closed:
        return
    announced = True
    missing = iter([each for each in run.written if each[0] == MESSAGE])
    for kind, number in run.sent:
        if kind == RESYNC:
            announced = True
        elif kind == MESSAGE:
            skipped = 0
            while next(missing) != (MESSAGE, number):
                skipped += 1
            assert announced or not skipped, "a gap without a resync"
            announced = False
    assert not list(missing) or announced, "a gap at the end without a resync"


@given(policies, steps)
def test_slow_count_is_zero_after_the_last_drain(policy: SlowPolicy, taken: list[Step]) -> None:
    assert carried_out(policy, taken).limits.slow == 0


@given(policies, steps)
def test_dropped_bytes_are_counted(policy: SlowPolicy, taken: list[Step]) -> None:
    run = carried_out(policy, taken)
    if not run.is_closed:
        sent = [each for each in run.sent if each[0] != RESYNC]
        assert (run.limits.dropped_bytes > 0) is (sent != run.written)
