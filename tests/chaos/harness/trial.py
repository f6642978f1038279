"""All scenarios of one kind, told to the mutants and to the product, each time to a cluster of their own."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from tests.chaos.harness.violation import Kind, Violation

AT_ONCE = 3


class Tellable(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def mutant(self) -> str | None: ...
    @property
    def shows(self) -> frozenset[Kind]: ...
    async def play(self, *, mutated: bool) -> list[Violation]: ...


class Trial:
    """`run`, then ask."""

    def __init__(self, scenarios: Sequence[Tellable]) -> None:
        self._scenarios = scenarios
        self._verdicts: dict[tuple[str, bool], list[Violation] | BaseException] = {}

    async def run(self) -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def play(scenario: Tellable, mutated: bool) -> list[Violation]:
            async with gate:
                return await scenario.play(mutated=mutated)

        with_mutant = [(scenario, True) for scenario in self._scenarios if scenario.mutant]
        runs = [*with_mutant, *((scenario, False) for scenario in self._scenarios)]
        found = await asyncio.gather(*(play(*run) for run in runs), return_exceptions=True)
        for (scenario, mutated), verdict in zip(runs, found, strict=True):
            self._verdicts[scenario.name, mutated] = verdict

    def verdict(self, scenario: Tellable, *, mutated: bool) -> list[Violation]:
        """What was found; raises what went wrong in the telling."""
        verdict = self._verdicts[scenario.name, mutated]
        if isinstance(verdict, BaseException):
            raise verdict
        return verdict
