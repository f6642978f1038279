"""The totals of a run of limits; a run with too small ones is rejected."""

from tests.chaos.harness.history import End, FaultKind
from tests.chaos.limits.totals import Minimum, too_little, totals_of
from tests.unit.chaos.limits.history_builder import HistoryBuilder

BYE = End.BYE


def test_run_below_the_minimum_is_rejected() -> None:
    history = HistoryBuilder().session(1, 2, received=[1.5]).fault(1, 2)
    wanted = Minimum(connects=1, accepts=1, refusals=1, evictions=1, faults=1, kinds=5, received_per_second=4)

    reasons = too_little(totals_of(history), wanted)

    names = [reason.partition(":")[0] for reason in reasons]
    assert names == ["refusals", "evictions", "kinds of faults", "messages received per session and second"]


def test_run_above_the_minimum_is_not_rejected() -> None:
    history = HistoryBuilder().session(1, 2, BYE, 4500, received=[1.2, 1.4, 1.6, 1.8, 1.9]).refusal(1013, 1.0)
    for kind in FaultKind:
        history.fault(3, 4, kind)
    wanted = Minimum(connects=2, accepts=1, refusals=1, evictions=1, faults=9)

    assert too_little(totals_of(history), wanted) == []
