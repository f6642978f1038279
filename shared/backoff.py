"""Back-off: how long to wait before a retry."""

import random
from collections.abc import Callable


def full_jitter(attempt: int, *, base: float, cap: float, uniform: Callable[[float, float], float]) -> float:
    """Seconds to wait before retry number `attempt` (from 0): uniform over [0, min(cap, base · 2^attempt)].

    `base` and `cap` are in seconds. Source: "Exponential Backoff And Jitter", AWS Architecture Blog 2015, where full
    jitter spreads the retries of many clients best.
    """
    return uniform(0.0, min(cap, base * 2.0 ** min(attempt, 32)))


def spread_retry_after(least: float, most: float) -> float:
    """Return random seconds, so that clients that are closed together do not come back together."""
    return round(random.uniform(least, most), 2)
