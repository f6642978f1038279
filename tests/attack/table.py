"""The results as a table for people: times in ms, memory in MB, CPU in percent of a core."""

from collections.abc import Sequence

from tests.attack.meter import Cost
from tests.attack.verdict import Result

HEAD = (
    f"{'fault':<5} {'case':<36} {'n':>2} {'sent':>5} {'p50':>5} {'p99':>6} {'max':>6} {'alone':>6} {'ratio':>5}"
    f" {'lost':>4} {'refused':>7} {'grown':>6} {'kept':>6} {'cpu':>4} {'redis':>6} {'r.cpu':>5} {'r.MB':>6}  ended as"
)
"""`alone`: p99 before the attack. `grown`: the node's peak; `kept`: at the end. `redis`: its longest command."""
OUTCOMES_MAX = 4


def line_of(result: Result) -> str:
    """A line below HEAD, and one for each bound that was missed."""
    window, before = result.window, result.before
    ratio = window.p99 / before.p99 if before.p99 else 0.0
    outcomes = ", ".join(f"{what} {count}" for what, count in result.outcomes.most_common(OUTCOMES_MAX))
    line = (
        f"{result.fault:<5} {result.name:<36.36} {result.sockets:>2} {result.sent:5.1f} {window.p50:5.1f}"
        f" {window.p99:6.1f} {window.longest:6.0f} {before.p99:6.1f} {ratio:5.1f} {len(window.lost):>4}"
        f" {len(window.refused):>7} {_columns(result.cost)}  {outcomes}"
    )
    return "\n".join([line, *(f"      MISSED {what}" for what in result.misses)])


FAULTS_HEAD = "fault  cases     p99  grown  redis  lost  beyond"
"""The worst case of each fault: ms, MB, ms; sessions lost and publishes refused of all; cases beyond their bounds."""


def lines_of_faults(results: Sequence[Result]) -> list[str]:
    """A line below FAULTS_HEAD for each fault, in the order of their numbers."""
    by_fault: dict[str, list[Result]] = {}
    for result in results:
        by_fault.setdefault(result.fault, []).append(result)
    return [_worst(fault, by_fault[fault]) for fault in sorted(by_fault, key=lambda fault: int(fault[1:]))]


def _worst(fault: str, results: list[Result]) -> str:
    costs = [result.cost for result in results if result.cost is not None]
    p99 = max(result.window.p99 for result in results)
    grown = max((cost.grown for cost in costs), default=0.0)
    longest = max((cost.redis_longest for cost in costs), default=0.0)
    lost = sum(len(result.window.lost) + len(result.window.refused) for result in results)
    beyond = sum(bool(result.misses) for result in results)
    return f"{fault:<5} {len(results):>6} {p99:>7.1f} {grown:>6.1f} {longest:>6.1f} {lost:>5} {beyond:>7}"


def _columns(cost: Cost | None) -> str:
    if cost is None:
        return "the node has ended"
    return (
        f"{cost.grown:6.1f} {cost.kept:6.1f} {cost.cpu * 100:4.0f} {cost.redis_longest:6.1f}"
        f" {cost.redis_cpu * 100:5.0f} {cost.redis_grown:6.1f}"
    )
