"""The cursor of one channel: every transition, seen by what it delivers."""

import pytest
from tannoy.fanout.history import cursor as cursor_module
from tannoy.fanout.history.cursor import RESTARTED, TOO_LATE

from tests.support.cursors import FILLING, FOLLOWING, UNKNOWN, CursorDriver, Delivered

# ---- unknown


def test_messages_wait_until_the_first_position_is_known() -> None:
    driver = CursorDriver(None)
    assert driver.bring(11, 12) == []
    assert driver.cursor.state is UNKNOWN


@pytest.mark.parametrize(
    ("waiting", "head", "delivered"),
    [
        ([], 10, []),
        ([11, 12], 10, [11, 12]),
        ([9, 10, 11], 10, [11]),
        ([8, 9], 10, []),
        ([1], 0, [1]),
    ],
)
def test_messages_that_waited_are_delivered_from_the_first_position_on(
    waiting: list[int], head: int, delivered: Delivered
) -> None:
    driver = CursorDriver(None)
    driver.bring(*waiting)
    assert driver.start_at(head) == delivered
    assert driver.state == (FOLLOWING, "e", max([head, *waiting]))


def test_a_hole_after_the_first_position_is_filled() -> None:
    driver = CursorDriver(None)
    driver.bring(13)
    assert driver.start_at(10) == []
    assert driver.state == (FILLING, "e", 10)
    assert driver.read_page(13, 11, 12, 13) == [11, 12, 13]


def test_messages_of_an_epoch_before_the_first_position_are_dropped() -> None:
    driver = CursorDriver(None)
    driver.bring(41, 42, epoch="old")
    driver.bring(1)
    assert driver.start_at(0) == [1]


def test_an_epoch_that_began_while_the_first_position_was_read_gives_a_resync() -> None:
    driver = CursorDriver(None)
    driver.bring(11)
    driver.bring(1, epoch="new")
    assert driver.start_at(10) == [11, f"new/0 {RESTARTED}", 1]


def test_a_second_first_position_changes_nothing() -> None:
    driver = CursorDriver(10)
    assert driver.start_at(99) == driver.start_at(3, "new") == []
    assert driver.state == (FOLLOWING, "e", 10)


def test_a_session_without_a_position_gets_a_resync_once_it_is_known() -> None:
    driver = CursorDriver(None)
    driver.cursor.reset_on_start = True
    driver.bring(11)
    assert driver.start_at(10) == [f"e/10 {TOO_LATE}", 11]
    assert not driver.cursor.reset_on_start


def test_more_messages_than_may_wait_for_the_first_position_are_read_from_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cursor_module, "WAITING_MAX", 3)
    driver = CursorDriver(None)
    driver.bring(11, 12, 13, 14, 15)
    assert driver.start_at(10) == []
    assert driver.read_page(15, 11, 12, 13, 14, 15) == [11, 12, 13, 14, 15]
    assert driver.state == (FOLLOWING, "e", 15)


# ---- following


def test_the_next_message_is_delivered_at_once() -> None:
    driver = CursorDriver(10)
    assert driver.bring(11, 12, 13) == [11, 12, 13]
    assert driver.state == (FOLLOWING, "e", 13)


def test_a_message_that_was_delivered_before_is_dropped() -> None:
    driver = CursorDriver(10)
    assert driver.bring(11, 11, 3, 10, 12) == [11, 12]


def test_a_message_behind_a_hole_waits() -> None:
    driver = CursorDriver(10)
    assert driver.bring(11, 13, 14) == [11]
    assert driver.state == (FILLING, "e", 11)


@pytest.mark.parametrize("head", [0, 9, 10])
def test_a_head_that_was_delivered_shows_no_hole(head: int) -> None:
    driver = CursorDriver(10)
    assert driver.end_barrier(head) == []
    assert driver.state == (FOLLOWING, "e", 10)


def test_a_head_ahead_of_the_cursor_shows_a_hole() -> None:
    driver = CursorDriver(10)
    assert driver.end_barrier(12) == []
    assert driver.state == (FILLING, "e", 10)
    assert driver.read_page(12, 11, 12) == [11, 12]
    assert driver.state == (FOLLOWING, "e", 12)


def test_a_page_and_giving_up_change_nothing_without_a_hole() -> None:
    driver = CursorDriver(10)
    assert driver.read_page(12, 11, 12) == driver.give_up() == []
    assert driver.state == (FOLLOWING, "e", 10)


def test_a_barrier_gives_the_first_position_if_none_is_known() -> None:
    driver = CursorDriver(None)
    driver.bring(11)
    assert driver.end_barrier(10) == [11]
    assert driver.state == (FOLLOWING, "e", 11)


# ---- another epoch


def test_a_message_of_another_epoch_restarts_the_cursor_with_a_resync() -> None:
    driver = CursorDriver(10)
    assert driver.bring(11, epoch="new") == [f"new/10 {RESTARTED}", 11]
    assert driver.bring(12, epoch="new") == [12]
    assert driver.state == (FOLLOWING, "new", 12)


def test_a_message_of_the_former_epoch_is_dropped() -> None:
    driver = CursorDriver(10)
    driver.end_barrier(10, "new")
    assert driver.bring(11, 12) == []
    assert driver.state == (FOLLOWING, "new", 10)


def test_a_head_of_another_epoch_restarts_the_cursor() -> None:
    driver = CursorDriver(10)
    assert driver.end_barrier(3, "new") == [f"new/3 {RESTARTED}"]
    assert driver.bring(4, epoch="new") == [4]


def test_messages_that_waited_in_an_ended_epoch_are_dropped() -> None:
    driver = CursorDriver(10)
    driver.bring(13, 14)
    assert driver.end_barrier(20, "new") == [f"new/20 {RESTARTED}"]
    assert driver.state == (FOLLOWING, "new", 20)
    assert driver.bring(21, epoch="new") == [21]


def test_messages_that_waited_in_an_ended_epoch_are_not_delivered_in_the_next() -> None:
    driver = CursorDriver(10)
    driver.bring(13, 14)
    driver.end_barrier(10, "new")
    driver.bring(12, epoch="new")
    assert driver.read_page(12, 11, 12, epoch="new") == [11, 12]
    assert driver.state == (FOLLOWING, "new", 12)


def test_a_hole_of_an_ended_epoch_is_none_in_the_next() -> None:
    driver = CursorDriver(10)
    driver.end_barrier(99)
    driver.end_barrier(0, "new")
    driver.bring(2, epoch="new")
    assert driver.read_page(2, 1, 2, epoch="new") == [1, 2]
    assert driver.state == (FOLLOWING, "new", 2)


def test_a_page_of_another_epoch_is_ignored() -> None:
    driver = CursorDriver(10)
    driver.bring(13)
    assert driver.read_page(12, 11, 12, epoch="new") == []
    assert driver.read_page(13, 11, 12, 13) == [11, 12, 13]


# ---- offsets that come twice


def test_an_offset_that_the_link_brings_twice_shows_lost_data() -> None:
    driver = CursorDriver(10)
    driver.bring(11, 12)
    assert not driver.cursor.has_lost_data
    assert driver.bring(12) == []
    assert driver.cursor.has_lost_data


def test_an_offset_that_waits_behind_a_hole_and_comes_twice_shows_lost_data() -> None:
    driver = CursorDriver(10)
    driver.bring(12, 12)
    assert driver.cursor.has_lost_data


def test_an_offset_that_history_gave_before_the_link_shows_no_loss() -> None:
    driver = CursorDriver(10)
    driver.bring(10, 12)
    driver.read_page(14, 11, 12, 13)
    driver.bring(13, 14)
    driver.bring(11, 13)
    assert not driver.cursor.has_lost_data


def test_a_message_behind_a_hole_that_was_given_up_shows_no_loss() -> None:
    driver = CursorDriver(10)
    driver.bring(13)
    driver.give_up()
    driver.bring(11)
    assert not driver.cursor.has_lost_data


def test_a_new_epoch_begins_without_a_loss() -> None:
    driver = CursorDriver(10)
    driver.bring(11, 11)
    driver.bring(12, epoch="new")
    assert not driver.cursor.has_lost_data
