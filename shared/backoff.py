"""How long to wait before trying again."""

from collections.abc import Callable


def full_jitter(attempt: int, *, base: float, cap: float, uniform: Callable[[float, float], float]) -> float:
    """Seconds to wait before try number `attempt` (from 0): uniform over [0, min(cap, base · 2^attempt)].

    "Exponential Backoff And Jitter", AWS Architecture Blog 2015: full jitter spreads a crowd best.
    """
    return uniform(0.0, min(cap, base * 2.0 ** min(attempt, 32)))
