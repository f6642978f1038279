import asyncio

import pytest
from tannoy.fanout.external.breaker import (
    FAILURES_IN_A_ROW,
    OPEN_BASE,
    OPEN_LEAST,
    CircuitBreaker,
    CircuitOpen,
    CircuitState,
)
from tannoy.shared.errors import Unavailable

from tests.support.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def breaker(clock: ManualClock) -> CircuitBreaker:
    return CircuitBreaker("the database (reads)", clock, uniform=lambda least, most: most)


def state_of(breaker: CircuitBreaker) -> CircuitState:
    return breaker.statistics().state


def fail(breaker: CircuitBreaker, error: BaseException | None = None) -> None:
    with pytest.raises(BaseException, match="away"), breaker.guard():
        raise error or Unavailable("away")


def succeed(breaker: CircuitBreaker) -> None:
    with breaker.guard():
        pass


def open_it(breaker: CircuitBreaker) -> None:
    for _ in range(FAILURES_IN_A_ROW):
        fail(breaker)


def test_failures_in_a_row_open_the_circuit(breaker: CircuitBreaker) -> None:
    for _ in range(FAILURES_IN_A_ROW - 1):
        fail(breaker)
    assert state_of(breaker) is CircuitState.CLOSED
    fail(breaker)

    assert state_of(breaker) is CircuitState.OPEN


def test_a_success_between_failures_keeps_it_closed(breaker: CircuitBreaker) -> None:
    for _ in range(FAILURES_IN_A_ROW - 1):
        fail(breaker)
    succeed(breaker)
    fail(breaker)

    assert state_of(breaker) is CircuitState.CLOSED


def test_an_open_circuit_refuses_work_without_a_try_and_says_when_to_come_back(breaker: CircuitBreaker) -> None:
    open_it(breaker)

    with pytest.raises(CircuitOpen) as refused, breaker.guard():
        raise AssertionError("it was tried")
    assert refused.value.message == "the database (reads) failed 3 times in a row, and is tried again later"
    assert refused.value.retry_after == OPEN_BASE


def test_after_its_time_one_piece_of_work_is_tried_and_others_are_refused(
    breaker: CircuitBreaker, clock: ManualClock
) -> None:
    open_it(breaker)
    clock.advance(OPEN_BASE)
    assert state_of(breaker) is CircuitState.HALF_OPEN

    with breaker.guard(), pytest.raises(CircuitOpen), breaker.guard():
        raise AssertionError("a second one was tried")


def test_the_trial_closes_the_circuit_by_its_success(breaker: CircuitBreaker, clock: ManualClock) -> None:
    open_it(breaker)
    clock.advance(OPEN_BASE)
    succeed(breaker)

    assert state_of(breaker) is CircuitState.CLOSED


def test_the_trial_opens_the_circuit_for_longer_by_its_failure(breaker: CircuitBreaker, clock: ManualClock) -> None:
    open_it(breaker)
    clock.advance(OPEN_BASE)
    fail(breaker)
    clock.advance(OPEN_BASE)
    assert state_of(breaker) is CircuitState.OPEN
    clock.advance(OPEN_BASE)

    assert state_of(breaker) is CircuitState.HALF_OPEN


def test_a_cancelled_trial_leaves_the_next_one_to_another(breaker: CircuitBreaker, clock: ManualClock) -> None:
    open_it(breaker)
    clock.advance(OPEN_BASE)
    with pytest.raises(asyncio.CancelledError), breaker.guard():
        raise asyncio.CancelledError

    assert state_of(breaker) is CircuitState.HALF_OPEN
    succeed(breaker)
    assert state_of(breaker) is CircuitState.CLOSED


def test_an_error_that_is_an_answer_is_no_failure(breaker: CircuitBreaker) -> None:
    for _ in range(FAILURES_IN_A_ROW):
        fail(breaker, ValueError("away"))

    assert state_of(breaker) is CircuitState.CLOSED
    assert breaker.statistics().failed == 0


def test_an_open_circuit_stays_open_for_a_least_time_whatever_the_jitter_draws(clock: ManualClock) -> None:
    breaker = CircuitBreaker("it", clock, uniform=lambda least, most: 0.0)
    open_it(breaker)
    assert state_of(breaker) is CircuitState.OPEN
    clock.advance(OPEN_LEAST)

    assert state_of(breaker) is CircuitState.HALF_OPEN
