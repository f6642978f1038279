"""Each kind of violation of messages is found in a record written by hand, and nothing in one where all is well."""

import pytest

from tests.chaos.harness.history import FaultKind
from tests.chaos.harness.violation import Kind
from tests.chaos.messages.record import Place, Resync, Window
from tests.unit.chaos.messages.story import EMPTY, E, F, Story, said


def test_a_clean_run_has_no_violation() -> None:
    story = (
        Story()
        .hears(1, 2, 3)
        .hears(3, start=Place(E, 2))
        .hears(2, 3, start=Place(E, 3), asked=Place(E, 1), recovered=True)
    )
    story.acknowledges(3, Place(E, 3)).reads([1, 2, 3], Window(10), Place(E, 3)).ends_at(Place(E, 3))

    assert story.verdict == []


# ---- each listener


@pytest.mark.parametrize(
    ("items", "found"),
    [
        pytest.param((1, 2, 4), [Kind.HOLE], id="one is missing"),
        pytest.param((2, 3), [Kind.HOLE], id="the first one is missing"),
        pytest.param((1, 2, 2, 3), [Kind.DUPLICATE], id="one comes twice"),
        pytest.param((1, 2, 3, 1), [Kind.DUPLICATE], id="an old one comes again"),
        pytest.param((1, 3, 2, 4), [Kind.HOLE, Kind.INVERSION], id="two change places"),
    ],
)
def test_order(items: tuple[int, ...], found: list[Kind]) -> None:
    assert Story().hears(*items).verdict == found


def test_what_lies_before_the_beginning_is_known_already() -> None:
    assert Story().hears(4, 5, start=Place(E, 4)).verdict == [Kind.DUPLICATE]


def test_a_resync_excuses_what_it_tells_to_be_missing() -> None:
    assert Story().suffers(FaultKind.RESET_LINK, 1, 1).hears(1, 2, Place(E, 7), 8).verdict == []


def test_and_nothing_beyond() -> None:
    assert Story().suffers(FaultKind.RESET_LINK, 1, 1).hears(1, 2, Place(E, 7), 9).verdict == [Kind.HOLE]


def test_a_resync_leads_back_nowhere() -> None:
    story = Story().suffers(FaultKind.RESET_LINK, 1, 1).hears(1, 2, 3, Place(E, 2))
    assert story.verdict == [Kind.INVERSION]


def test_a_new_epoch_begins_anew() -> None:
    assert Story().suffers(EMPTY, 0.5, 0.9).hears(1, 2, Place(F, 0), (1, 11), (2, 12)).verdict == []


def test_an_epoch_that_was_left_does_not_come_back() -> None:
    story = Story().suffers(EMPTY, 0.5, 0.9).hears(1, Place(F, 0), (1, 11), Place(E, 1), 2)
    assert story.verdict == [Kind.INVERSION]


def test_a_beginning_has_a_place() -> None:
    assert Story().hears(1, start=None).verdict == [Kind.NO_PLACE]


def test_which_may_be_told_later_but_before_any_message() -> None:
    told = Story().suffers(EMPTY, 0.5, 0.9).hears(Place(E, 3), 4, start=None, asked=Place(E, 1), recovered=False)
    assert told.verdict == []
    assert told.hears(Place(E, 3), 5, start=None).verdict == [Kind.HOLE]


def test_a_resync_has_a_place() -> None:
    story = Story().suffers(EMPTY, 0.5, 0.9).hears(1)
    story.stays[0].resyncs.append(Resync(1, 1.2, None, "lost"))
    assert story.verdict == [Kind.NO_PLACE]


# ---- coming back


@pytest.mark.parametrize(
    ("items", "recovered", "start", "found"),
    [
        pytest.param((3, 4, 5), True, Place(E, 5), [], id="whole"),
        pytest.param((4, 5), True, Place(E, 5), [Kind.HOLE], id="in part"),
        pytest.param((6,), True, Place(E, 5), [Kind.HOLE], id="nothing"),
        pytest.param((2, 3, 4, 5), True, Place(E, 5), [Kind.DUPLICATE], id="too much"),
        pytest.param((91,), False, Place(E, 90), [], id="refused"),
        pytest.param((6,), False, Place(E, 5), [Kind.NEEDLESS], id="refused for nothing"),
        pytest.param((6,), None, Place(E, 5), [Kind.BAD_RECOVERY], id="no answer"),
        pytest.param((), True, Place(F, 5), [Kind.BAD_RECOVERY], id="into another epoch"),
        pytest.param((3,), True, None, [Kind.BAD_RECOVERY], id="to nowhere"),
        pytest.param((), False, Place(E, 1), [Kind.INVERSION], id="behind where it was"),
    ],
)
def test_recovery(items: tuple[int, ...], recovered: bool | None, start: Place | None, found: list[Kind]) -> None:
    story = Story().suffers(EMPTY, 0.5, 0.9)
    assert story.hears(*items, start=start, asked=Place(E, 2), recovered=recovered).verdict == found


def test_an_agent_that_was_let_in_while_redis_was_away_can_not_be_caught_up() -> None:
    story = Story().hears(6, start=Place(E, 5), asked=Place(E, 2), recovered=False, channel="agent:a", at=8.0)
    assert story.verdict == [Kind.NEEDLESS]
    assert story.suffers(FaultKind.FREEZE_REDIS, 1.0, 7.0).verdict == []


def test_nobody_is_caught_up_who_did_not_ask() -> None:
    assert Story().hears(1, recovered=True).verdict == [Kind.BAD_RECOVERY]


# ---- in the end


def test_a_lost_last_message_is_found() -> None:
    assert Story().hears(1, 2, lives=True).ends_at(Place(E, 3)).verdict == [Kind.BEHIND]


def test_who_was_told_that_it_is_missing_knows() -> None:
    story = Story().suffers(EMPTY, 1, 1).hears(1, 2, Place(E, 3), lives=True).ends_at(Place(E, 3))
    assert story.verdict == []


def test_who_has_left_need_not_know() -> None:
    assert Story().hears(1, 2).ends_at(Place(E, 3)).verdict == []


def test_all_nodes_tell_the_same_head() -> None:
    assert Story().ends_at(Place(E, 3)).ends_at(Place(E, 4), node="n2").verdict == [Kind.BEHIND]


# ---- in time, and for a reason


def test_what_was_acknowledged_long_ago_comes_too_late() -> None:
    assert Story().hears(1, at=15.0).verdict == []
    assert Story().hears(1, at=1.0).acknowledges(1, Place(E, 1), at=1.0).verdict == []
    late = Story().hears(at=1.0, lives=True).acknowledges(1, Place(E, 1), at=1.0)
    late.heard(late.stays[0], 12.0, {**said(1), "offset": 1})
    assert late.verdict == [Kind.LATE]


def test_unless_a_fault_held_it_up() -> None:
    late = Story().hears(at=1.0, lives=True).acknowledges(1, Place(E, 1), at=1.0)
    late.heard(late.stays[0], 12.0, {**said(1), "offset": 1})
    assert late.suffers(FaultKind.STALL_LINK, 1.5, 9.0).verdict == []


def test_what_never_came_while_there_was_time_is_late_as_well() -> None:
    story = Story().hears(1).acknowledges(2, Place(E, 2), at=1.3)
    assert story.verdict == []
    story.stays[0].ended_at = 12.0
    assert story.verdict == [Kind.LATE]


def test_a_resync_without_any_fault_is_needless() -> None:
    assert Story().hears(1, Place(E, 3), 4).verdict == [Kind.NEEDLESS]


def test_more_epochs_than_losses_are_needless() -> None:
    story = Story().suffers(FaultKind.RESET_LINK, 0.5, 0.9).hears(1, Place(F, 0), (1, 11))
    assert story.verdict == [Kind.NEEDLESS]
    assert story.suffers(EMPTY, 0.5, 0.9).verdict == []


# ---- manners


def test_what_may_not_come_is_told() -> None:
    story = Story()
    story.stray(1.0, "client", "a message after bye")
    assert story.verdict == [Kind.STRAY]
