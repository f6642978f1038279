"""The schedule of faults depends on the seed alone, and contains every kind."""

from itertools import islice

import pytest

from tests.chaos.harness.faults import AGAINST_LIMITS, AGAINST_MESSAGES, LENGTHS, Planned, Step, schedule
from tests.chaos.harness.history import SWITCHES, FaultKind
from tests.chaos.harness.proxy import Part


def steps(seed: int, count: int) -> list[Step]:
    return list(islice(schedule(seed, 4, AGAINST_MESSAGES), count))


def planned(seed: int, count: int, of: tuple[FaultKind, ...] = AGAINST_MESSAGES) -> list[Planned]:
    return [fault for step in islice(schedule(seed, 4, of), count) for fault in step.faults]


def test_same_seed_gives_the_same_schedule() -> None:
    assert steps(7, 200) == steps(7, 200)
    assert steps(7, 200) != steps(8, 200)


@pytest.mark.parametrize("of", [AGAINST_LIMITS, AGAINST_MESSAGES])
def test_schedule_has_every_kind_before_it_repeats_one(of: tuple[FaultKind, ...]) -> None:
    kinds = [fault.kind for fault in planned(1, 60, of)]

    assert set(kinds[: len(of)]) == set(of)


def test_faults_against_messages_are_all_kinds() -> None:
    assert set(AGAINST_MESSAGES) == set(FaultKind)


def test_simultaneous_faults_have_different_victims() -> None:
    pairs = [step.faults for step in steps(1, 1000) if len(step.faults) == 2]

    assert len(pairs) > 50
    assert all(first.victim != second.victim for first, second in pairs)


def test_fault_lengths_are_within_their_bounds() -> None:
    for fault in planned(3, 500):
        shortest, longest = LENGTHS.get(fault.kind, (0.0, 0.0))
        assert shortest <= fault.seconds <= longest


def test_any_connection_of_each_node_may_stay_on_the_former_server() -> None:
    switches = [fault.staying for fault in planned(3, 2000) if fault.kind in SWITCHES]

    assert len(switches) > 50
    assert all(set(of_a_node) == {None, *Part} for of_a_node in zip(*switches, strict=True))
    assert all(fault.staying == () for fault in planned(3, 200) if fault.kind not in SWITCHES)
