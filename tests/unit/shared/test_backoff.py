"""Waits before another try: how long they get, and that they are spread."""

import pytest
from tannoy.shared.backoff import full_jitter


@pytest.mark.parametrize(
    ("attempt", "longest"),
    [(0, 0.1), (1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6), (5, 2.0), (6, 2.0), (40, 2.0), (100_000, 2.0)],
)
def test_the_longest_wait_doubles_with_each_attempt_up_to_the_cap(attempt: int, longest: float) -> None:
    assert full_jitter(attempt, base=0.1, cap=2.0, uniform=lambda low, high: high) == pytest.approx(longest)


@pytest.mark.parametrize("attempt", [0, 1, 5, 100_000])
def test_the_shortest_wait_is_zero(attempt: int) -> None:
    assert full_jitter(attempt, base=0.1, cap=2.0, uniform=lambda low, high: low) == 0.0
