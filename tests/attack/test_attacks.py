"""Every attack once, in short: the attacker ends as is designed, and a bystander notices nothing.

How fast the bystander is answered meanwhile is no question here: `make attack` measures that.
"""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.attack.arena import OwnArena
from tests.attack.assault import carry_out
from tests.attack.bystander import Bystander
from tests.attack.case import Case
from tests.attack.cases import CASES
from tests.attack.meter import Meter
from tests.support.node import PATIENT
from tests.support.waiting import PATIENCE, eventually

SECONDS = 0.2
BUDGET = 400_000
"""For how long an attacker goes on, and how many bytes it sends at most."""
GROWN_MAX = 60.0
"""Megabytes of a node, at the peak of an attack: a link reads 9 MB of a message before it gives it up."""
SHORT = [case for case in CASES if not case.is_long]


@pytest.fixture(scope="module")
async def arena(anyio_backend: str) -> AsyncGenerator[OwnArena]:
    async with OwnArena(PATIENT) as running:
        yield running


@pytest.fixture(scope="module")
async def bystander(arena: OwnArena) -> AsyncGenerator[Bystander]:
    async with Bystander((arena.attacked.port, arena.other.port)) as there:
        yield there


def _cases(*, sealed: bool = False, rated: bool = False) -> list[Any]:
    chosen = (each for each in SHORT if (each.sealed, each.rated) == (sealed, rated))
    return [pytest.param(each, id=f"{each.fault} {each.name}") for each in chosen]


async def _check(case: Case, arena: OwnArena, bystander: Bystander) -> None:
    async with case.setting(arena):
        meter = Meter(arena)
        await meter.begin()
        bystander.begin()

        assault = await carry_out(case, arena, seconds=SECONDS, budget=BUDGET, rounds=1, late=PATIENCE)

        await eventually(bystander.has_spoken, what="each session of the bystander has published")
        window = await bystander.settle(PATIENCE)
        cost = await meter.end(SECONDS)

    assert assault.outcomes
    assert assault.outcomes.keys() <= case.ends_as
    assert (window.lost, window.refused, window.unheard, window.unanswered) == ([], [], [], 0)
    assert await arena.is_ready()
    assert cost.grown < GROWN_MAX


@pytest.mark.parametrize("case", _cases())
async def test_an_attack_ends_as_is_designed_and_a_bystander_notices_nothing(
    case: Case, arena: OwnArena, bystander: Bystander
) -> None:
    await _check(case, arena, bystander)


@pytest.fixture(scope="module")
async def sealed_arena(anyio_backend: str) -> AsyncGenerator[OwnArena]:
    async with OwnArena(PATIENT, sealed=True) as running:
        yield running


@pytest.fixture(scope="module")
async def sealed_bystander(sealed_arena: OwnArena) -> AsyncGenerator[Bystander]:
    async with Bystander((sealed_arena.attacked.port, sealed_arena.other.port)) as there:
        yield there


@pytest.mark.parametrize("case", _cases(sealed=True))
async def test_an_attack_on_a_cluster_with_a_secret_ends_as_is_designed(
    case: Case, sealed_arena: OwnArena, sealed_bystander: Bystander
) -> None:
    await _check(case, sealed_arena, sealed_bystander)


@pytest.fixture(scope="module")
async def rated_arena(anyio_backend: str) -> AsyncGenerator[OwnArena]:
    async with OwnArena(PATIENT, rated=True) as running:
        yield running


@pytest.fixture(scope="module")
async def rated_bystander(rated_arena: OwnArena) -> AsyncGenerator[Bystander]:
    async with Bystander((rated_arena.attacked.port, rated_arena.other.port)) as there:
        yield there


@pytest.mark.parametrize("case", _cases(rated=True))
async def test_an_attack_on_a_cluster_with_rates_ends_as_is_designed(
    case: Case, rated_arena: OwnArena, rated_bystander: Bystander
) -> None:
    await _check(case, rated_arena, rated_bystander)
