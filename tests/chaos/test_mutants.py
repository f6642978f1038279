"""Does the checker find what it is for? Each mutant in its scenario, of limits, presence, messages and streams.

The files `mutants.py` say what each one lacks. The product itself has to be clean in all scenarios.
"""

import pytest

from tests.chaos.harness.trial import RunnableScenario, Trial
from tests.chaos.limits.scenarios import SCENARIOS as OF_LIMITS
from tests.chaos.messages.scenarios import SCENARIOS as OF_MESSAGES
from tests.chaos.mutant import MUTANTS
from tests.chaos.streams.scenarios import SCENARIOS as OF_STREAMS

SCENARIOS: tuple[RunnableScenario, ...] = (*OF_LIMITS, *OF_MESSAGES, *OF_STREAMS)
WITH_MUTANT = [scenario for scenario in SCENARIOS if scenario.mutant]


@pytest.fixture(scope="module")
async def trial(anyio_backend: str) -> Trial:
    trial = Trial(SCENARIOS)
    await trial.run()
    return trial


def test_every_mutant_has_a_scenario() -> None:
    assert {scenario.mutant for scenario in WITH_MUTANT} == MUTANTS.keys()


@pytest.mark.parametrize("scenario", WITH_MUTANT, ids=lambda scenario: scenario.mutant)
def test_a_mutant_is_found(trial: Trial, scenario: RunnableScenario) -> None:
    violations = trial.verdict(scenario, mutated=True)

    assert {violation.kind for violation in violations} & scenario.found_as, violations


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_product_is_clean(trial: Trial, scenario: RunnableScenario) -> None:
    assert trial.verdict(scenario, mutated=False) == []
