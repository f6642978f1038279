"""Durations, counted by ranges."""

import pytest
from tannoy.shared.durations import BOUNDS_SECONDS, Durations, sum_durations


@pytest.mark.parametrize(
    ("seconds", "place"),
    [(0.0, 0), (0.0005, 0), (0.0006, 1), (0.3, 9), (2.5, len(BOUNDS_SECONDS) - 1), (99.0, len(BOUNDS_SECONDS))],
)
def test_a_duration_is_counted_in_the_range_up_to_its_bound(seconds: float, place: int) -> None:
    durations = Durations()
    durations.record(seconds)
    assert durations.statistics().counts.index(1) == place
    assert sum(durations.statistics().counts) == 1


def test_durations_of_several_sources_are_added_range_by_range() -> None:
    one, other = Durations(), Durations()
    for seconds in (0.1, 0.1, 3.0):
        one.record(seconds)
    other.record(0.1)
    whole = Durations()
    for seconds in (0.1, 0.1, 3.0, 0.1):
        whole.record(seconds)
    assert sum_durations((one.statistics(), other.statistics())) == whole.statistics()
