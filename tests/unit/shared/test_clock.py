"""docs/protocol.md §4: `timestamp` is RFC 3339 UTC with milliseconds."""

import time

import pytest
from tannoy.shared.clock import SystemClock, rfc3339


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_248_930.123, "2026-11-21T08:15:30.123Z"),
        (1_795_248_930, "2026-11-21T08:15:30.000Z"),
        (951_782_400.5, "2000-02-29T00:00:00.500Z"),
    ],
)
def test_rfc3339_formats_in_utc_with_milliseconds(seconds: float, text: str) -> None:
    assert rfc3339(seconds) == text


def test_the_monotonic_time_of_the_system_clock_never_goes_back() -> None:
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no such clock")
def test_the_monotonic_time_of_the_system_clock_includes_suspended_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 12.5}.__getitem__)
    assert SystemClock().monotonic() == 12.5
