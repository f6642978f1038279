"""Minutes of random attacks by many sockets, beside a bystander and the checkers of limits and of messages."""

import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from tests.attack.besieged import Besieged, settings
from tests.attack.meter import resident
from tests.attack.remote_bystander import RemoteBystander
from tests.attack.window import Window, percentile
from tests.chaos.harness.pacing import ticks
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.violation import Violation
from tests.chaos.messages.workload import OWN_SETTINGS
from tests.support.node import SLOW_START

PROJECT = Path(__file__).parent.parent.parent
NODES = 2
BEFORE = 15.0
"""Seconds for the clients of the checkers to come, and for the bystander alone."""
WINDOW = 10.0
LOOK_EVERY = 1.0
P99_MAX = 50.0
GROWTH_MAX = 10.0
"""Megabytes that the last third of the time may have above the first one."""
ENDS_WITHIN = 60.0
SHOWN_MAX = 20


@dataclass(slots=True)
class MixtureReport:
    """`memory`: megabytes of the attacked node, each second. `outcomes`: how often which case has ended as what."""

    minutes: float
    before: Window
    windows: list[Window] = field(default_factory=list[Window])
    memory: list[float] = field(default_factory=list[float])
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    violations: list[Violation] = field(default_factory=list[Violation])
    checked: str = ""

    @property
    def pongs(self) -> list[float]:
        return [pong for window in self.windows for pong in window.pongs]

    @property
    def thirds(self) -> tuple[float, float]:
        """Mean memory of the first third and of the last one."""
        third = max(1, len(self.memory) // 3)
        return fmean(self.memory[:third]), fmean(self.memory[-third:])

    @property
    def misses(self) -> list[str]:
        p99, (first, last) = percentile(self.pongs, 0.99), self.thirds
        lost = Counter(code for window in self.windows for code in window.lost)
        refused = Counter(code for window in self.windows for code in window.refused)
        unheard = sum(len(window.unheard) for window in self.windows)
        unanswered = sum(window.unanswered for window in self.windows)
        said = {
            f"p99 {p99:.0f} ms": p99 > P99_MAX,
            f"sessions lost: {dict(lost)}": bool(lost),
            f"publishes refused: {dict(refused)}": bool(refused),
            f"{unheard} messages unheard": unheard > 0,
            f"{unanswered} pings unanswered": unanswered > 0,
            f"memory rose from {first:.0f} to {last:.0f} MB": last > first + GROWTH_MAX,
            f"{len(self.violations)} violations": bool(self.violations),
        }
        return [what for what, is_so in said.items() if is_so]

    def as_text(self) -> str:
        pongs, (first, last) = self.pongs, self.thirds
        rounds = Counter({what: sum(ends.values()) for what, ends in self.outcomes.items()})
        return "\n".join(
            [
                f"{self.minutes:g} minutes, {rounds.total()} rounds of {len(rounds)} cases",
                f"pings        p50 {percentile(pongs, 0.5):.1f} ms, p99 {percentile(pongs, 0.99):.1f} ms,"
                f" max {max(pongs, default=0):.0f} ms; alone p99 {self.before.p99:.1f} ms",
                f"publishes    {sum(len(window.confirmed) for window in self.windows)} confirmed",
                f"memory       {first:.0f} MB in the first third, {last:.0f} MB in the last one,"
                f" {max(self.memory):.0f} MB at most",
                f"checked      {self.checked}",
                *(f"  {violation}" for violation in self.violations[:SHOWN_MAX]),
                *(f"MISSED {what}" for what in self.misses),
            ]
        )


async def run(minutes: float, seed: int) -> MixtureReport:
    besieged, until = Besieged(seed), asyncio.Event()
    stage = Stage(
        besieged.history, nodes=NODES, settings=settings(), own=OWN_SETTINGS, times=SLOW_START, has_proxies=False
    )
    async with stage:
        attacked, other = stage.nodes
        await besieged.prepare(stage)
        async with RemoteBystander((attacked.port, other.port)) as bystander:
            checking = asyncio.create_task(besieged.run(stage, until))
            try:
                await asyncio.sleep(BEFORE)
                await bystander.begin()
                await asyncio.sleep(BEFORE)
                report = MixtureReport(minutes, before=await bystander.settle(WINDOW))
                await _measure(report, stage, bystander, seed)
                until.set()
                await checking
            finally:
                checking.cancel()
    report.violations, report.checked = besieged.violations, besieged.progress()
    return report


async def _measure(report: MixtureReport, stage: Stage, bystander: RemoteBystander, seed: int) -> None:
    attacked, other = stage.nodes
    seconds = report.minutes * 60
    siege = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.attack.siege", str(attacked.port), str(other.port), str(seed), str(seconds)),
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
    )
    watching = asyncio.create_task(_watch_memory(attacked.pid, report.memory))
    try:
        ending = asyncio.create_task(siege.communicate())
        while not ending.done():
            await bystander.begin()
            await asyncio.wait((ending,), timeout=WINDOW)
            report.windows.append(await bystander.settle(WINDOW))
            _show(report)
        report.outcomes = json.loads(ending.result()[0])
    finally:
        watching.cancel()
        if siege.returncode is None:
            siege.kill()


async def _watch_memory(pid: int, samples: list[float]) -> None:
    """Runs until it is cancelled, or the node has ended."""
    async for _ in ticks(LOOK_EVERY):
        samples += [resident(pid)]


def _show(report: MixtureReport) -> None:
    window = report.windows[-1]
    sys.stderr.write(
        f"{len(report.windows) * WINDOW:5.0f} s  p50 {window.p50:.1f}, p99 {window.p99:.1f},"
        f" max {window.longest:.0f} ms, {report.memory[-1]:.0f} MB, lost {window.lost}, refused {len(window.refused)}\n"
    )
    sys.stderr.flush()
