"""One run: so many inputs for each target, what they raised, and by how much the process grew."""

import gc
import resource
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tests.fuzz.mutations import Mutator
from tests.fuzz.targets import Target

CRASHES_SHOWN = 5
"""Crashes of a target that are described; further ones are counted."""
SLICES = 30
"""Into which a run is cut: each target has a share of each, so that all are as far at any time."""


@dataclass(frozen=True, slots=True)
class Crash:
    """An input that raised what its target does not document."""

    target: str
    data: bytes
    error: str


@dataclass(slots=True)
class Report:
    inputs: int = 0
    refused: int = 0
    """Inputs that raised a documented exception."""
    crashes: int = 0
    shown: list[Crash] = field(default_factory=list[Crash])
    growth_bytes: int = 0
    """By which the resident memory in the last third of the run exceeded that in the second, each at its highest."""
    seconds: float = 0.0

    def as_text(self) -> str:
        lines = [
            f"{self.inputs:,} inputs in {self.seconds:.0f} s, {self.refused:,} of them refused, {self.crashes} crashes,"
            f" {self.growth_bytes / 1024:,.0f} KiB grown"
        ]
        lines += [f"{crash.target}: {crash.data!r}\n{crash.error}" for crash in self.shown]
        return "\n".join(lines)


def resident_bytes() -> int:
    """Of this process, as Linux counts it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def growth_of(samples: Sequence[int]) -> int:
    """The first third fills caches, which are bounded, and the pools of the allocator."""
    third = len(samples) // 3
    return max(0, max(samples[-third:]) - max(samples[third:-third]))


def run(targets: Sequence[Target], *, inputs: int, seed: int, say: Callable[[str], None]) -> Report:
    """Give each target its share of `inputs`, in turn."""
    report, begun = Report(), time.monotonic()
    each, rest = divmod(inputs, len(targets))
    streams = [
        (target, Mutator(target.corpus, seed + number).make_inputs(each + (number < rest)))
        for number, target in enumerate(targets)
    ]
    share = each // SLICES + 1
    samples: list[int] = []
    for _ in range(SLICES):
        for target, stream in streams:
            for data in islice(stream, share):
                _try(target, data, report)
        gc.collect()
        samples.append(resident_bytes())
        say(f"{report.inputs:,} inputs, {samples[-1] / 1e6:.1f} MB")
    report.growth_bytes = growth_of(samples)
    report.seconds = time.monotonic() - begun
    return report


def _try(target: Target, data: bytes, report: Report) -> None:
    report.inputs += 1
    try:
        target.parse(data)
    except target.expected:
        report.refused += 1
    except Exception:  # a crash is what is looked for: it is kept, and the run goes on
        report.crashes += 1
        if sum(crash.target == target.name for crash in report.shown) < CRASHES_SHOWN:
            report.shown.append(Crash(target.name, data, traceback.format_exc()))
