"""The shortest scenario that reveals the missing safety of each mutant. The product has to be clean in it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos.harness.connection import ConnectionRegistry, WireFormat
from tests.chaos.harness.history import History
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.streams.record import Record
from tests.chaos.streams.tab import Tab
from tests.support.node import STEADY
from tests.support.waiting import eventually

PATIENCE = 10.0
AGENT, STREAM = "agent", "stream"


class _Scene:
    def __init__(self, stage: Stage, record: Record, registry: ConnectionRegistry) -> None:
        self._stage = stage
        self._record = record
        self._registry = registry
        self._written = 0
        self.tabs: list[Tab] = []

    async def open_tab(self, node: int) -> None:
        tab = Tab(self._record, self._registry, self._stage.nodes[node].port, AGENT, None, WireFormat.JSON)
        assert await tab.wait_welcomed(PATIENCE)
        self.tabs.append(tab)

    async def post(self, path: str, **fields: object) -> None:
        answer = await self._stage.nodes[1].http.post(f"/api/v1/agents/{AGENT}/streams{path}", json=fields)
        assert answer.status_code == 200, answer.text

    async def write(self, size: int) -> None:
        """Write the next characters of the text, which have one byte each."""
        text = self._record.references.text(STREAM, self._written, self._written + size).decode()
        self._written += size
        await self.post(f"/{STREAM}", text=text)
        await self.wait(lambda tab: tab.length_of(STREAM) >= self._written, self.tabs[:1], "the piece is heard")

    async def wait(self, holds: Callable[[Tab], bool], tabs: list[Tab], what: str) -> None:
        async def all_hold() -> bool:
            return all(map(holds, tabs))

        await eventually(all_hold, within=PATIENCE, what=what)


async def tab_comes_in_the_middle(scene: _Scene) -> None:
    """A second tab comes between two pieces of a stream, on the node of the first."""
    await scene.open_tab(0)
    await scene.post("", stream_id=STREAM)
    await scene.write(3)
    await scene.write(2)
    await scene.open_tab(0)
    await scene.wait(lambda tab: bool(tab.length_of(STREAM)) or tab is not scene.tabs[1], scene.tabs, "it has the text")
    await scene.write(1)
    await scene.post(f"/{STREAM}/end")
    await scene.wait(lambda tab: not tab.open_streams, scene.tabs, "all have heard the end")


@dataclass(frozen=True, slots=True)
class StreamScenario:
    mutant: str | None
    steps: Callable[[_Scene], Awaitable[None]]
    found_as: frozenset[Kind]

    @property
    def name(self) -> str:
        return f"{getattr(self.steps, '__name__', '')} {self.mutant or ''}".strip()

    async def run(self, *, mutated: bool) -> list[Violation]:
        """Run it on a cluster of its own, of mutants or of the product; returns all violations."""
        record = Record(History())
        registry = ConnectionRegistry(record.history)
        mutant = self.mutant if mutated else None
        async with Stage(record.history, nodes=2, mutant=mutant, times=STEADY) as stage:
            try:
                await self.steps(_Scene(stage, record, registry))
            finally:
                registry.close()
        return record.violations


SCENARIOS = (
    StreamScenario("stream_seam_dropped", tab_comes_in_the_middle, frozenset({Kind.HOLE})),
    StreamScenario("stream_snapshot_overlaps", tab_comes_in_the_middle, frozenset({Kind.DUPLICATE})),
)
