"""A run in numbers; with too small ones it shows nothing."""

import pytest

from tests.chaos.harness.history import FaultKind
from tests.chaos.messages.record import Place, Window
from tests.chaos.messages.totals import Minimum, too_little, totals_of
from tests.unit.chaos.messages.story import EMPTY, E, F, Story


def test_delays_are_those_of_live_listeners() -> None:
    story = Story().hears(1, 2, 3, at=1.0).acknowledges(2, Place(E, 2), at=1.15).acknowledges(3, Place(E, 3), at=0.5)
    delays = totals_of(story).delays
    assert delays.count == 1
    assert delays.longest == pytest.approx(0.05)


def test_delays_by_the_fault_in_whose_time_a_message_was_acknowledged() -> None:
    story = Story().hears(1, 2, at=1.0).acknowledges(2, Place(E, 2), at=1.15).suffers(FaultKind.RESET_LINK, 1.1, 1.1)
    story.suffers(FaultKind.KILL_NODE, 7.0, 8.0)
    assert totals_of(story).delays_by_fault.keys() == {"reset_link"}


def test_a_repair_takes_as_long_as_it_goes_on_without_a_fault() -> None:
    story = Story().hears(1, at=8.0).acknowledges(1, Place(E, 1), at=8.02).suffers(FaultKind.STALL_LINK, 8.01, 8.07)
    repair = totals_of(story).repairs_by_fault["stall_link"]
    assert repair.longest == pytest.approx(0.03)


def test_what_somebody_was_told_to_be_missing_is_counted() -> None:
    story = Story().suffers(EMPTY, 0.5, 0.9).hears(1, Place(E, 5), 6, Place(F, 0), (1, 11))
    story.hears(start=Place(E, 90), asked=Place(E, 60), recovered=False)
    assert totals_of(story).forgiven == 4 + 30


WANTED = Minimum(deliveries=3, faults=2, kinds=2, acknowledged=1, recovered=1, repeated=0, entries=2)


def test_a_run_in_which_enough_happened_is_not_rejected() -> None:
    story = (
        Story().hears(1, 2, start=Place(E, 2), asked=Place(E, 0), recovered=True).hears(1).acknowledges(1, Place(E, 1))
    )
    story.reads([1, 2], Window(9), Place(E, 2)).suffers(EMPTY, 1, 2).suffers(FaultKind.FAILOVER, 1, 2)
    assert too_little(totals_of(story), WANTED) == []


def test_a_run_in_which_hardly_anything_happened_is() -> None:
    reasons = too_little(totals_of(Story().hears(1).suffers(EMPTY, 1, 2)), WANTED)
    told = [reason.partition(":")[0] for reason in reasons]
    assert told == [
        "deliveries",
        "faults",
        "kinds of faults",
        "messages acknowledged",
        "stays that were caught up",
        "entries of history read",
    ]


def test_so_is_one_in_which_too_much_was_only_told_to_be_missing() -> None:
    story = Story().suffers(EMPTY, 0.5, 0.9).hears(1, Place(E, 9), 10)
    nothing = Minimum(deliveries=0, faults=0, kinds=0, acknowledged=0, recovered=0, repeated=0, entries=0)
    assert len(too_little(totals_of(story), nothing)) == 1
