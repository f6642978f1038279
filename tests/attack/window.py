"""What a bystander has noticed in a window of time, as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie; 0 without values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@dataclass(slots=True)
class Window:
    """Times are in milliseconds. `lost`: the close codes of its sessions that ended."""

    pongs: list[float] = field(default_factory=list[float])
    unanswered: int = 0
    confirmed: list[float] = field(default_factory=list[float])
    """From a publish to its `ok`."""
    refused: list[str] = field(default_factory=list[str])
    """The codes with which publishes were refused; "no answer" for those without one."""
    heard: int = 0
    unheard: list[str] = field(default_factory=list[str])
    """Messages that were confirmed, and that a witness neither heard nor was told of by `resync`."""
    lost: list[str] = field(default_factory=list[str])

    @property
    def p50(self) -> float:
        return percentile(self.pongs, 0.5)

    @property
    def p99(self) -> float:
        return percentile(self.pongs, 0.99)

    @property
    def longest(self) -> float:
        return max(self.pongs, default=0.0)

    @property
    def publish_p99(self) -> float:
        return percentile(self.confirmed, 0.99)
