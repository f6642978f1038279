"""What a head says about the cursor of its channel, as a pure decision."""

import pytest
from tannoy.fanout.history.comparison import HeadVerdict, judge_head
from tannoy.shared.publication import UNKNOWN_POSITION, Position

from tests.support.cursors import CursorDriver

AT_10 = Position("e", 10)


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        (Position("e", 10), HeadVerdict.VALID),
        (Position("e", 12), HeadVerdict.VALID),
        (Position("f", 3), HeadVerdict.VALID),
        (Position("e", 9), HeadVerdict.DATA_LOST),
        (None, HeadVerdict.MISSING),
    ],
)
def test_a_head_is_judged_by_the_position_at_which_it_was_read(head: Position | None, verdict: HeadVerdict) -> None:
    assert judge_head(CursorDriver(at=10).cursor, AT_10, head) is verdict


def test_a_head_below_messages_that_came_after_it_was_read_is_valid() -> None:
    node = CursorDriver(at=10)
    node.bring(11)
    assert judge_head(node.cursor, AT_10, Position("e", 10)) is HeadVerdict.VALID


@pytest.mark.parametrize("head", [Position("e", 12), Position("e", 9), None])
def test_a_head_read_before_the_cursor_went_on_in_another_epoch_is_ignored(head: Position | None) -> None:
    node = CursorDriver(at=10)
    node.bring(4, epoch="f")
    assert judge_head(node.cursor, AT_10, head) is HeadVerdict.IGNORED


def test_a_head_of_an_epoch_in_which_an_offset_came_twice_shows_lost_data() -> None:
    node = CursorDriver(at=10)
    node.bring(11, 11)
    assert judge_head(node.cursor, node.cursor.position, Position("e", 11)) is HeadVerdict.DATA_LOST


def test_a_missing_head_is_ignored_while_no_position_is_known() -> None:
    assert judge_head(CursorDriver(at=None).cursor, UNKNOWN_POSITION, None) is HeadVerdict.IGNORED


def test_a_missing_head_is_needed_by_a_session_without_a_position() -> None:
    cursor = CursorDriver(at=None).cursor
    cursor.reset_on_start = True
    assert judge_head(cursor, UNKNOWN_POSITION, None) is HeadVerdict.MISSING
