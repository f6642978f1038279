"""An outbox over any sequence of writes, stalls and drains: bounded, in order, and every drop is announced."""

import struct

from hypothesis import given
from hypothesis import strategies as st
from tannoy.node.delivery.outbox import Outbox, OutboxLimits
from tannoy.shared.policy import SlowPolicy

from tests.support.recording_transport import RecordingTransport

LIMIT = 200
HEAD = struct.Struct(">cHH")
MESSAGE, REPLY, RESYNC = b"m", b"r", b"y"

Step = tuple[str, int]
steps = st.lists(
    st.tuples(st.just("message"), st.integers(0, 90))
    | st.tuples(st.just("reply"), st.integers(0, 60))
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


class Run:
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
        elif verb == "reply":
            self.written.append((REPLY, number))
            self.outbox.write_direct(packed(REPLY, number, size))
        elif verb == "stall" and not self.outbox.is_slow and not self.is_closed:
            self.transport.listener = self
            self.transport.stall(buffered=size)
        elif verb == "drain" and self.outbox.is_slow:
            self.drain()

    def drain(self) -> None:
        writes = len(self.transport.writes)
        self.transport.listener = self
        self.transport.drain()
        for frames in self.transport.writes[writes:]:
            self.largest_hand_over = max(self.largest_hand_over, len(frames))

    @property
    def sent(self) -> list[tuple[bytes, int]]:
        return unpacked(self.transport.stream)

    # A TransportListener, as far as a transport that stalls needs one.
    def on_opened(self, opening: bytes = b"") -> None: ...
    def on_message(self, payload: bytes, binary: bool) -> None: ...
    def on_ping(self, payload: bytes) -> None: ...
    def on_violation(self, code: int, reason: str) -> None: ...
    def on_close_sent(self) -> None: ...
    def on_closed(self) -> None: ...
    def on_writing_paused(self) -> None:
        self.outbox.pause()

    def on_writing_resumed(self) -> None:
        self.outbox.resume()


def carried_out(policy: SlowPolicy, taken: list[Step]) -> Run:
    run = Run(policy)
    for step in taken:
        run.take(step)
    if run.outbox.is_slow:
        run.drain()
    return run


policies = st.sampled_from(list(SlowPolicy))


@given(policies, steps)
def test_outbox_sends_in_the_order_of_its_writes(policy: SlowPolicy, taken: list[Step]) -> None:
    run = carried_out(policy, taken)
    numbers = [number for kind, number in run.sent if kind != RESYNC]
    assert numbers == sorted(set(numbers))


@given(policies, steps)
def test_outbox_hands_over_at_most_its_limit(policy: SlowPolicy, taken: list[Step]) -> None:
    assert carried_out(policy, taken).largest_hand_over <= LIMIT


@given(steps)
def test_disconnect_policy_drops_nothing_unless_it_closes(taken: list[Step]) -> None:
    run = carried_out(SlowPolicy.DISCONNECT, taken)
    if run.is_closed:
        assert run.sent == run.written[: len(run.sent)]
    else:
        assert run.sent == run.written


@given(steps)
def test_skip_policy_drops_no_reply_unless_it_closes(taken: list[Step]) -> None:
    run = carried_out(SlowPolicy.SKIP, taken)
    answers = [each for each in run.written if each[0] == REPLY]
    sent = [each for each in run.sent if each[0] == REPLY]
    assert sent == (answers[: len(sent)] if run.is_closed else answers)


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
