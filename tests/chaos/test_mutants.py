"""Does the checker of limits and presence find what it is for? Each mutant in the scenario that shows it.

`tests/chaos/limits/mutants.py` says what each one lacks. The product itself has to be clean in all of them.
"""

import pytest

from tests.chaos.harness.trial import Trial
from tests.chaos.limits.mutants import MUTANTS
from tests.chaos.limits.scenarios import SCENARIOS, Scenario

WITH_MUTANT = [scenario for scenario in SCENARIOS if scenario.mutant]


@pytest.fixture(scope="module")
async def trial(anyio_backend: str) -> Trial:
    trial = Trial(SCENARIOS)
    await trial.run()
    return trial


def test_every_mutant_has_a_scenario() -> None:
    assert {scenario.mutant for scenario in WITH_MUTANT} == MUTANTS.keys()


@pytest.mark.parametrize("scenario", WITH_MUTANT, ids=lambda scenario: scenario.mutant)
def test_a_mutant_is_found(trial: Trial, scenario: Scenario) -> None:
    violations = trial.verdict(scenario, mutated=True)

    assert {violation.kind for violation in violations} & scenario.found_as, violations


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_product_is_clean(trial: Trial, scenario: Scenario) -> None:
    assert trial.verdict(scenario, mutated=False) == []
