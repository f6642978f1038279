"""Random faults of every kind: no limit is exceeded, nobody is forgotten, no message is missing without a
word, every text is whole.

`make chaos` goes on for longer.
"""

from tests.chaos.harness.faults import AGAINST_LIMITS, AGAINST_MESSAGES
from tests.chaos.limits.run import LimitsPlan, run_limits
from tests.chaos.limits.totals import Minimum as LimitsMinimum
from tests.chaos.messages.run import MessagesPlan, run_messages
from tests.chaos.messages.totals import Minimum as MessagesMinimum
from tests.chaos.streams.run import AGAINST_STREAMS, StreamsPlan, run_streams

CONNECTS = 2500
MINUTES_MAX = 6.0
"""After which a run ends, enough or not: on an idle machine each takes one."""
KINDS = len(AGAINST_LIMITS)
LIMITS = LimitsMinimum(connects=CONNECTS, accepts=500, refusals=50, evictions=200, faults=KINDS, kinds=KINDS)
DELIVERIES = 20_000
MESSAGES = MessagesMinimum.of_run(DELIVERIES, len(AGAINST_MESSAGES))


def _nothing(line: str) -> None: ...


async def test_limits_and_presence_hold_under_faults_of_every_kind() -> None:
    plan = LimitsPlan(seed=23, connects=CONNECTS, rate=60, minutes=MINUTES_MAX)

    report = await run_limits(plan, LIMITS, show_progress=_nothing)

    assert report.violations == [], report.as_text()
    assert report.rejected_for == [], report.as_text()
    assert report.totals.faults.keys() == set(AGAINST_LIMITS), report.as_text()


async def test_no_message_is_missing_without_a_word_under_faults_of_every_kind() -> None:
    plan = MessagesPlan(seed=150, deliveries=DELIVERIES, faults=len(AGAINST_MESSAGES), minutes=MINUTES_MAX)

    report = await run_messages(plan, MESSAGES, show_progress=_nothing)

    assert report.violations == [], report.as_text()
    assert report.rejected_for == [], report.as_text()
    assert report.totals.faults.keys() == set(AGAINST_MESSAGES), report.as_text()


async def test_every_text_is_whole_or_lost_under_faults_of_every_kind() -> None:
    plan = StreamsPlan(seed=4, nodes=3, pieces=3000, faults=len(AGAINST_STREAMS), minutes=MINUTES_MAX)

    report = await run_streams(plan, show_progress=_nothing)

    assert report.violations == [], report.as_text()
    assert report.rejected_for == [], report.as_text()
    assert report.totals.faults.keys() == set(AGAINST_STREAMS), report.as_text()
