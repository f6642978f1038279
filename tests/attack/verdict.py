"""What an attack did, and whether that is within bounds. Pure."""

from collections import Counter
from dataclasses import dataclass

from tests.attack.meter import Cost
from tests.attack.window import Window


@dataclass(frozen=True, slots=True)
class Bounds:
    """Milliseconds of the bystander's p99, megabytes by which the node may grow, milliseconds of a Redis command."""

    p99: float
    grown: float
    redis_longest: float = 20.0


ONE_SOCKET = Bounds(p99=25.0, grown=5.0)
TEN_SOCKETS = Bounds(p99=50.0, grown=50.0)


def bounds_for(sockets: int) -> Bounds:
    return ONE_SOCKET if sockets == 1 else TEN_SOCKETS


@dataclass(frozen=True, slots=True)
class Result:
    """Of one case. `outcomes`: how often the attackers ended as what; `sent`: megabytes; `not_ready`: looks at it."""

    name: str
    fault: str
    sockets: int
    seconds: float
    sent: float
    before: Window
    window: Window
    cost: Cost | None
    """None: the node has ended."""
    outcomes: Counter[str]
    expected: frozenset[str]
    not_ready: int
    connections_mb: float = 0.0
    cuts_link: bool = False

    @property
    def misses(self) -> list[str]:
        """What is not within the bounds, in words; empty: all is."""
        bounds, window, cost = bounds_for(self.sockets), self.window, self.cost
        if cost is None:
            return ["the node has ended"]
        said = {
            f"p99 {window.p99:.0f} ms": window.p99 > bounds.p99,
            f"{window.unanswered} pings unanswered": window.unanswered > 0,
            f"sessions lost: {', '.join(window.lost)}": bool(window.lost),
            f"publishes refused: {_listed(Counter(window.refused))}": bool(window.refused),
            f"{len(window.unheard)} messages unheard": bool(window.unheard),
            f"grown by {cost.grown:.0f} MB": cost.grown > bounds.grown + self.connections_mb,
            f"{cost.redis_command} took {cost.redis_longest:.0f} ms": cost.redis_longest > bounds.redis_longest,
            f"not ready at {self.not_ready} looks": self.not_ready > 0 and not self.cuts_link,
            f"ended as {_listed(self.unexpected)}": bool(self.unexpected),
        }
        return [what for what, is_so in said.items() if is_so]

    @property
    def unexpected(self) -> Counter[str]:
        return Counter({what: count for what, count in self.outcomes.items() if what not in self.expected})


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))
