"""Rates as settings have them: `50/s`, `600/m`, `1000/h`; `0` is no limit."""

import re
from dataclasses import dataclass

BURST_FACTOR = 5
"""How many times its count a rate allows at once, after a silence."""
RATE_COUNT_MAX = 1_000_000_000_000
"""The highest count of a rate."""
_UNITS = {"s": 1, "m": 60, "h": 3600}
_NAMES = {seconds: unit for unit, seconds in _UNITS.items()}
_parse = re.compile(r"([0-9]{1,13})(?:/([smh]))?").fullmatch


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` in each `seconds` in the long run, and BURST_FACTOR times the count at once. A count of 0: no limit."""

    count: int
    seconds: int = 1

    @property
    def interval(self) -> float:
        """Seconds in which one of the count comes back; 0: there is no limit."""
        return self.seconds / self.count if self.count else 0.0

    @property
    def fill_seconds(self) -> float:
        """Seconds in which all that is allowed at once comes back."""
        return float(BURST_FACTOR * self.seconds)

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        return f"{self.count}/{_NAMES[self.seconds]}" if self.count else "0"


NO_LIMIT = Rate(0)


def parse_rate(text: str) -> Rate:
    """Raises ValueError with what is allowed."""
    parts = _parse(text.strip())
    count = int(parts[1]) if parts is not None else 0
    if parts is not None and count == 0:
        return NO_LIMIT
    if parts is None or parts[2] is None or count > RATE_COUNT_MAX:
        raise ValueError(
            "has to be a number and its time, N/s, N/m or N/h, for instance 50/s, "
            f"with N from 1 to {RATE_COUNT_MAX:,}; or 0 for no limit"
        )
    return Rate(count, _UNITS[parts[2]])
