"""Random faults of every kind: no limit is exceeded, nobody is forgotten, no message is missing without a word.

`make chaos` goes on for longer.
"""

from tests.chaos.harness.faults import AGAINST_LIMITS, AGAINST_MESSAGES
from tests.chaos.limits import run as limits
from tests.chaos.limits.totals import Minimum
from tests.chaos.messages import run as messages
from tests.chaos.messages import totals

CONNECTS = 2500
MINUTES_MAX = 6.0
"""After which a run ends, enough or not: on an idle machine each takes one."""
LIMITS = Minimum(connects=CONNECTS, accepts=500, refusals=50, evictions=200, faults=len(AGAINST_LIMITS))
DELIVERIES = 20_000
MESSAGES = totals.Minimum.of_run(DELIVERIES, len(AGAINST_MESSAGES))


def _nothing(line: str) -> None: ...


async def test_limits_and_presence_hold_under_faults_of_every_kind() -> None:
    plan = limits.Plan(seed=23, connects=CONNECTS, rate=60, minutes=MINUTES_MAX)

    report = await limits.run(plan, LIMITS, show_progress=_nothing)

    assert report.violations == [], report.as_text()
    assert report.rejected_for == [], report.as_text()
    assert report.totals.faults.keys() == set(AGAINST_LIMITS), report.as_text()


async def test_no_message_is_missing_without_a_word_under_faults_of_every_kind() -> None:
    plan = messages.Plan(seed=150, deliveries=DELIVERIES, faults=len(AGAINST_MESSAGES), minutes=MINUTES_MAX)

    report = await messages.run(plan, MESSAGES, show_progress=_nothing)

    assert report.violations == [], report.as_text()
    assert report.rejected_for == [], report.as_text()
    assert report.totals.faults.keys() == set(AGAINST_MESSAGES), report.as_text()
