"""One run of a check: a cluster, clients, random faults, an end without faults, a verdict.

What a check does and how it judges are in `limits/run.py` and `messages/run.py`; this is what they share.
"""

import asyncio
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.chaos.harness.connection import ConnectionRegistry
from tests.chaos.harness.faults import Faults
from tests.chaos.harness.history import Fault, History
from tests.chaos.harness.pacing import LoopLag, ticks
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.tasks import Tasks
from tests.chaos.harness.violation import Violation

PROGRESS_EVERY = 5.0
CLOCK_DRIFT_MAX = 0.005
SHOWN_MAX = 40
"""Violations that a report writes out."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. `minutes`: the run ends then, enough or not. `history`: a file for all events."""

    seed: int = 1
    nodes: int = 4
    minutes: float = 60.0
    mutant: str | None = None
    history: Path | None = None


class Totals(Protocol):
    """What a run did, in numbers: a dataclass."""

    @property
    def faults(self) -> dict[str, int]: ...

    def as_lines(self, seconds: float) -> list[str]:
        """For people. `seconds`: how long the run took."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    plan: Plan
    totals: Totals
    violations: list[Violation]
    rejected_for: list[str]
    seconds: float
    clock_drift: float
    unstamped: int
    loop_lag: float
    """Seconds for which the run itself stood still, at most: until then nothing gets through its proxies to Redis."""

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
        faults = self.totals.faults
        lines = [
            f"seed {self.plan.seed}, {self.plan.nodes} nodes, {self.seconds:.0f} s",
            f"faults       {sum(faults.values())}: {', '.join(f'{kind} {n}' for kind, n in sorted(faults.items()))}",
            *self.totals.as_lines(self.seconds),
            f"clock        was set by {self.clock_drift * 1000:.3f} ms meanwhile, {self.unstamped} reads unstamped",
            f"loop         stood still for {self.loop_lag:.1f} s at most",
            f"violations   {len(self.violations)}{_by_kind(self.violations)}",
            *(f"  {violation}" for violation in self.violations[:SHOWN_MAX]),
        ]
        if self.rejected_for:
            lines += ["REJECTED: too little happened to prove anything", *(f"  {why}" for why in self.rejected_for)]
        lines.append(("PASS", "FAIL", "REJECTED")[self.exit_code])
        return "\n".join(lines)


def _by_kind(violations: list[Violation]) -> str:
    """Also of those that are not written out."""
    counts = Counter(violation.kind for violation in violations)
    return "".join(f", {kind} {count}" for kind, count in sorted(counts.items()))


class Check(ABC):
    """What is done in a run, and how it is judged."""

    def __init__(self, plan: Plan, registry: ConnectionRegistry) -> None:
        self.plan = plan
        self.registry = registry

    @property
    def history(self) -> History:
        return self.registry.history

    @abstractmethod
    def stage(self) -> Stage:
        """The cluster, which is not started yet."""

    @abstractmethod
    async def run(self, stage: Stage, late: float) -> None:
        """Let clients work under faults, until enough has happened or the monotonic clock is at `late`; then audit."""

    @abstractmethod
    def progress(self) -> str:
        """One line about what has happened until now."""

    @abstractmethod
    def totals(self) -> Totals: ...

    @abstractmethod
    def rejected_for(self) -> list[str]:
        """The reasons why too little has happened to prove anything; empty if there are none."""

    @abstractmethod
    def verify(self) -> list[Violation]: ...

    def write(self, path: Path) -> None:
        """Write all events to a file."""
        self.history.write(path)


ShowProgress = Callable[[str], None]


async def run(check: Check, show_progress: ShowProgress | None = None) -> Report:
    """Run a check, and judge it."""
    plan, history, registry = check.plan, check.history, check.registry
    began = time.monotonic()
    progress, lag = Tasks(), LoopLag()
    async with check.stage() as stage:
        progress.start(_show_progress(check, show_progress or _write_to_stderr, began))
        progress.start(lag.watch())
        try:
            await check.run(stage, began + plan.minutes * 60)
            stage.record_dead_nodes()
            progress.check()
        finally:
            registry.close()
            await progress.close()
    seconds = time.monotonic() - began
    if plan.history is not None:
        check.write(plan.history)
    rejected_for, drift = check.rejected_for(), history.clock_drift
    if abs(drift) > CLOCK_DRIFT_MAX:
        rejected_for.append(f"the clock was set by {drift:.3f} s: the order of events is not known")
    return Report(
        plan,
        check.totals(),
        check.verify(),
        rejected_for,
        round(seconds, 1),
        drift,
        registry.unstamped,
        round(lag.longest, 2),
    )


@asynccontextmanager
async def injected(faults: Faults) -> AsyncGenerator[asyncio.Task[None]]:
    """Inject faults in the body; after it all of them are removed. The task ends early only by an error."""
    injecting = asyncio.create_task(faults.run())
    try:
        yield injecting
    finally:
        faults.stop.set()
        await injecting


def _write_to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


async def _show_progress(check: Check, show: ShowProgress, began: float) -> None:
    async for _ in ticks(PROGRESS_EVERY):
        faults = sum(1 for _ in check.history.of(Fault))
        show(f"{time.monotonic() - began:5.0f} s  {check.progress()}, {faults} faults")
