"""Which lines are logged when clients cause a line each: so many of a kind, and then how many were left out."""

from collections.abc import Hashable
from dataclasses import dataclass

from ...shared.clock import Clock

WINDOW_SECONDS = 10.0
"""In which at most LINES_MAX lines of one kind are logged."""
LINES_MAX = 100
"""Lines of one kind in one window; further ones are counted, and the next line tells how many they were."""


@dataclass(slots=True)
class _Share:
    """The lines of one kind."""

    window_ends: float = 0.0
    lines: int = 0
    left_out: int = 0


class SampledLines:
    """Asked once for each line. The kinds are few, and no client makes one up: nothing else bounds the table."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shares: dict[Hashable, _Share] = {}

    def admit(self, kind: Hashable) -> dict[str, int] | None:
        """None: do not log this line. Else the field `left_out` for it, if lines of its kind were left out before."""
        if (share := self._shares.get(kind)) is None:
            share = self._shares[kind] = _Share()
        now = self._clock.monotonic()
        if now >= share.window_ends:
            share.window_ends, share.lines = now + WINDOW_SECONDS, 0
        if share.lines >= LINES_MAX:
            share.left_out += 1
            return None
        share.lines += 1
        left_out, share.left_out = share.left_out, 0
        return {"left_out": left_out} if left_out else {}
