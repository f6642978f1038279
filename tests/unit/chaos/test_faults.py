"""The schedule of faults is the seed's alone, and has something of everything."""

from itertools import islice

from tests.chaos.faults import LENGTHS, schedule
from tests.chaos.history import FaultKind


def test_a_seed_gives_the_same_schedule_again() -> None:
    assert list(islice(schedule(7, 4), 200)) == list(islice(schedule(7, 4), 200))
    assert list(islice(schedule(7, 4), 200)) != list(islice(schedule(8, 4), 200))


def test_every_kind_comes_before_any_comes_twice() -> None:
    kinds = [fault.kind for step in islice(schedule(1, 4), 60) for fault in step.faults]

    assert set(kinds[: len(FaultKind)]) == set(FaultKind)


def test_two_at_once_have_different_victims() -> None:
    pairs = [step.faults for step in islice(schedule(1, 4), 1000) if len(step.faults) == 2]

    assert len(pairs) > 50
    assert all(first.victim != second.victim for first, second in pairs)


def test_lengths_are_within_their_bounds() -> None:
    for fault in (fault for step in islice(schedule(3, 4), 500) for fault in step.faults):
        shortest, longest = LENGTHS.get(fault.kind, (0.0, 0.0))
        assert shortest <= fault.seconds <= longest
