"""The cursor of one channel while it has a hole: filled from history, or given up with a `resync`."""

import pytest
from tannoy.fanout.history import cursor as cursor_module
from tannoy.fanout.history.cursor import TOO_LATE, TRIMMED

from tests.support.cursors import FILLING, FOLLOWING, CursorDriver


def filling() -> CursorDriver:
    """11 and 12 are missing; 13 and 14 wait."""
    driver = CursorDriver(10)
    driver.bring(13, 14)
    return driver


def test_messages_from_history_are_delivered_before_those_that_waited() -> None:
    driver = filling()
    assert driver.read_page(12, 11, 12) == [11, 12, 13, 14]
    assert driver.state == (FOLLOWING, "e", 14)


def test_a_message_in_history_that_waited_too_is_delivered_once() -> None:
    assert filling().read_page(14, 11, 12, 13, 14) == [11, 12, 13, 14]


def test_messages_that_came_while_history_was_read_are_delivered_behind_it() -> None:
    driver = filling()
    assert driver.bring(15, 16) == []
    assert driver.read_page(14, 11, 12, 13, 14) == [11, 12, 13, 14, 15, 16]


def test_a_second_hole_among_waiting_messages_is_filled_next() -> None:
    driver = CursorDriver(10)
    driver.bring(12, 14)
    assert driver.read_page(12, 11, 12) == [11, 12]
    assert driver.state == (FILLING, "e", 12)
    assert driver.read_page(14, 13, 14) == [13, 14]
    assert driver.state == (FOLLOWING, "e", 14)


def test_a_hole_longer_than_one_page_is_filled_page_by_page() -> None:
    driver = CursorDriver(10)
    driver.bring(20)
    assert driver.read_page(20, 11, 12, 13) == [11, 12, 13]
    assert driver.state == (FILLING, "e", 13)
    assert driver.read_page(20, 14, 15, 16, 17, 18, 19) == [14, 15, 16, 17, 18, 19, 20]
    assert driver.cursor.state is FOLLOWING


def test_trimmed_messages_give_a_resync_and_the_rest_is_delivered() -> None:
    assert filling().read_page(14, 12, 13, 14) == [f"e/11 {TRIMMED}", 12, 13, 14]


def test_a_hole_within_history_is_replaced_by_a_resync() -> None:
    assert filling().read_page(14, 11, 13, 14) == [11, f"e/12 {TRIMMED}", 13, 14]


def test_a_deleted_history_with_a_head_gives_a_resync_up_to_the_head() -> None:
    driver = filling()
    assert driver.read_page(14) == [f"e/14 {TRIMMED}"]
    assert driver.state == (FOLLOWING, "e", 14)


def test_a_hole_found_by_a_barrier_gives_a_resync_if_history_is_deleted() -> None:
    driver = CursorDriver(10)
    driver.end_barrier(12)
    assert driver.read_page(12) == [f"e/12 {TRIMMED}"]
    assert driver.cursor.state is FOLLOWING


def test_a_history_that_lacks_what_the_link_has_brought_is_not_read_again() -> None:
    driver = filling()
    assert driver.read_page(10) == [f"e/12 {TOO_LATE}", 13, 14]
    assert driver.state == (FOLLOWING, "e", 14)


def test_duplicates_of_a_waiting_message_are_delivered_once() -> None:
    driver = filling()
    assert driver.bring(13, 14, 13) == []
    assert driver.read_page(12, 11, 12) == [11, 12, 13, 14]


def test_a_hole_that_is_given_up_gives_a_resync_and_waiting_messages_are_delivered() -> None:
    driver = filling()
    assert driver.give_up() == [f"e/12 {TOO_LATE}", 13, 14]
    assert driver.state == (FOLLOWING, "e", 14)
    assert driver.bring(15) == [15]


def test_each_hole_that_is_given_up_gives_a_resync() -> None:
    driver = CursorDriver(10)
    driver.bring(12, 14, 15)
    assert driver.give_up() == [f"e/11 {TOO_LATE}", 12, f"e/13 {TOO_LATE}", 14, 15]


def test_a_hole_found_by_a_barrier_that_is_given_up_gives_a_resync_up_to_the_head() -> None:
    driver = CursorDriver(10)
    driver.end_barrier(12)
    assert driver.give_up() == [f"e/12 {TOO_LATE}"]
    assert driver.state == (FOLLOWING, "e", 12)


def test_a_page_after_giving_up_changes_nothing() -> None:
    driver = filling()
    driver.give_up()
    assert driver.read_page(14, 11, 12, 13, 14) == []


# ---- the bounds of waiting messages


@pytest.mark.parametrize(("name", "bound"), [("WAITING_MAX", 3), ("WAITING_MAX_BYTES", 35)])
def test_more_messages_than_may_wait_are_dropped_and_read_from_history(
    monkeypatch: pytest.MonkeyPatch, name: str, bound: int
) -> None:
    monkeypatch.setattr(cursor_module, name, bound)
    driver = CursorDriver(10)
    driver.bring(12, 13, 14, 15)
    assert driver.read_page(12, 11, 12) == [11, 12]
    assert driver.state == (FILLING, "e", 12)
    assert driver.read_page(15, 13, 14, 15) == [13, 14, 15]
    assert driver.state == (FOLLOWING, "e", 15)


def test_dropped_messages_that_are_given_up_give_a_resync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor_module, "WAITING_MAX", 3)
    driver = CursorDriver(10)
    driver.bring(12, 13, 14, 15)
    assert driver.give_up() == [f"e/15 {TOO_LATE}"]
    driver.bring(17, 18, 19, 20)
    driver.bring(21)
    assert driver.give_up() == [f"e/20 {TOO_LATE}", 21]
    assert driver.state == (FOLLOWING, "e", 21)


def test_delivered_messages_no_longer_count_as_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor_module, "WAITING_MAX_BYTES", 25)
    driver = CursorDriver(10)
    for start in (10, 20, 30):
        driver.bring(start + 2, start + 3)
        assert driver.read_page(start + 3, start + 1, start + 2) == [start + 1, start + 2, start + 3]
        assert driver.bring(*range(start + 4, start + 11)) == list(range(start + 4, start + 11))
