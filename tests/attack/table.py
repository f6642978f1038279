"""The results as a table for people: times in ms, memory in MB, CPU in percent of a core."""

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


def _columns(cost: Cost | None) -> str:
    if cost is None:
        return "the node has ended"
    return (
        f"{cost.grown:6.1f} {cost.kept:6.1f} {cost.cpu * 100:4.0f} {cost.redis_longest:6.1f}"
        f" {cost.redis_cpu * 100:5.0f} {cost.redis_grown:6.1f}"
    )
