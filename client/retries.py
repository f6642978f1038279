"""When to connect again: with full jitter, and not before the node said. No I/O and no clock."""

from collections.abc import Callable

from ..shared.backoff import full_jitter
from .errors import ClientError, ConnectionLost

BACKOFF_BASE, BACKOFF_CAP = 0.5, 15.0
"""Seconds until the next connection, with full jitter."""
STABLE_SECONDS = 10.0
"""After a connection that lasted longer, the back-off starts anew."""


class Retries:
    """The attempts of one client. `max_attempts`: after so many failures in a row it gives up; None: never."""

    def __init__(self, uniform: Callable[[float, float], float], *, max_attempts: int | None = None) -> None:
        self._uniform = uniform
        self.max_attempts = max_attempts
        self._failures = 0

    def next_delay(self, lost: ConnectionLost, lasted: float) -> float:
        """Return the seconds until the next attempt, after a connection that lasted `lasted` seconds.

        Raises `lost` itself if it is final, and ClientError after `max_attempts`.
        """
        if lost.is_final:
            raise lost
        if lasted > STABLE_SECONDS:
            self._failures = 0
        jitter = full_jitter(self._failures, base=BACKOFF_BASE, cap=BACKOFF_CAP, uniform=self._uniform)
        self._failures += 1
        if self.max_attempts is not None and self._failures >= self.max_attempts:
            times = "1 time" if self._failures == 1 else f"{self._failures} times"
            raise ClientError(f"the connection failed {times} in a row, the last time with: {lost}") from lost
        if lost.retry_after is None:
            return jitter
        # The first retry follows the node. A node that refuses again and again can't cause a tight loop.
        return lost.retry_after if self._failures == 1 else max(lost.retry_after, jitter)
