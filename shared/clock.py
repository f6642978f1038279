"""Time enters through a parameter, so that a test can turn the clock by hand."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds that never go back; for deadlines."""
        ...

    def now(self) -> float:
        """Seconds since 1970; for timestamps that people read."""
        ...


def _since_boot() -> float:
    """Goes on while the machine sleeps, as everybody else's clock does: who wakes up knows how long that was."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SystemClock:
    monotonic = staticmethod(_since_boot if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic)
    now = staticmethod(time.time)


def rfc3339(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-11-21T08:15:30.123Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
