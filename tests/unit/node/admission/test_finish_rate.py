"""How many finish in a second: measured while others wait, and not while nobody comes."""

import pytest
from tannoy.node.admission.finish_rate import MEASURED_SECONDS, STALE_SECONDS, FinishRate

from tests.support.clock import ManualClock


def _finish(rate: FinishRate, clock: ManualClock, times: int, each: float, *, others_wait: bool = True) -> None:
    for _ in range(times):
        clock.advance(each)
        rate.finish(others_wait=others_wait)


def test_before_anything_is_measured_the_first_rate_holds() -> None:
    clock = ManualClock()
    rate = FinishRate(clock, 1000)
    _finish(rate, clock, 3, MEASURED_SECONDS / 10)
    assert rate.per_second == 1000


def test_a_rate_that_lasts_is_found() -> None:
    clock = ManualClock()
    rate = FinishRate(clock, 1000)
    _finish(rate, clock, 200, 0.02)
    assert rate.per_second == pytest.approx(50, rel=0.01)


def test_the_rate_at_which_few_come_is_no_rate_at_which_they_finish() -> None:
    clock = ManualClock()
    rate = FinishRate(clock, 1000)
    _finish(rate, clock, 100, 0.2, others_wait=False)
    assert rate.per_second == 1000


def test_a_pause_in_which_nobody_came_is_not_measured() -> None:
    clock = ManualClock()
    rate = FinishRate(clock, 1000)
    _finish(rate, clock, 2, 0.001)
    clock.advance(STALE_SECONDS * 10)
    _finish(rate, clock, 2, 0.001)
    assert rate.per_second == 1000
