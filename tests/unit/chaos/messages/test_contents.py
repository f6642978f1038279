"""One place is one message, wherever it shows: violations of that are found in a record written by hand."""

import pytest

from tests.chaos.harness.violation import Kind
from tests.chaos.messages.record import Place, Window
from tests.unit.chaos.messages.story import EMPTY, E, F, Story, said


def test_the_same_place_is_the_same_message_to_all() -> None:
    assert Story().hears(1, 2).hears(1, (2, 7)).verdict == [Kind.DIFFERENT]


def test_with_the_same_author() -> None:
    assert Story().hears(1).hears(1, by="bob").verdict == [Kind.DIFFERENT]


def test_and_content_that_somebody_has_said() -> None:
    story = Story().hears()
    forged = {**said(1), "content": {"n": 1, "size": 5, "text": "?"}, "offset": 1}
    story.heard(story.stays[0], 1.05, forged)
    assert story.verdict == [Kind.DIFFERENT]


def test_to_its_author_as_well() -> None:
    assert Story().hears(1, 2).acknowledges(9, Place(E, 2)).verdict == [Kind.DIFFERENT]


def test_and_to_who_reads_history() -> None:
    assert Story().hears(1, (2, 7)).reads([1, 2], Window(9), Place(E, 2)).verdict == [Kind.DIFFERENT]


def test_two_authors_do_not_get_one_place() -> None:
    story = Story().acknowledges(1, Place(E, 1)).acknowledges(2, Place(E, 1))
    assert story.verdict == [Kind.DIFFERENT]


def test_a_message_has_one_offset_in_an_epoch() -> None:
    assert Story().hears(1, (2, 1)).verdict == [Kind.SAID_TWICE]


def test_but_with_a_key_another_one_when_data_was_lost() -> None:
    story = Story().suffers(EMPTY, 0.5, 0.9).hears(1, 2, Place(F, 0), (1, 2))
    assert story.acknowledges(2, Place(F, 1), at=1.6).verdict == []


def test_without_a_key_it_was_handed_in_once() -> None:
    story = Story().suffers(EMPTY, 0.5, 0.9).hears(1, 2, Place(F, 0), (1, 2))
    assert story.acknowledges(2, Place(F, 1), at=1.6, keyed=False).verdict == [Kind.SAID_TWICE]


def test_what_is_left_of_the_log_may_be_read_in_the_next_epoch() -> None:
    story = Story().suffers(EMPTY, 0.5, 0.9).hears(1, 2, Place(F, 2), 3).acknowledges(2, Place(E, 2), keyed=False)
    assert story.reads([1, 2, 3], Window(10), Place(F, 3)).verdict == []


def test_what_was_acknowledged_is_not_beyond_the_head() -> None:
    story = Story().acknowledges(3, Place(E, 3), at=4.0).reads([1, 2], Window(10), Place(E, 2), at=5.0)
    assert story.verdict == [Kind.LOST]


def test_unless_it_was_acknowledged_later() -> None:
    story = Story().acknowledges(3, Place(E, 3), at=6.0).reads([1, 2], Window(10), Place(E, 2), at=5.0)
    assert story.verdict == []


@pytest.mark.parametrize(
    ("offsets", "window"),
    [
        pytest.param([7, 8, 9], Window(3), id="the last ones"),
        pytest.param([5, 6, 7, 8, 9], Window(9), id="all that are kept"),
        pytest.param([6, 7, 8], Window(3, since=5), id="since"),
        pytest.param([5, 6, 7], Window(3, since=2), id="since what is gone"),
        pytest.param([], Window(3, since=9), id="since the head"),
        pytest.param([5, 6, 7], Window(5, before=8), id="before"),
        pytest.param([], Window(5, before=3), id="before what is kept"),
    ],
)
def test_pages(offsets: list[int], window: Window) -> None:
    assert Story(kept=5).hears(1).reads(offsets, window).verdict == []


@pytest.mark.parametrize(
    ("offsets", "window"),
    [
        pytest.param([6, 7, 8], Window(3), id="not up to the head"),
        pytest.param([6, 7, 9], Window(3), id="a hole"),
        pytest.param([6, 7, 8, 9], Window(3), id="too many"),
        pytest.param([], Window(3), id="nothing"),
        pytest.param([7, 8, 9], Window(3, since=5), id="a later beginning"),
        pytest.param([5, 6, 7], Window(3, since=5), id="what was there already"),
        pytest.param([6, 7], Window(5, since=5), id="an early end"),
        pytest.param([], Window(5, since=5), id="nothing since"),
        pytest.param([5, 6, 7, 8], Window(5, before=8), id="not before"),
        pytest.param([5, 6], Window(5, before=8), id="an end before that"),
    ],
)
def test_bad_pages(offsets: list[int], window: Window) -> None:
    assert Story(kept=5).hears(1).reads(offsets, window).verdict == [Kind.BAD_PAGE]


def test_what_was_before_the_epoch_may_be_gone() -> None:
    story = Story(kept=5).suffers(EMPTY, 0.5, 0.9).hears(1, 2, Place(F, 7), 8, 9)
    assert story.reads([], Window(5), Place(F, 7)).reads([8, 9], Window(5, since=5), Place(F, 9)).verdict == []
    assert story.reads([9], Window(5, since=5), Place(F, 9)).verdict == [Kind.BAD_PAGE]
