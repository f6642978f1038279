"""A socket's bounded way out: nothing while the peer keeps up, a bound and a policy when it does not."""

import pytest
from tannoy.node.delivery.outbox import Outbox, OutboxLimits
from tannoy.shared.policy import SlowPolicy

from tests.support.recording_transport import RecordingTransport

LIMIT = 100
both_policies = pytest.mark.parametrize("policy", SlowPolicy)


class Bench:
    """An outbox on a recording transport; `skipped` and `overflowed` count what it reports."""

    def __init__(self, policy: SlowPolicy, *, high_water: int | None = None) -> None:
        self.skipped = 0
        self.overflowed = 0
        self.transport = RecordingTransport(high_water=high_water)
        self.limits = OutboxLimits(LIMIT, policy)
        self.outbox = Outbox(self.transport, self.limits, "s1", on_overflow=self._overflow, on_skipped=self._skip)
        self.transport.listener = self

    def _overflow(self) -> None:
        self.overflowed += 1

    def _skip(self) -> None:
        self.skipped += 1
        self.outbox.write_direct(b"<resync>")

    # A Carried, as far as a transport that stalls needs one.
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


# ---- whatever the policy


@both_policies
def test_while_the_peer_keeps_up_a_write_is_the_carriers_own(policy: SlowPolicy) -> None:
    bench = Bench(policy)
    assert bench.outbox.write == bench.transport.writer()


@both_policies
def test_what_comes_while_the_peer_is_slow_waits_and_follows_in_order(policy: SlowPolicy) -> None:
    bench = Bench(policy)
    bench.outbox.write(b"1")
    bench.transport.stall()
    bench.outbox.write(b"2")
    bench.outbox.write_direct(b"3")
    bench.outbox.write(b"4")
    assert bench.transport.stream == b"1"
    bench.transport.drain()
    bench.outbox.write(b"5")
    assert bench.transport.stream == b"12345"
    assert (bench.skipped, bench.overflowed) == (0, 0)


@both_policies
def test_what_fits_exactly_is_kept(policy: SlowPolicy) -> None:
    bench = Bench(policy)
    bench.transport.stall()
    for _ in range(10):
        bench.outbox.write(b"x" * 10)
    assert bench.limits.overflowed == 0
    bench.transport.drain()
    assert len(bench.transport.stream) == LIMIT


@both_policies
def test_what_the_carrier_still_holds_counts_too(policy: SlowPolicy) -> None:
    bench = Bench(policy)
    bench.transport.stall(buffered=LIMIT - 5)
    bench.outbox.write(b"x" * 5)
    assert bench.limits.overflowed == 0
    bench.outbox.write(b"x")
    assert bench.limits.overflowed == 1


@both_policies
def test_slow_sockets_are_counted_while_they_are_slow(policy: SlowPolicy) -> None:
    bench = Bench(policy)
    bench.transport.stall()
    bench.outbox.pause()
    assert (bench.limits.slow, bench.outbox.is_slow) == (1, True)
    bench.transport.drain()
    bench.outbox.resume()
    assert (bench.limits.slow, bench.outbox.is_slow) == (0, False)


@both_policies
def test_after_discard_nothing_more_is_taken(policy: SlowPolicy) -> None:
    bench = Bench(policy)
    bench.outbox.discard()
    bench.outbox.write(b"said")
    bench.outbox.write_direct(b"answer")
    assert bench.transport.stream == b""


@both_policies
def test_discard_forgets_what_waits(policy: SlowPolicy) -> None:
    bench = Bench(policy)
    bench.transport.stall()
    bench.outbox.write(b"said")
    bench.outbox.write_direct(b"answer")
    bench.outbox.discard()
    bench.transport.drain()
    assert bench.transport.stream == b""
    assert (bench.limits.slow, bench.limits.dropped_bytes) == (0, len(b"saidanswer"))


@both_policies
def test_a_carrier_that_is_full_of_the_goodbye_does_not_open_the_outbox_again(policy: SlowPolicy) -> None:
    # `bye` itself may be what fills the transport: it says `paused` to a connection that has discarded its outbox.
    bench = Bench(policy)
    bench.outbox.discard()
    bench.outbox.pause()
    assert (bench.limits.slow, bench.outbox.is_slow) == (0, False)
    bench.outbox.write(b"said")
    bench.outbox.resume()
    bench.outbox.write(b"said")
    assert bench.transport.stream == b""


@both_policies
def test_what_waited_may_fill_the_carrier_again_at_once(policy: SlowPolicy) -> None:
    bench = Bench(policy, high_water=20)
    bench.transport.stall()
    for number in range(4):
        bench.outbox.write(b"%d" % number * 10)
    bench.transport.drain()
    bench.outbox.write(b"later")
    assert bench.outbox.is_slow
    bench.transport.drain()
    assert bench.transport.stream == b"0000000000111111111122222222223333333333later"


# ---- disconnect


def test_disconnect_closes_at_the_first_frame_too_many() -> None:
    bench = Bench(SlowPolicy.DISCONNECT)
    bench.transport.stall()
    bench.outbox.write(b"x" * LIMIT)
    assert bench.overflowed == 0
    bench.outbox.write(b"x")
    assert bench.overflowed == 1


def test_disconnect_closes_for_answers_too() -> None:
    bench = Bench(SlowPolicy.DISCONNECT)
    bench.transport.stall()
    bench.outbox.write_direct(b"x" * (LIMIT + 1))
    assert bench.overflowed == 1


def test_disconnect_takes_nothing_after_the_overflow() -> None:
    bench = Bench(SlowPolicy.DISCONNECT)
    bench.transport.stall()
    for _ in range(5):
        bench.outbox.write(b"x" * LIMIT)
        bench.outbox.write_direct(b"x" * LIMIT)
    bench.transport.drain()
    assert (bench.overflowed, bench.skipped, bench.transport.stream) == (1, 0, b"")


# ---- skip


def test_skip_drops_what_was_said_and_tells_it_once() -> None:
    bench = Bench(SlowPolicy.SKIP)
    bench.outbox.write(b"0")
    bench.transport.stall()
    for _ in range(50):
        bench.outbox.write(b"x" * 10)
    assert (bench.skipped, bench.overflowed) == (0, 0)
    bench.transport.drain()
    bench.outbox.write(b"1")
    assert bench.transport.stream == b"0<resync>1"
    assert bench.limits.dropped_bytes == 500


def test_skip_keeps_the_answers_in_order() -> None:
    bench = Bench(SlowPolicy.SKIP)
    bench.transport.stall()
    bench.outbox.write_direct(b"a")
    bench.outbox.write(b"x" * 99)
    bench.outbox.write_direct(b"b")
    bench.outbox.write(b"x" * 99)
    bench.outbox.write_direct(b"c")
    bench.transport.drain()
    assert bench.transport.stream == b"abc<resync>"


def test_skip_lets_no_message_through_between_the_dropped_ones() -> None:
    bench = Bench(SlowPolicy.SKIP)
    bench.transport.stall()
    bench.outbox.write(b"x" * (LIMIT + 1))
    bench.outbox.write(b"small")
    bench.transport.drain()
    assert bench.transport.stream == b"<resync>"


def test_skip_tells_each_time_that_it_has_dropped() -> None:
    bench = Bench(SlowPolicy.SKIP)
    for _ in range(3):
        bench.transport.stall()
        bench.outbox.write(b"x" * (LIMIT + 1))
        bench.transport.drain()
    assert bench.skipped == 3


def test_skip_does_not_tell_where_nothing_was_dropped() -> None:
    bench = Bench(SlowPolicy.SKIP)
    bench.transport.stall()
    bench.outbox.write(b"x" * (LIMIT + 1))
    bench.transport.drain()
    bench.transport.stall()
    bench.outbox.write(b"fits")
    bench.transport.drain()
    assert bench.skipped == 1


def test_skip_tells_where_only_an_answer_did_not_fit() -> None:
    bench = Bench(SlowPolicy.SKIP)
    bench.transport.stall()
    bench.outbox.write(b"said" * 20)
    bench.outbox.write_direct(b"answer" * 5)
    bench.transport.drain()
    assert bench.transport.stream == b"answer" * 5 + b"<resync>"


def test_skip_closes_where_answers_alone_exceed_the_bound() -> None:
    bench = Bench(SlowPolicy.SKIP)
    bench.transport.stall()
    for _ in range(10):
        bench.outbox.write_direct(b"x" * 10)
    assert bench.overflowed == 0
    bench.outbox.write_direct(b"x")
    assert bench.overflowed == 1
    bench.transport.drain()
    assert (bench.transport.stream, bench.skipped) == (b"", 0)
