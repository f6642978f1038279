"""What one abuser at full speed costs the others: the bystander alone and beside it in turns, under default limits.

Windows of both kinds alternate, so that what else the machine does meanwhile falls on both alike.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.attack.abuser import WRITES, Abuser
from tests.attack.arena import OwnArena
from tests.attack.meter import cpu_seconds
from tests.attack.remote_bystander import RemoteBystander
from tests.attack.window import Window, percentile

WINDOW = 5.0
"""Seconds of each window."""
WARM_UP = 3.0
SETTLES_WITHIN = 30.0
RATIO_MAX = 1.1


@dataclass(slots=True)
class Comparison:
    """Of one kind of abuse: windows alone and abused, as many of each, and what the abuser got."""

    kind: str
    alone: list[Window] = field(default_factory=list[Window])
    abused: list[Window] = field(default_factory=list[Window])
    got: Counter[str] = field(default_factory=Counter[str])
    cpu_alone: float = 0.0
    """Seconds of CPU of the attacked node in all windows alone."""
    cpu_abused: float = 0.0

    @property
    def ratio(self) -> float:
        """The p99 of all pings beside the abuser, by that of all pings alone."""
        alone = percentile(_pongs(self.alone), 0.99)
        return percentile(_pongs(self.abused), 0.99) / alone if alone else 0.0

    @property
    def lost(self) -> list[str]:
        """What else the bystander has noticed of the abuser: nothing, if it is empty."""
        return [
            what
            for window in self.abused
            for what in (*window.lost, *window.refused, *window.unheard, *["unanswered"] * window.unanswered)
        ]

    def as_text(self) -> str:
        alone, abused = _pongs(self.alone), _pongs(self.abused)
        seconds = WINDOW * len(self.alone)
        cpu = f"{100 * self.cpu_alone / seconds:>5.1f} {100 * self.cpu_abused / seconds:>7.1f}"
        got = ", ".join(f"{what} {count:,}" for what, count in self.got.most_common(5))
        return (
            f"{self.kind:<11} {len(self.alone):>6} {percentile(alone, 0.5):>6.2f} {percentile(abused, 0.5):>7.2f}"
            f" {percentile(alone, 0.99):>6.2f} {percentile(abused, 0.99):>7.2f} {self.ratio:>6.2f} {cpu}"
            f" {len(self.lost):>4}  {got}"
        )


HEAD = "abuse       rounds    p50  abused    p99  abused  ratio  cpu%  abused lost  the abuser got"
"""Milliseconds of the bystander's pings, and CPU of the attacked node in percent of a core: alone, and abused."""


def merge(comparisons: list[Comparison]) -> Comparison:
    """All kinds together."""
    total = Comparison("all")
    for each in comparisons:
        total.alone += each.alone
        total.abused += each.abused
        total.got += each.got
        total.cpu_alone += each.cpu_alone
        total.cpu_abused += each.cpu_abused
    return total


async def run(rounds: int, show: Callable[[str], None]) -> Comparison:
    """`rounds`: of each kind. Returns all kinds together."""
    show(HEAD)
    async with (
        OwnArena(has_default_limits=True, TRUSTED_PROXIES="127.0.0.1") as arena,
        RemoteBystander((arena.attacked.port, arena.other.port)) as bystander,
        Abuser(arena.attacked.port) as abuser,
    ):
        await asyncio.sleep(WARM_UP)
        comparisons = [Comparison(kind) for kind in WRITES]
        for comparison in comparisons:
            for _ in range(rounds):
                await _compare(comparison, arena.attacked.pid, bystander, abuser)
            show(comparison.as_text())
    total = merge(comparisons)
    show(total.as_text())
    return total


async def _compare(comparison: Comparison, node: int, bystander: RemoteBystander, abuser: Abuser) -> None:
    began = cpu_seconds(node)
    await bystander.begin()
    await asyncio.sleep(WINDOW)
    comparison.alone.append(await bystander.settle(SETTLES_WITHIN))
    between = cpu_seconds(node)
    await bystander.begin()
    comparison.got += await abuser.abuse(comparison.kind, WINDOW)
    comparison.abused.append(await bystander.settle(SETTLES_WITHIN))
    comparison.cpu_alone += between - began
    comparison.cpu_abused += cpu_seconds(node) - between


def _pongs(windows: list[Window]) -> list[float]:
    return [pong for window in windows for pong in window.pongs]
