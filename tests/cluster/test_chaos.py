"""A minute of random faults of every kind: no limit is exceeded, nobody is forgotten. `make chaos` goes on longer."""

from tests.chaos.history import FaultKind
from tests.chaos.run import Plan, run
from tests.chaos.violation import Minimum

SEED = 3
CONNECTS = 3500
MINIMUM = Minimum(connects=CONNECTS, accepts=700, refusals=70, evictions=300, faults=len(FaultKind))


async def test_limits_and_presence_hold_under_faults_of_every_kind() -> None:
    report = await run(Plan(seed=SEED, connects=CONNECTS, rate=60, minutes=1.5), MINIMUM, say=lambda line: None)

    assert report.violations == [], report.as_text()
    assert report.rejected_for == [], report.as_text()
    assert set(report.totals.faults) == set(FaultKind), report.as_text()
