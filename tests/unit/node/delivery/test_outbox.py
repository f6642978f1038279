"""A socket's output queue: unused while the client keeps up, bounded when it does not, whatever the policy."""

from tannoy.shared.policy import SlowPolicy

from tests.support.outbox_driver import LIMIT, OutboxDriver, both_policies


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
