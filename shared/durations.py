"""How long something took, counted by ranges: recording costs a comparison or two, and no memory."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

BOUNDS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""The upper bound of each range, in seconds; one more range has none."""


@dataclass(frozen=True, slots=True)
class DurationStatistics:
    counts: tuple[int, ...]
    """How many lay in each range, so far: up to each of BOUNDS_SECONDS, and beyond the last."""
    total_seconds: float
    """The sum of all."""


class Durations:
    """Counts durations by range."""

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self._total = 0.0

    def record(self, seconds: float) -> None:
        self._counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self._total += seconds

    def statistics(self) -> DurationStatistics:
        return DurationStatistics(tuple(self._counts), round(self._total, 6))


def sum_durations(parts: Iterable[DurationStatistics]) -> DurationStatistics:
    """The durations of several sources together."""
    counts, total = [0] * (len(BOUNDS_SECONDS) + 1), 0.0
    for part in parts:
        counts = [count + more for count, more in zip(counts, part.counts, strict=True)]
        total += part.total_seconds
    return DurationStatistics(tuple(counts), round(total, 6))
