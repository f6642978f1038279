"""Random faults by a seeded schedule: one at a time, sometimes two of different victims.

The schedule is the seed's alone: the same seed gives the same kinds, victims, lengths and pauses, however the run goes.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.history import FaultKind
from tests.chaos.proxy import Way
from tests.chaos.stage import Stage

PAUSE = (0.5, 3.0)
TWO_AT_ONCE = 0.25
LENGTHS: dict[FaultKind, tuple[float, float]] = {
    FaultKind.FREEZE_NODE: (1.0, 12.0),
    FaultKind.KILL_NODE: (0.0, 3.0),
    FaultKind.FREEZE_REDIS: (0.5, 8.0),
    FaultKind.EMPTY_REDIS: (0.0, 3.0),
    FaultKind.STALL_LINK: (0.5, 9.0),
}
"""Seconds; a fault that is not here is over at once."""
OF_REDIS = {FaultKind.FREEZE_REDIS, FaultKind.EMPTY_REDIS}
OF_A_NODE = (FaultKind.FREEZE_NODE, FaultKind.KILL_NODE, FaultKind.STALL_LINK, FaultKind.RESET_LINK)
WAYS = (Way.BOTH, Way.TO_REDIS, Way.FROM_REDIS)


@dataclass(frozen=True, slots=True)
class Planned:
    """`node` is the index of the victim, where it is one."""

    kind: FaultKind
    node: int
    seconds: float
    way: Way

    @property
    def victim(self) -> object:
        """Two faults at once have different ones. Redis' memory and life are one victim, its links are the nodes'."""
        return self.node if self.kind in OF_A_NODE else "redis"


@dataclass(frozen=True, slots=True)
class Step:
    pause: float
    faults: tuple[Planned, ...]


def schedule(seed: int, nodes: int) -> Iterator[Step]:
    """Without end. Each kind comes once before any comes a second time, and so on: no kind is missing for long."""
    chance = random.Random(f"faults {seed}")
    kinds: list[FaultKind] = []

    def plan() -> Planned:
        if not kinds:
            kinds.extend(FaultKind)
            chance.shuffle(kinds)
        kind = kinds.pop()
        length = chance.uniform(*LENGTHS.get(kind, (0.0, 0.0)))
        return Planned(kind, chance.randrange(nodes), round(length, 2), chance.choice(WAYS))

    while True:
        first = plan()
        pause = round(chance.uniform(*PAUSE), 2)
        if chance.random() < TWO_AT_ONCE:
            second = plan()
            if second.victim != first.victim:
                yield Step(pause, (first, second))
                continue
            yield Step(pause, (first,))
            yield Step(0.0, (second,))
        else:
            yield Step(pause, (first,))


class Faults:
    """`run` until `stop` is set; whatever it began is healed when it returns."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage = stage
        self._steps = schedule(seed, len(stage.nodes))
        self.stop = asyncio.Event()

    async def run(self) -> None:
        while not self.stop.is_set():
            self._stage.look_for_dead()
            step = next(self._steps)
            await self._wait(step.pause)
            if not self.stop.is_set():
                await asyncio.gather(*(self.carry_out(fault) for fault in step.faults))

    async def _wait(self, seconds: float) -> None:
        """At most `seconds`: the end of the run heals everything at once."""
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            pass

    async def carry_out(self, planned: Planned) -> None:
        stage, node = self._stage, self._stage.nodes[planned.node]
        if planned.kind in OF_A_NODE and node.name in stage.down:
            return  # it has died by itself
        match planned.kind:
            case FaultKind.FREEZE_NODE:
                fault = await stage.freeze_node(node)
                await self._wait(planned.seconds)
                stage.thaw_node(node, fault)
            case FaultKind.KILL_NODE:
                fault = await stage.kill_node(node)
                await self._wait(planned.seconds)
                await stage.restart_node(node, fault)
            case FaultKind.FREEZE_REDIS:
                fault = await stage.freeze_redis()
                await self._wait(planned.seconds)
                stage.thaw_redis(fault)
            case FaultKind.EMPTY_REDIS:
                fault = await stage.empty_redis()
                await self._wait(planned.seconds)
                await stage.refill_redis(fault)
            case FaultKind.STALL_LINK:
                fault = stage.stall_link(node, planned.way)
                await self._wait(planned.seconds)
                stage.let_flow(node, fault)
            case FaultKind.RESET_LINK:
                stage.reset_link(node)
            case FaultKind.KILL_PUBSUB | FaultKind.KILL_NORMAL | FaultKind.FLUSH_SCRIPTS:
                await stage.tell_redis(planned.kind)
