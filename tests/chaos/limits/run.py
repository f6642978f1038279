"""One run: cluster, workload, faults, audit, verdict."""

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos.harness.faults import AGAINST_LIMITS, Faults
from tests.chaos.harness.history import Fault, History
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

PROGRESS_EVERY = 5.0
CLOCK_DRIFT_MAX = 0.005
UNSTAMPED_MAX = 0.001
"""Share of events that may have the time of their reading instead of their arrival."""
LIMITS_WITHIN = 15.0
MORE_CONNECTS = 250
"""Connects after which a run that has not proven enough looks again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: at least `connects`, and what the minimum wants. `minutes`: the run ends then, enough or not.

    `rate`: connects per second, at most.
    """

    seed: int = 1
    connects: int = 20_000
    nodes: int = 4
    minutes: float = 60.0
    rate: float = 90.0
    policy: str = "both"
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
    snapshots_requested: int

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
            f"connects     {t.connects}: {t.accepts} accepted, {t.refusals} refused, {t.unanswered} unanswered",
            f"ends         {', '.join(f'{end}: {count}' for end, count in sorted(t.ends.items()))}",
            f"evictions    {t.evictions} (4500), {t.replacements} replaced (4506), {t.fenced} leases lost (4004)",
            f"received     {t.received} numbered messages, {t.received_per_second:.1f} per session and second",
            f"presence     {self.snapshots_requested} snapshots requested after a missed event",
            f"faults       {sum(t.faults.values())}: {', '.join(f'{k} {n}' for k, n in sorted(t.faults.items()))}",
            f"clock        was set by {self.clock_drift * 1000:.3f} ms meanwhile, {self.unstamped} reads unstamped",
            f"violations   {len(self.violations)}",
        ]
        lines += [f"  {violation}" for violation in self.violations[:40]]
        if self.rejected_for:
            lines += ["REJECTED: too little happened to prove anything", *(f"  {why}" for why in self.rejected_for)]
        lines.append(("PASS", "FAIL", "REJECTED")[self.exit_code])
        return "\n".join(lines)


async def run(plan: Plan, minimum: Minimum | None = None, show_progress: Callable[[str], None] | None = None) -> Report:
    """Run it, and check it. `minimum`: below it the run is rejected; None: the minimum for its size."""
    wanted = minimum or Minimum.of_run(plan.connects, plan.policy)
    history = History()
    recorder = Recorder(history)
    agents = agents_for(plan.policy)
    settings = {**settings_for(plan.policy), "PRESENCE_GRACE": str(GRACE)}
    tasks = Tasks()
    async with Stage(history, nodes=plan.nodes, mutant=plan.mutant, settings=settings) as stage:
        workload = Workload(stage, recorder, agents, seed=plan.seed, rate=plan.rate)
        tabs = Tabs(stage, recorder, seed=plan.seed)
        faults = Faults(stage, plan.seed, AGAINST_LIMITS)
        limits = Limits(stage, agents)
        record_limits(stage, agents)
        await eventually(limits.apply, within=LIMITS_WITHIN, what="the agents have their limits")
        began = time.monotonic()
        tasks.start(Publisher(stage, agents, plan.seed).run())
        tasks.start(limits.run())
        tasks.start(_progress(show_progress or _show, recorder, workload, history, began))
        try:
            tabs.start()
            injecting = asyncio.create_task(faults.run())
            try:
                late = began + plan.minutes * 60

                def must_end() -> bool:
                    return time.monotonic() > late or injecting.done()

                await workload.run(plan.connects, must_end)
                # On a busy machine more clients are refused: go on until enough has happened.
                while not must_end() and too_little(totals_of(history), wanted):
                    await workload.run(workload.connects + MORE_CONNECTS, must_end)
            finally:
                faults.stop.set()
                await injecting
            tabs.check()
            await workload.finish()
            await tabs.stop()
            await audit_all(stage, recorder, agents, tabs, limits)
            tasks.check()
        finally:
            await recorder.close()
            await tasks.close()
    seconds = time.monotonic() - began
    if plan.history is not None:
        history.write(plan.history)
    totals, drift = totals_of(history), history.clock_drift
    rejected_for = too_little(totals, wanted)
    if abs(drift) > CLOCK_DRIFT_MAX:
        rejected_for.append(f"the clock was set by {drift:.3f} s: the order of events is not known")
    if recorder.unstamped > UNSTAMPED_MAX * len(history.events):
        rejected_for.append(f"the kernel did not stamp {recorder.unstamped} reads: the order of events is not known")
    unstamped, asked = recorder.unstamped, recorder.snapshots_requested
    return Report(plan, totals, verify(history), rejected_for, round(seconds, 1), drift, unstamped, asked)


def _show(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


async def _progress(
    show_progress: Callable[[str], None], recorder: Recorder, workload: Workload, history: History, began: float
) -> None:
    while True:
        await asyncio.sleep(PROGRESS_EVERY)
        live = sum(1 for each in recorder.sockets if each.is_live and each.agent is not None)
        faults = sum(1 for _ in history.of(Fault))
        show_progress(
            f"{time.monotonic() - began:5.0f} s  {workload.connects} connects, {live} sessions live, "
            f"{faults} faults, {len(history.events)} events"
        )
