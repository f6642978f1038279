"""A run of limits and presence: agents' clients and users' tabs come and go under faults; then an audit."""

import time
from dataclasses import dataclass

from tests.chaos.harness.faults import AGAINST_LIMITS, Faults
from tests.chaos.harness.history import History
from tests.chaos.harness.runner import Check, Plan, Report, ShowProgress, injected, run
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.tasks import Tasks
from tests.chaos.harness.violation import Violation
from tests.chaos.limits.audit import audit_all
from tests.chaos.limits.recorder import Recorder
from tests.chaos.limits.tabs import Tabs
from tests.chaos.limits.totals import Minimum, Totals, too_little, totals_of
from tests.chaos.limits.verify import verify
from tests.chaos.limits.verify_rooms import GRACE
from tests.chaos.limits.workload import Limits, Publisher, Workload, agents_for, record_limits, settings_for
from tests.support.waiting import eventually

UNSTAMPED_MAX = 0.001
"""Share of events that may have the time of their reading instead of their arrival."""
LIMITS_WITHIN = 15.0
MORE_CONNECTS = 250
"""Connects after which a run that has not proven enough looks again."""


@dataclass(frozen=True, slots=True)
class LimitsPlan(Plan):
    """At least `connects`, and what the minimum wants. `rate`: connects per second, at most."""

    connects: int = 20_000
    rate: float = 90.0
    policy: str = "both"


class LimitsCheck(Check):
    """`minimum`: below it the run is rejected; None: the minimum for its size."""

    def __init__(self, plan: LimitsPlan, minimum: Minimum | None) -> None:
        self._recorder = Recorder(History())
        super().__init__(plan, self._recorder)
        self._plan = plan
        self._minimum = minimum or Minimum.of_run(plan.connects, plan.policy)
        self._agents = agents_for(plan.policy)

    def stage(self) -> Stage:
        settings = {**settings_for(self._plan.policy), "PRESENCE_GRACE": str(GRACE)}
        return Stage(self.history, nodes=self._plan.nodes, mutant=self._plan.mutant, settings=settings)

    async def run(self, stage: Stage, late: float) -> None:
        plan, agents, recorder = self._plan, self._agents, self._recorder
        workload = Workload(stage, recorder, agents, seed=plan.seed, rate=plan.rate)
        tabs = Tabs(stage, recorder, seed=plan.seed)
        limits = Limits(stage, agents)
        tasks = Tasks()
        record_limits(stage, agents)
        await eventually(limits.apply, within=LIMITS_WITHIN, what="the agents have their limits")
        tasks.start(Publisher(stage, agents, plan.seed).run())
        tasks.start(limits.run())
        try:
            tabs.start()
            async with injected(Faults(stage, plan.seed, AGAINST_LIMITS)) as injecting:

                def must_end() -> bool:
                    return time.monotonic() > late or injecting.done()

                await workload.run(plan.connects, must_end)
                # On a busy machine more clients are refused: go on until enough has happened.
                while not must_end() and too_little(self.totals(), self._minimum):
                    await workload.run(workload.connects + MORE_CONNECTS, must_end)
            tabs.check()
            await workload.finish()
            await tabs.stop()
            await audit_all(stage, recorder, agents, tabs, limits)
            tasks.check()
        finally:
            await tasks.close()

    def progress(self) -> str:
        live = sum(1 for each in self._recorder.sockets if each.is_live and each.agent is not None)
        return f"{self._recorder.attempts} connects, {live} sessions live, {len(self.history.events)} events"

    def totals(self) -> Totals:
        return totals_of(self.history, self._recorder.snapshots_requested)

    def rejected_for(self) -> list[str]:
        reasons, unstamped = too_little(self.totals(), self._minimum), self.registry.unstamped
        if unstamped > UNSTAMPED_MAX * len(self.history.events):
            reasons.append(f"the kernel did not stamp {unstamped} reads: the order of events is not known")
        return reasons

    def verify(self) -> list[Violation]:
        return verify(self.history)


async def run_limits(
    plan: LimitsPlan, minimum: Minimum | None = None, show_progress: ShowProgress | None = None
) -> Report:
    return await run(LimitsCheck(plan, minimum), show_progress)
