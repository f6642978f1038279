"""Figures of the last times that something took: a window of fixed length, so they neither grow nor grow old."""

from collections import deque
from dataclasses import dataclass

WINDOW_LENGTH = 256
"""Times that a window holds: the latest ones."""


@dataclass(frozen=True, slots=True)
class WindowStatistics:
    """In seconds; None: nothing was recorded yet."""

    count: int
    """Times in the window."""
    median: float | None
    worst: float | None


class TimeWindow:
    """The latest WINDOW_LENGTH times that were recorded, in seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=WINDOW_LENGTH)

    def record(self, seconds: float) -> None:
        self._times.append(seconds)

    def statistics(self) -> WindowStatistics:
        times = sorted(self._times)
        if not times:
            return WindowStatistics(0, None, None)
        return WindowStatistics(len(times), round(times[len(times) // 2], 6), round(times[-1], 6))
