"""Random faults by a seeded schedule: one at a time, sometimes two at once with different victims.

The schedule depends on the seed alone: the same seed gives the same kinds, victims, lengths and pauses in every run.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tests.chaos.harness.history import SWITCHES, FaultKind
from tests.chaos.harness.proxy import Part, Way
from tests.chaos.harness.stage import Stage
from tests.support.cluster import NodeProcess

PAUSE = (0.5, 3.0)
TWO_AT_ONCE = 0.25
AGAINST_LIMITS = (
    FaultKind.FREEZE_NODE,
    FaultKind.KILL_NODE,
    FaultKind.FREEZE_REDIS,
    FaultKind.EMPTY_REDIS,
    FaultKind.KILL_PUBSUB,
    FaultKind.KILL_NORMAL,
    FaultKind.STALL_LINK,
    FaultKind.RESET_LINK,
    FaultKind.FLUSH_SCRIPTS,
    FaultKind.VANISH,
    FaultKind.SWITCH_TO_EMPTY,
    FaultKind.SWITCH_TO_COPY,
)
AGAINST_MESSAGES = tuple(FaultKind)
"""All faults of one Redis and its nodes. The migration of slots of a Redis Cluster is not among them."""
LENGTHS: dict[FaultKind, tuple[float, float]] = {
    FaultKind.FREEZE_NODE: (1.0, 12.0),
    FaultKind.KILL_NODE: (0.0, 3.0),
    FaultKind.FREEZE_REDIS: (0.5, 8.0),
    FaultKind.EMPTY_REDIS: (0.0, 3.0),
    FaultKind.STALL_LINK: (0.5, 9.0),
    FaultKind.STALE_REDIS: (0.0, 3.0),
    FaultKind.FAILOVER: (0.0, 2.0),
    FaultKind.STALL_PART: (0.2, 4.0),
    FaultKind.LOSE_LINK: (0.05, 3.0),
    FaultKind.CUT_REPLIES: (0.01, 0.6),
    FaultKind.SLOW_CLIENT: (2.0, 6.0),
}
"""Shortest and longest duration in seconds. A fault that is not listed ends at once."""
OF_A_NODE = (
    FaultKind.FREEZE_NODE,
    FaultKind.KILL_NODE,
    FaultKind.STALL_LINK,
    FaultKind.RESET_LINK,
    FaultKind.STALL_PART,
    FaultKind.LOSE_LINK,
    FaultKind.CUT_REPLIES,
)
PARTS = (Part.LINK, Part.LINK, Part.LINK, Part.PUBLISHER, Part.HISTORY, Part.COUNTED)
"""The link, which carries the deliveries, is three times as likely as the others."""
WAYS = (Way.BOTH, Way.TO_REDIS, Way.FROM_REDIS)


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault. `node`: index of the victim, if it is a node; `part`: one of its connections, None: all four.

    `staying`: of each node, the connection that stays on the former server.
    """

    kind: FaultKind
    node: int
    seconds: float
    way: Way
    part: Part | None = None
    staying: tuple[Part | None, ...] = ()

    @property
    def victim(self) -> object:
        """What is hit; two faults at once hit different victims. Links of a node count as the node, not as Redis."""
        if self.kind is FaultKind.SLOW_CLIENT:
            return "client"
        return self.node if self.kind in OF_A_NODE else "redis"


@dataclass(frozen=True, slots=True)
class Step:
    pause: float
    faults: tuple[Planned, ...]


def schedule(seed: int, nodes: int, of: Sequence[FaultKind]) -> Iterator[Step]:
    """An endless schedule. Every kind occurs once before any occurs again, so that none is absent for long."""
    chance = random.Random(f"faults {seed}")
    kinds: list[FaultKind] = []

    def plan() -> Planned:
        if not kinds:
            kinds.extend(of)
            chance.shuffle(kinds)
        kind = kinds.pop()
        length = round(chance.uniform(*LENGTHS.get(kind, (0.0, 0.0))), 2)
        planned = Planned(kind, chance.randrange(nodes), length, chance.choice(WAYS))
        if kind is FaultKind.STALL_PART:
            return replace(planned, part=chance.choice(PARTS))
        if kind is FaultKind.CUT_REPLIES:
            return replace(planned, part=chance.choice((None, *Part)))
        if kind in SWITCHES:
            return replace(planned, staying=tuple(chance.choice((None, *Part)) for _ in range(nodes)))
        return planned

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


SlowDown = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
"""Makes some client read nothing until the awaitable that it is given has ended."""


class Faults:
    """Injects faults while `run` is running, until `stop` is set. `run` returns with all faults removed."""

    def __init__(self, stage: Stage, seed: int, of: Sequence[FaultKind], slow_down: SlowDown | None = None) -> None:
        self._stage = stage
        self._steps = schedule(seed, len(stage.nodes), of)
        self._slow_down = slow_down
        self._chance = random.Random(f"keys {seed}")
        self.stop = asyncio.Event()

    async def run(self) -> None:
        while not self.stop.is_set():
            self._stage.record_dead_nodes()
            step = next(self._steps)
            await self._wait(step.pause)
            if not self.stop.is_set():
                await asyncio.gather(*(self.carry_out(fault) for fault in step.faults))

    async def _wait(self, seconds: float) -> None:
        """Wait `seconds`, or less if `stop` is set: the end of a run removes every fault at once."""
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            pass

    async def carry_out(self, planned: Planned) -> None:
        if planned.kind in OF_A_NODE:
            node = self._stage.nodes[planned.node]
            if node.name not in self._stage.down:  # it may have died by itself
                await self._inject_into_node(planned, node)
        else:
            await self._inject_elsewhere(planned)

    async def _inject_into_node(self, planned: Planned, node: NodeProcess) -> None:
        stage = self._stage
        match planned.kind:
            case FaultKind.FREEZE_NODE:
                fault = await stage.freeze_node(node)
                await self._wait(planned.seconds)
                stage.thaw_node(node, fault)
            case FaultKind.KILL_NODE:
                fault = await stage.kill_node(node)
                await self._wait(planned.seconds)
                await stage.restart_node(node, fault)
            case FaultKind.STALL_LINK:
                fault = stage.stall_link(node, planned.way)
                await self._wait(planned.seconds)
                stage.resume_link(node, fault)
            case FaultKind.RESET_LINK:
                stage.reset_link(node)
            case FaultKind.STALL_PART:
                assert planned.part is not None
                fault = stage.stall_part(node, planned.part, planned.way)
                await self._wait(planned.seconds)
                stage.resume_link(node, fault, planned.part)
            case FaultKind.LOSE_LINK:
                fault = stage.lose_link(node)
                await self._wait(planned.seconds)
                stage.resume_link(node, fault, Part.LINK)
            case FaultKind.CUT_REPLIES:
                fault = stage.hold_replies(node, planned.part)
                await self._wait(planned.seconds)
                stage.drop_replies(node, planned.part, fault)
            case _:
                raise LookupError(f"{planned.kind} is not a fault of a node")

    async def _inject_elsewhere(self, planned: Planned) -> None:
        stage = self._stage
        match planned.kind:
            case FaultKind.FREEZE_REDIS:
                fault = await stage.redis.freeze()
                await self._wait(planned.seconds)
                stage.redis.thaw(fault)
            case FaultKind.EMPTY_REDIS:
                fault = await stage.redis.kill()
                await self._wait(planned.seconds)
                await stage.redis.restart_empty(fault)
            case FaultKind.STALE_REDIS:
                fault = await stage.redis.save()
                await self._wait(planned.seconds)
                await stage.redis.restart_stale(fault)
            case FaultKind.FAILOVER:
                fault, replica = await stage.redis.start_lagging_replica()
                await self._wait(planned.seconds)
                await stage.redis.fail_over(fault, replica)
            case FaultKind.SWITCH_TO_EMPTY | FaultKind.SWITCH_TO_COPY:
                fault = await stage.redis.switch(planned.kind, planned.staying)
                await stage.redis.end_switch(fault)
            case FaultKind.SLOW_CLIENT:
                assert self._slow_down is not None
                await self._slow_down(lambda: self._wait(planned.seconds))
            case FaultKind.VANISH:
                await stage.redis.delete_some_keys(self._chance)
            case FaultKind.KILL_PUBSUB | FaultKind.KILL_NORMAL | FaultKind.FLUSH_SCRIPTS:
                await stage.redis.run_command(planned.kind)
            case _:
                raise LookupError(f"{planned.kind} is a fault of a node")
