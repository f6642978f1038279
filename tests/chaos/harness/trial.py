"""Runs all scenarios of one check, with their mutants and with the product, each on a cluster of its own."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from tests.chaos.harness.violation import Kind, Violation

AT_ONCE = 3
"""Clusters that run at the same time."""


class RunnableScenario(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def mutant(self) -> str | None: ...
    @property
    def found_as(self) -> frozenset[Kind]: ...
    async def run(self, *, mutated: bool) -> list[Violation]: ...


class Trial:
    """`run` it once, then ask for the `verdict` of each scenario."""

    def __init__(self, scenarios: Sequence[RunnableScenario]) -> None:
        self._scenarios = scenarios
        self._verdicts: dict[tuple[str, bool], list[Violation] | BaseException] = {}

    async def run(self) -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def judge(scenario: RunnableScenario, mutated: bool) -> list[Violation]:
            async with gate:
                return await scenario.run(mutated=mutated)

        with_mutant = [(scenario, True) for scenario in self._scenarios if scenario.mutant]
        runs = [*with_mutant, *((scenario, False) for scenario in self._scenarios)]
        found = await asyncio.gather(*(judge(*each) for each in runs), return_exceptions=True)
        for (scenario, mutated), verdict in zip(runs, found, strict=True):
            self._verdicts[scenario.name, mutated] = verdict

    def verdict(self, scenario: RunnableScenario, *, mutated: bool) -> list[Violation]:
        """The violations that were found. Raises what the scenario raised."""
        verdict = self._verdicts[scenario.name, mutated]
        if isinstance(verdict, BaseException):
            raise verdict
        return verdict
