"""A run of messages: an author publishes and listeners come and go under faults; then a time without faults."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.harness.connection import ConnectionRegistry
from tests.chaos.harness.faults import AGAINST_MESSAGES, Faults
from tests.chaos.harness.history import Fault, History
from tests.chaos.harness.runner import Check, Plan, Report, ShowProgress, injected, run
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.violation import Violation
from tests.chaos.harness.waiting import becomes_true
from tests.chaos.messages.client import RunContext
from tests.chaos.messages.record import Record
from tests.chaos.messages.totals import Minimum, Totals, too_little, totals_of
from tests.chaos.messages.verify import verify
from tests.chaos.messages.workload import KEPT, OWN_SETTINGS, SETTINGS, Workload

READY_WITHIN = 60.0
CALM_FOR = 14.0
"""Seconds without faults at the end, while publishing goes on: in their last part no `resync` may come any more."""


@dataclass(frozen=True, slots=True)
class MessagesPlan(Plan):
    """The run ends after so many deliveries and faults. `rate`: messages per second."""

    deliveries: int = 100_000
    faults: int = 20
    rate: float = 240.0


class MessagesCheck(Check):
    """`minimum`: below it the run is rejected; None: the minimum for its size."""

    def __init__(self, plan: MessagesPlan, minimum: Minimum | None) -> None:
        super().__init__(plan, ConnectionRegistry(History()))
        self._plan = plan
        self._record = Record(self.history, kept=KEPT)
        self._minimum = minimum or Minimum.of_run(plan.deliveries, plan.faults)

    def stage(self) -> Stage:
        plan = self._plan
        return Stage(self.history, nodes=plan.nodes, mutant=plan.mutant, settings=SETTINGS, own=OWN_SETTINGS)

    async def run(self, stage: Stage, late: float) -> None:
        workload = Workload(RunContext(stage, self._record, self.registry, self._plan.seed), rate=self._plan.rate)
        try:
            workload.start()
            await self._inject_faults(stage, workload, late)
            await workload.finish()
        finally:
            await workload.close()

    async def _inject_faults(self, stage: Stage, workload: Workload, late: float) -> None:
        """Inject faults until there were enough, or until `late`. Then remove all, and go on for CALM_FOR seconds."""
        plan = self._plan
        async with injected(Faults(stage, plan.seed, AGAINST_MESSAGES, workload.slow_down)) as injecting:

            async def is_enough() -> bool:
                workload.check()
                kinds = [fault.kind for fault in self.history.of(Fault)]
                has_faults = len(kinds) >= plan.faults and len(set(kinds)) >= self._minimum.kinds
                return injecting.done() or (self._record.deliveries >= plan.deliveries and has_faults)

            await becomes_true(is_enough, late - time.monotonic())
        stage.record_dead_nodes()
        await becomes_true(stage.all_ready, READY_WITHIN)
        await asyncio.sleep(CALM_FOR)

    def progress(self) -> str:
        return f"{self._record.deliveries} deliveries of {len(self._record.acknowledged)} messages"

    def totals(self) -> Totals:
        return totals_of(self._record)

    def rejected_for(self) -> list[str]:
        return too_little(self.totals(), self._minimum)

    def verify(self) -> list[Violation]:
        return verify(self._record)

    def write(self, path: Path) -> None:
        self._record.write(path)


async def run_messages(
    plan: MessagesPlan, minimum: Minimum | None = None, show_progress: ShowProgress | None = None
) -> Report:
    return await run(MessagesCheck(plan, minimum), show_progress)
