"""A socket's output queue: unused while the client keeps up, bounded by a policy when it does not."""

import pytest
from tannoy.node.delivery.outbox import ANSWERS_MAX_BYTES, Outbox, OutboxLimits
from tannoy.shared.policy import SlowPolicy

from tests.support.recording_transport import RecordingTransport

LIMIT = 100
both_policies = pytest.mark.parametrize("policy", SlowPolicy)


class OutboxDriver:
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

    # A TransportListener, for a transport that pauses and resumes.
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


# ---- both policies


@both_policies
def test_write_is_the_transports_own_while_the_client_keeps_up(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy)
    assert driver.outbox.write == driver.transport.writer()


@both_policies
def test_chunks_written_while_paused_are_sent_in_order_on_resume(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy)
    driver.outbox.write(b"1")
    driver.transport.stall()
    driver.outbox.write(b"2")
    driver.outbox.write_direct(b"3")
    driver.outbox.write(b"4")
    assert driver.transport.stream == b"1"
    driver.transport.drain()
    driver.outbox.write(b"5")
    assert driver.transport.stream == b"12345"
    assert (driver.skipped, driver.overflowed) == (0, 0)


@both_policies
def test_chunks_of_exactly_the_limit_are_kept(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy)
    driver.transport.stall()
    for _ in range(10):
        driver.outbox.write(b"x" * 10)
    assert driver.limits.overflowed == 0
    driver.transport.drain()
    assert len(driver.transport.stream) == LIMIT


@both_policies
def test_buffer_of_the_transport_counts_towards_the_limit(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy)
    driver.transport.stall(buffered=LIMIT - 5)
    driver.outbox.write(b"x" * 5)
    assert driver.limits.overflowed == 0
    driver.outbox.write(b"x")
    assert driver.limits.overflowed == 1


@both_policies
def test_slow_sockets_are_counted_while_they_are_slow(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy)
    driver.transport.stall()
    driver.outbox.pause()
    assert driver.limits.slow == 1
    driver.transport.drain()
    driver.outbox.resume()
    assert driver.limits.slow == 0


@both_policies
def test_discarded_outbox_writes_nothing(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy)
    driver.outbox.discard()
    driver.outbox.write(b"data")
    driver.outbox.write_direct(b"private")
    assert driver.transport.stream == b""


@both_policies
def test_discard_drops_the_queue_and_counts_its_bytes(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy)
    driver.transport.stall()
    driver.outbox.write(b"data")
    driver.outbox.write_direct(b"private")
    driver.outbox.discard()
    driver.transport.drain()
    assert driver.transport.stream == b""
    assert (driver.limits.slow, driver.limits.dropped_bytes) == (0, len(b"dataprivate"))


@both_policies
def test_discarded_outbox_stays_discarded_when_the_transport_pauses(policy: SlowPolicy) -> None:
    # `bye` itself may fill the transport, which then pauses a connection that has discarded its outbox.
    driver = OutboxDriver(policy)
    driver.outbox.discard()
    driver.outbox.pause()
    assert driver.limits.slow == 0
    driver.outbox.write(b"data")
    driver.outbox.resume()
    driver.outbox.write(b"data")
    assert driver.transport.stream == b""


@both_policies
def test_queue_that_fills_the_transport_again_leaves_the_outbox_paused(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy, high_water=20)
    driver.transport.stall()
    for number in range(4):
        driver.outbox.write(b"%d" % number * 10)
    driver.transport.drain()
    driver.outbox.write(b"later")
    assert driver.limits.slow == 1
    driver.transport.drain()
    assert driver.transport.stream == b"0000000000111111111122222222223333333333later"


# ---- answers


@both_policies
def test_answers_are_never_dropped_and_never_overflow(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy)
    driver.transport.stall()
    for _ in range(5):
        driver.outbox.write_answer(b"a" * LIMIT)
    driver.outbox.write(b"m" * LIMIT)
    assert (driver.limits.overflowed, driver.limits.dropped_bytes) == (0, 0)
    driver.transport.drain()
    assert driver.transport.stream == b"a" * 5 * LIMIT + b"m" * LIMIT


@both_policies
def test_an_answer_in_the_buffer_of_the_transport_does_not_count_towards_the_limit(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy, high_water=20)
    driver.outbox.write_answer(b"a" * 10 * LIMIT)
    driver.outbox.write(b"m" * LIMIT)
    assert driver.limits.overflowed == 0
    driver.outbox.write(b"m")
    assert driver.limits.overflowed == 1


@both_policies
def test_answers_that_were_queued_do_not_count_once_the_transport_has_them(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy, high_water=20)
    driver.transport.stall()
    driver.outbox.write_answer(b"a" * 10 * LIMIT)
    driver.transport.drain()  # which fills the transport at once
    driver.outbox.write(b"m" * LIMIT)
    assert driver.limits.overflowed == 0


@both_policies
def test_answers_that_were_read_do_not_excuse_what_is_written_later(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy, high_water=20)
    driver.outbox.write_answer(b"a" * 10 * LIMIT)
    driver.transport.drain()
    driver.outbox.write_answer(b"a")
    driver.transport.stall(buffered=LIMIT)
    driver.outbox.write(b"m")
    driver.outbox.write(b"m")
    assert driver.limits.overflowed == 1


@both_policies
def test_answers_are_owed_while_more_than_their_bound_is_not_read(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy, high_water=20)
    driver.outbox.write_answer(b"a" * ANSWERS_MAX_BYTES)
    assert not driver.outbox.owes_answers
    driver.outbox.write_answer(b"a")
    assert driver.outbox.owes_answers
    driver.transport.drain()
    assert driver.outbox.owes_answers is False


@both_policies
def test_no_answers_are_owed_for_what_channels_deliver(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy)
    driver.transport.stall(buffered=10 * ANSWERS_MAX_BYTES)
    driver.outbox.write(b"m")
    assert not driver.outbox.owes_answers


@both_policies
def test_a_client_progresses_while_it_reads_what_waits_for_it(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy)
    assert not driver.outbox.has_progressed()  # nothing waits for it
    progress: list[bool] = []
    for buffered in (100, 100, 60, 60, 0):
        driver.transport.stall(buffered=buffered)
        progress.append(driver.outbox.has_progressed())
    assert progress == [True, False, True, False, True]


# ---- disconnect


def test_disconnect_overflows_at_the_first_byte_over_the_limit() -> None:
    driver = OutboxDriver(SlowPolicy.DISCONNECT)
    driver.transport.stall()
    driver.outbox.write(b"x" * LIMIT)
    assert driver.overflowed == 0
    driver.outbox.write(b"x")
    assert driver.overflowed == 1


def test_disconnect_overflows_for_what_is_for_this_client_alone_too() -> None:
    driver = OutboxDriver(SlowPolicy.DISCONNECT)
    driver.transport.stall()
    driver.outbox.write_direct(b"x" * (LIMIT + 1))
    assert driver.overflowed == 1


def test_disconnect_writes_nothing_after_the_overflow() -> None:
    driver = OutboxDriver(SlowPolicy.DISCONNECT)
    driver.transport.stall()
    for _ in range(5):
        driver.outbox.write(b"x" * LIMIT)
        driver.outbox.write_direct(b"x" * LIMIT)
    driver.transport.drain()
    assert (driver.overflowed, driver.skipped, driver.transport.stream) == (1, 0, b"")


# ---- skip


def test_skip_drops_broadcasts_and_reports_it_once() -> None:
    driver = OutboxDriver(SlowPolicy.SKIP)
    driver.outbox.write(b"0")
    driver.transport.stall()
    for _ in range(50):
        driver.outbox.write(b"x" * 10)
    assert (driver.skipped, driver.overflowed) == (0, 0)
    driver.transport.drain()
    driver.outbox.write(b"1")
    assert driver.transport.stream == b"0<resync>1"
    assert driver.limits.dropped_bytes == 500


def test_skip_keeps_what_is_for_this_client_alone_in_order() -> None:
    driver = OutboxDriver(SlowPolicy.SKIP)
    driver.transport.stall()
    driver.outbox.write_direct(b"a")
    driver.outbox.write(b"x" * 99)
    driver.outbox.write_direct(b"b")
    driver.outbox.write(b"x" * 99)
    driver.outbox.write_direct(b"c")
    driver.transport.drain()
    assert driver.transport.stream == b"abc<resync>"


def test_skip_drops_a_small_message_behind_a_dropped_one() -> None:
    driver = OutboxDriver(SlowPolicy.SKIP)
    driver.transport.stall()
    driver.outbox.write(b"x" * (LIMIT + 1))
    driver.outbox.write(b"small")
    driver.transport.drain()
    assert driver.transport.stream == b"<resync>"


def test_skip_reports_each_time_that_it_has_dropped() -> None:
    driver = OutboxDriver(SlowPolicy.SKIP)
    for _ in range(3):
        driver.transport.stall()
        driver.outbox.write(b"x" * (LIMIT + 1))
        driver.transport.drain()
    assert driver.skipped == 3


def test_skip_reports_nothing_if_nothing_was_dropped() -> None:
    driver = OutboxDriver(SlowPolicy.SKIP)
    driver.transport.stall()
    driver.outbox.write(b"x" * (LIMIT + 1))
    driver.transport.drain()
    driver.transport.stall()
    driver.outbox.write(b"fits")
    driver.transport.drain()
    assert driver.skipped == 1


def test_skip_drops_broadcasts_and_reports_it_if_a_private_message_does_not_fit() -> None:
    driver = OutboxDriver(SlowPolicy.SKIP)
    driver.transport.stall()
    driver.outbox.write(b"data" * 20)
    driver.outbox.write_direct(b"private" * 5)
    driver.transport.drain()
    assert driver.transport.stream == b"private" * 5 + b"<resync>"


def test_skip_overflows_if_private_messages_alone_exceed_the_limit() -> None:
    driver = OutboxDriver(SlowPolicy.SKIP)
    driver.transport.stall()
    for _ in range(10):
        driver.outbox.write_direct(b"x" * 10)
    assert driver.overflowed == 0
    driver.outbox.write_direct(b"x")
    assert driver.overflowed == 1
    driver.transport.drain()
    assert (driver.transport.stream, driver.skipped) == (b"", 0)
