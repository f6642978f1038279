"""One run: cluster, publishers and listeners, faults, a calm end, verdict."""

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos.harness.connection import ConnectionRegistry
from tests.chaos.harness.faults import AGAINST_MESSAGES, Faults
from tests.chaos.harness.history import Fault, History
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.tasks import Tasks
from tests.chaos.harness.violation import Violation
from tests.chaos.harness.waiting import becomes_true
from tests.chaos.messages.client import RunContext
from tests.chaos.messages.record import Record
from tests.chaos.messages.totals import Delays, Minimum, Totals, too_little, totals_of
from tests.chaos.messages.verify import verify
from tests.chaos.messages.workload import KEPT, OWN_SETTINGS, SETTINGS, Workload

PROGRESS_EVERY = 5.0
READY_WITHIN = 60.0
CALM_FOR = 14.0
"""Seconds without faults at the end, while publishing goes on: in their last part no `resync` may come any more."""
CLOCK_DRIFT_MAX = 0.005


@dataclass(frozen=True, slots=True)
class Plan:
    """The run ends after so many deliveries and faults, or after `minutes`. `rate`: messages per second."""

    seed: int = 1
    deliveries: int = 100_000
    faults: int = 20
    nodes: int = 4
    minutes: float = 60.0
    rate: float = 240.0
    mutant: str | None = None
    history: Path | None = None


@dataclass(frozen=True, slots=True)
class Report:
    plan: Plan
    totals: Totals
    violations: list[Violation]
    rejected_for: list[str]
    seconds: float
    clock_drift: float
    unstamped: int

    @property
    def exit_code(self) -> int:
        if self.violations:
            return 1
        return 2 if self.rejected_for else 0

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "plan": {name: str(value) for name, value in asdict(self.plan).items()},
            "violations": [violation._asdict() for violation in self.violations],
            "verdict": ("pass", "violations", "rejected")[self.exit_code],
        }

    def as_text(self) -> str:
        t = self.totals
        lines = [
            f"seed {self.plan.seed}, {self.plan.nodes} nodes, {self.seconds:.0f} s",
            f"deliveries   {t.deliveries} checked ({t.deliveries / self.seconds:.0f}/s)",
            f"listeners    {t.subscriptions} subscriptions, in {t.epochs} epochs of all channels",
            f"messages     {t.acknowledged} acknowledged, {t.repeated} of them repeated; {t.unconfirmed} unconfirmed",
            f"recoveries   {t.recovered} with {t.caught_up} messages, {t.refused} refused",
            f"resyncs      {', '.join(f'{count}: {why}' for why, count in sorted(t.resyncs.items())) or 'none'}",
            f"skipped      {t.skipped} messages, announced as missing by a resync or a refused recovery",
            f"history      {t.pages} pages with {t.entries} entries",
            f"faults       {sum(t.faults.values())}: {', '.join(f'{k} {n}' for k, n in sorted(t.faults.items()))}",
            f"delays       {t.delays}",
            *(
                f"  {kind:<15}{delays}; {_since(t.repairs_by_fault[kind])}"
                for kind, delays in t.delays_by_fault.items()
            ),
            f"clock        was set by {self.clock_drift * 1000:.3f} ms meanwhile, {self.unstamped} reads unstamped",
            f"violations   {len(self.violations)}",
        ]
        lines += [f"  {violation}" for violation in self.violations[:40]]
        if self.rejected_for:
            lines += ["REJECTED: too little happened to prove anything", *(f"  {why}" for why in self.rejected_for)]
        lines.append(("PASS", "FAIL", "REJECTED")[self.exit_code])
        return "\n".join(lines)


def _since(repairs: Delays) -> str:
    return f"since its end: p99 {repairs.p99 * 1000:.0f} ms, max {repairs.longest * 1000:.0f} ms"


async def run(plan: Plan, minimum: Minimum | None = None, show_progress: Callable[[str], None] | None = None) -> Report:
    """Run it, and check it. `minimum`: below it the run is rejected; None: the minimum for its size."""
    history = History()
    registry = ConnectionRegistry(history)
    record = Record(history, kept=KEPT)
    began = time.monotonic()
    async with Stage(history, nodes=plan.nodes, mutant=plan.mutant, settings=SETTINGS, own=OWN_SETTINGS) as stage:
        workload = Workload(RunContext(stage, record, registry, plan.seed), rate=plan.rate)
        progress = Tasks()
        progress.start(_progress(show_progress or _show, record, began))
        try:
            workload.start()
            await _inject_faults(plan, record, stage, workload, late=began + plan.minutes * 60)
            await workload.finish()
            stage.record_dead_nodes()
        finally:
            await progress.close()
            await workload.close()
            await registry.close()
    seconds = time.monotonic() - began
    if plan.history is not None:
        record.write(plan.history)
    totals, drift = totals_of(record), history.clock_drift
    rejected_for = too_little(totals, minimum or Minimum.of_run(plan.deliveries, plan.faults))
    if abs(drift) > CLOCK_DRIFT_MAX:
        rejected_for.append(f"the clock was set by {drift:.3f} s: the order of events is not known")
    return Report(plan, totals, verify(record), rejected_for, round(seconds, 1), drift, registry.unstamped)


async def _inject_faults(plan: Plan, record: Record, stage: Stage, workload: Workload, *, late: float) -> None:
    """Inject faults until there were enough, or until `late`. Then remove all, and go on for CALM_FOR seconds."""
    faults = Faults(stage, plan.seed, AGAINST_MESSAGES, workload.slow_down)
    injecting = asyncio.create_task(faults.run())

    async def is_enough() -> bool:
        workload.check()
        count = sum(1 for _ in record.history.of(Fault))
        return injecting.done() or (record.deliveries >= plan.deliveries and count >= plan.faults)

    try:
        await becomes_true(is_enough, late - time.monotonic())
    finally:
        faults.stop.set()
        await injecting
    stage.record_dead_nodes()
    await becomes_true(stage.all_ready, READY_WITHIN)
    await asyncio.sleep(CALM_FOR)


def _show(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


async def _progress(show_progress: Callable[[str], None], record: Record, began: float) -> None:
    while True:
        await asyncio.sleep(PROGRESS_EVERY)
        faults = sum(1 for _ in record.history.of(Fault))
        acknowledged, seconds = len(record.acknowledged), time.monotonic() - began
        show_progress(f"{seconds:5.0f} s  {record.deliveries} deliveries of {acknowledged} messages, {faults} faults")
