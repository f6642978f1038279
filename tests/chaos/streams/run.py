"""A run of streams: producers write, tabs come and go and read slowly, under faults; then a time without faults."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass

from tests.chaos.harness.connection import ConnectionRegistry, WireFormat
from tests.chaos.harness.faults import Faults
from tests.chaos.harness.history import Fault, FaultKind, History
from tests.chaos.harness.runner import Check, Plan, Report, ShowProgress, injected, run
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.tasks import Tasks
from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.harness.waiting import becomes_true
from tests.chaos.streams.producer import Producer
from tests.chaos.streams.record import Record
from tests.chaos.streams.tab import Tab

AGAINST_STREAMS = (
    FaultKind.FREEZE_NODE,
    FaultKind.KILL_NODE,
    FaultKind.FREEZE_REDIS,
    FaultKind.EMPTY_REDIS,
    FaultKind.STALE_REDIS,
    FaultKind.FAILOVER,
    FaultKind.KILL_PUBSUB,
    FaultKind.KILL_NORMAL,
    FaultKind.LOSE_LINK,
    FaultKind.RESET_LINK,
    FaultKind.STALL_PART,
    FaultKind.CUT_REPLIES,
    FaultKind.FLUSH_SCRIPTS,
)
SETTINGS = {"STREAM_TIMEOUT": "8", "OUTBOX_MAX_BYTES": "65536", "AGENT_MAX_SESSIONS": "1000", "HISTORY_SIZE": "50"}
READY_WITHIN = 60.0
ENDED_WITHIN = 25.0
"""Seconds after the last fault in which every tab has to have heard the end of every stream: the time-out, twice."""
WELCOMED_WITHIN = 10.0
STAYS = (0.5, 6.0)
"""Seconds for which a tab stays."""
SLOW = 0.15
"""Share of the tabs that stop to read for a while."""


@dataclass(frozen=True, slots=True)
class StreamsPlan(Plan):
    """The run ends after so many pieces and faults."""

    pieces: int = 100_000
    faults: int = 20
    agents: int = 6
    tabs: int = 4
    pause: float = 0.02


@dataclass(frozen=True, slots=True)
class Totals:
    begun: int
    pieces: int
    heard: int
    caught_up: int
    tabs: int
    ends: dict[str, int]
    faults: dict[str, int]

    def as_lines(self, seconds: float) -> list[str]:
        ends = ", ".join(f"{status} {count}" for status, count in sorted(self.ends.items()))
        return [
            f"streams      {self.begun} begun, {self.pieces} pieces written ({self.pieces / seconds:.0f}/s)",
            f"tabs         {self.tabs}, {self.heard} frames heard, {self.caught_up} of them whole texts",
            f"ends heard   {ends}",
        ]


class StreamsCheck(Check):
    def __init__(self, plan: StreamsPlan) -> None:
        super().__init__(plan, ConnectionRegistry(History()))
        self._plan = plan
        self._record = Record(self.history)
        self._random = random.Random(f"tabs {plan.seed}")
        self._is_calm = False
        self._open: dict[str, Tab] = {}

    def stage(self) -> Stage:
        return Stage(self.history, nodes=self._plan.nodes, mutant=self._plan.mutant, settings=SETTINGS)

    async def run(self, stage: Stage, late: float) -> None:
        plan, tasks = self._plan, Tasks()
        agents = [f"a{number}" for number in range(plan.agents)]
        producers = [Producer(stage, self._record, agent, plan.seed, plan.pause) for agent in agents]
        writing = [asyncio.create_task(producer.run()) for producer in producers]
        for agent in agents:
            for number in range(plan.tabs):
                tasks.start(self._keep_tab(stage, agent, number))
        try:
            async with injected(Faults(stage, plan.seed, AGAINST_STREAMS)) as injecting:

                async def is_enough() -> bool:
                    tasks.check()
                    kinds = [fault.kind for fault in self.history.of(Fault)]
                    all_kinds = len(set(kinds)) >= min(plan.faults, len(AGAINST_STREAMS))
                    has_faults = len(kinds) >= plan.faults and all_kinds
                    return injecting.done() or (self._record.pieces >= plan.pieces and has_faults)

                await becomes_true(is_enough, late - time.monotonic())
            stage.record_dead_nodes()
            await becomes_true(stage.all_ready, READY_WITHIN)
            self._is_calm = True
            for producer in producers:
                producer.is_stopping = True
            await asyncio.wait_for(asyncio.gather(*writing), READY_WITHIN)
            await self._wait_for_ends()
        finally:
            for task in writing:
                task.cancel()
            await tasks.close()

    async def _wait_for_ends(self) -> None:
        async def have_ended() -> bool:
            return not any(tab.open_streams for tab in self._open.values() if tab.is_live)

        await becomes_true(have_ended, ENDED_WITHIN)
        for tab in self._open.values():
            for stream_id in tab.open_streams if tab.is_live else ():
                self._record.violate(Kind.BEHIND, f"a tab of {tab.agent}", f"stream {stream_id} has never ended")

    async def _keep_tab(self, stage: Stage, agent: str, number: int) -> None:
        """One tab after the other: each stays for a while, and then is loaded again, or gone without a word."""
        position: tuple[str, int] | None = None
        while True:
            nodes = stage.live_nodes()
            if not nodes:
                await asyncio.sleep(0.1)
                continue
            port = self._random.choice(nodes).port
            is_slow = self._random.random() < SLOW
            asked = position if self._random.random() < 0.7 else None
            wire = self._random.choice(tuple(WireFormat))
            tab = Tab(self._record, self.registry, port, agent, asked, wire, small_buffers=is_slow)
            self._open[f"{agent} {number}"] = tab
            if await tab.wait_welcomed(WELCOMED_WITHIN):
                await self._stay(tab, is_slow)
                position = tab.position
            else:
                await asyncio.sleep(0.2)

    async def _stay(self, tab: Tab, is_slow: bool) -> None:
        if is_slow and not self._is_calm:
            tab.pause_reading()
            await asyncio.sleep(self._random.uniform(0.5, 3.0))
            tab.resume_reading()
        await tab.wait_closed(self._random.uniform(*STAYS))
        while self._is_calm and tab.is_live:
            await tab.wait_closed(1.0)
        if tab.is_live:
            tab.disconnect(reset=self._random.random() < 0.5)

    def progress(self) -> str:
        return f"{self._record.pieces} pieces, {self._record.heard} frames heard by {self._record.tabs} tabs"

    def totals(self) -> Totals:
        record = self._record
        faults = dict(Counter(fault.kind.value for fault in self.history.of(Fault)))
        return Totals(
            record.begun, record.pieces, record.heard, record.caught_up, record.tabs, dict(record.ends), faults
        )

    def rejected_for(self) -> list[str]:
        record, plan = self._record, self._plan
        wanted = {
            "pieces written": (record.pieces, plan.pieces),
            "frames heard": (record.heard, plan.pieces),
            "whole texts heard": (record.caught_up, plan.pieces // 100),
            "streams that ended": (record.ends["done"], plan.pieces // 500),
            "faults": (sum(1 for _ in self.history.of(Fault)), plan.faults),
        }
        return [f"{what}: {was}, at least {least} are wanted" for what, (was, least) in wanted.items() if was < least]

    def verify(self) -> list[Violation]:
        died = [event for event in self.history.events if type(event).__name__ == "NodeDied"]
        return [*self._record.violations, *(Violation(Kind.NODE_DIED, each.at, "a node", str(each)) for each in died)]


async def run_streams(plan: StreamsPlan, show_progress: ShowProgress | None = None) -> Report:
    return await run(StreamsCheck(plan), show_progress)
