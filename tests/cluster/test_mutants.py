"""Does the checker find what it is for? Each mutant in the scenario that shows it; the product itself in all of them.

Every scenario has a cluster of its own, three at a time. `tests/chaos/mutants.py` says what each one lacks.
"""

import asyncio

import pytest

from tests.chaos.mutants import MUTANTS
from tests.chaos.scenarios import SCENARIOS, Scenario, play
from tests.chaos.violation import Violation

AT_ONCE = 3
WITH_MUTANT = [scenario for scenario in SCENARIOS if scenario.mutant]

Verdicts = dict[tuple[str, bool], list[Violation] | BaseException]


@pytest.fixture(scope="module")
async def verdicts(anyio_backend: str) -> Verdicts:
    """By scenario and whether it was told to mutants."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def verdict(scenario: Scenario, mutated: bool) -> list[Violation]:
        async with gate:
            return await play(scenario, mutated=mutated)

    runs = [*((scenario, True) for scenario in WITH_MUTANT), *((scenario, False) for scenario in SCENARIOS)]
    found = await asyncio.gather(*(verdict(*run) for run in runs), return_exceptions=True)
    return {(scenario.name, mutated): found[index] for index, (scenario, mutated) in enumerate(runs)}


def _violations(verdicts: Verdicts, scenario: Scenario, *, mutated: bool) -> list[Violation]:
    verdict = verdicts[scenario.name, mutated]
    if isinstance(verdict, BaseException):
        raise verdict
    return verdict


def test_every_mutant_has_a_scenario() -> None:
    assert {scenario.mutant for scenario in WITH_MUTANT} == MUTANTS.keys()


@pytest.mark.parametrize("scenario", WITH_MUTANT, ids=lambda scenario: scenario.mutant)
def test_a_mutant_is_found(verdicts: Verdicts, scenario: Scenario) -> None:
    violations = _violations(verdicts, scenario, mutated=True)

    assert {violation.kind for violation in violations} & scenario.shows, violations


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_product_is_clean(verdicts: Verdicts, scenario: Scenario) -> None:
    assert _violations(verdicts, scenario, mutated=False) == []
