"""An outbox that exceeds its limit: what each policy for slow sockets does."""

from tannoy.shared.policy import SlowPolicy

from tests.support.outbox_driver import LIMIT, OutboxDriver, both_policies

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


# ---- what waits, of all outboxes of a node


@both_policies
def test_bytes_that_wait_are_counted_until_they_are_written_or_dropped(policy: SlowPolicy) -> None:
    driver = OutboxDriver(policy)
    limits, outbox = driver.limits, driver.outbox
    driver.transport.stall()
    outbox.write(b"x" * 50)
    outbox.write_direct(b"x" * 20)
    outbox.write_answer(b"x" * 200)
    assert limits.queued_bytes == 270
    outbox.write(b"x" * 31)  # beyond the limit
    assert limits.queued_bytes == (0 if policy is SlowPolicy.DISCONNECT else 220)
    driver.transport.drain()
    assert limits.queued_bytes == 0


def test_bytes_that_wait_are_not_counted_any_more_when_the_connection_ends() -> None:
    driver = OutboxDriver(SlowPolicy.SKIP)
    driver.transport.stall()
    driver.outbox.write(b"x" * 50)
    driver.outbox.write_answer(b"x" * 50)
    driver.outbox.discard()
    assert driver.limits.queued_bytes == 0
