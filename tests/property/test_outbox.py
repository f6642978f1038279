"""An outbox over any sequence of writes, stalls and drains: bounded, in order, and honest about what it dropped."""

import struct

from hypothesis import given
from hypothesis import strategies as st
from tannoy.node.delivery.outbox import Outbox, OutboxLimits
from tannoy.shared.policy import SlowPolicy

from tests.support.recording_transport import RecordingTransport

LIMIT = 200
HEAD = struct.Struct(">cHH")
SAID, ANSWER, RESYNC = b"s", b"a", b"r"

Step = tuple[str, int]
steps = st.lists(
    st.tuples(st.just("say"), st.integers(0, 90))
    | st.tuples(st.just("answer"), st.integers(0, 60))
    | st.tuples(st.just("stall"), st.integers(0, 120))
    | st.tuples(st.just("drain"), st.just(0)),
    max_size=60,
)


def packed(kind: bytes, number: int, size: int) -> bytes:
    return HEAD.pack(kind, number, size) + b"." * size


def unpacked(stream: bytes) -> list[tuple[bytes, int]]:
    """(kind, number) of all that went out."""
    found: list[tuple[bytes, int]] = []
    position = 0
    while position < len(stream):
        kind, number, size = HEAD.unpack_from(stream, position)
        found.append((kind, number))
        position += HEAD.size + size
    assert position == len(stream), "a frame was torn"
    return found


class Run:
    """An outbox, all that was given to it, and all that it did."""

    def __init__(self, policy: SlowPolicy) -> None:
        self.transport = RecordingTransport()
        self.limits = OutboxLimits(LIMIT, policy)
        self.outbox = Outbox(self.transport, self.limits, "s1", on_overflow=self._overflowed, on_skipped=self._skipped)
        self.given: list[tuple[bytes, int]] = []
        self.is_closed = False
        self.stalled_at = 0
        self.largest_hand_over = 0

    def _overflowed(self) -> None:
        assert not self.is_closed, "closed twice"
        self.is_closed = True

    def _skipped(self) -> None:
        self.outbox.answer(packed(RESYNC, 0, 0))

    def take(self, step: Step) -> None:
        verb, size = step
        number = len(self.given)
        if verb == "say":
            self.given.append((SAID, number))
            self.outbox.write(packed(SAID, number, size))
        elif verb == "answer":
            self.given.append((ANSWER, number))
            self.outbox.answer(packed(ANSWER, number, size))
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
    def went_out(self) -> list[tuple[bytes, int]]:
        return unpacked(self.transport.stream)

    # A Carried, as far as a transport that stalls needs one.
    def opened(self, opening: bytes = b"") -> None: ...
    def received(self, payload: bytes, binary: bool) -> None: ...
    def pinged(self, payload: bytes) -> None: ...
    def violated(self, code: int, reason: str) -> None: ...
    def goodbye_sent(self) -> None: ...
    def closed(self) -> None: ...
    def paused(self) -> None:
        self.outbox.paused()

    def resumed(self) -> None:
        self.outbox.resumed()


def carried_out(policy: SlowPolicy, taken: list[Step]) -> Run:
    run = Run(policy)
    for step in taken:
        run.take(step)
    if run.outbox.is_slow:
        run.drain()
    return run


policies = st.sampled_from(list(SlowPolicy))


@given(policies, steps)
def test_what_goes_out_is_in_the_order_it_was_given(policy: SlowPolicy, taken: list[Step]) -> None:
    run = carried_out(policy, taken)
    numbers = [number for kind, number in run.went_out if kind != RESYNC]
    assert numbers == sorted(set(numbers))


@given(policies, steps)
def test_no_more_is_held_than_the_bound(policy: SlowPolicy, taken: list[Step]) -> None:
    assert carried_out(policy, taken).largest_hand_over <= LIMIT


@given(steps)
def test_disconnect_loses_nothing_unless_it_closes(taken: list[Step]) -> None:
    run = carried_out(SlowPolicy.DISCONNECT, taken)
    if run.is_closed:
        assert run.went_out == run.given[: len(run.went_out)]
    else:
        assert run.went_out == run.given


@given(steps)
def test_skip_loses_no_answer_unless_it_closes(taken: list[Step]) -> None:
    run = carried_out(SlowPolicy.SKIP, taken)
    answers = [each for each in run.given if each[0] == ANSWER]
    went_out = [each for each in run.went_out if each[0] == ANSWER]
    assert went_out == (answers[: len(went_out)] if run.is_closed else answers)


@given(steps)
def test_skip_tells_of_every_hole_before_what_follows_it(taken: list[Step]) -> None:
    run = carried_out(SlowPolicy.SKIP, taken)
    if run.is_closed:
        return
    told = True
    missing = iter([each for each in run.given if each[0] == SAID])
    for kind, number in run.went_out:
        if kind == RESYNC:
            told = True
        elif kind == SAID:
            skipped = 0
            while next(missing) != (SAID, number):
                skipped += 1
            assert told or not skipped, "a hole, and nobody told"
            told = False
    assert not list(missing) or told, "a hole at the end, and nobody told"


@given(policies, steps)
def test_nobody_is_counted_as_slow_in_the_end(policy: SlowPolicy, taken: list[Step]) -> None:
    assert carried_out(policy, taken).limits.slow == 0


@given(policies, steps)
def test_what_was_dropped_is_counted(policy: SlowPolicy, taken: list[Step]) -> None:
    run = carried_out(policy, taken)
    if not run.is_closed:
        went_out = [each for each in run.went_out if each[0] != RESYNC]
        assert (run.limits.dropped_bytes > 0) is (went_out != run.given)
