"""Back-off: how long to wait before a retry."""

from collections.abc import Callable


def full_jitter(attempt: int, *, base: float, cap: float, uniform: Callable[[float, float], float]) -> float:
    """Seconds to wait before retry number `attempt` (from 0): uniform over [0, min(cap, base · 2^attempt)].

    `base` and `cap` are in seconds. Source: "Exponential Backoff And Jitter", AWS Architecture Blog 2015, where full
    jitter spreads the retries of many clients best.
    """
    return uniform(0.0, min(cap, base * 2.0 ** min(attempt, 32)))
