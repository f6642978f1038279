"""The clock, passed as a parameter so that tests can replace it."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds since some start, never going back; for deadlines."""
        ...

    def now(self) -> float:
        """Seconds since 1970 (Unix time); for timestamps."""
        ...


def _since_boot() -> float:
    """Seconds since boot, including suspended time: a lease that expired while the machine slept is seen as expired."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SystemClock:
    monotonic = staticmethod(_since_boot if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic)
    now = staticmethod(time.time)


def rfc3339(seconds: float) -> str:
    """Format Unix time (in seconds) as RFC 3339 in UTC with milliseconds: `2026-11-21T08:15:30.123Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
