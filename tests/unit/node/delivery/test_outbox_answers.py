"""Answers to a client's own commands: kept beyond the limit, and bounded by what the client reads."""

from tannoy.node.delivery.outbox import ANSWERS_MAX_BYTES
from tannoy.shared.policy import SlowPolicy

from tests.support.outbox_driver import LIMIT, OutboxDriver, both_policies


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
