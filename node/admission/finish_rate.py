"""How many of something a node finishes in a second, as it finds out by itself."""

from ...shared.clock import Clock

MEASURED_SECONDS = 0.1
"""Over which a rate is measured. What is less says little."""
STALE_SECONDS = 1.0
"""Without one that has finished: nobody has waited in between, and nothing was measured."""


class FinishRate:
    """It is measured while others wait: else it is a rate at which they come. `first`: until something was measured."""

    def __init__(self, clock: Clock, first: float) -> None:
        self.per_second = first
        self._clock = clock
        self._since: float | None = None
        self._last = 0.0
        self._finished = 0

    def finish(self, *, others_wait: bool) -> None:
        """One has finished. Each measurement counts for half, and all before it for the other half."""
        if not others_wait:
            self._since = None
            return
        now = self._clock.monotonic()
        if self._since is None or now - self._last > STALE_SECONDS:
            self._since, self._finished = now, 0
        else:
            self._finished += 1
            if (passed := now - self._since) >= MEASURED_SECONDS:
                self.per_second += (self._finished / passed - self.per_second) / 2
                self._since, self._finished = now, 0
        self._last = now
