"""One channel's place on this node while something behind it is missing: what was found, and what never will be."""

import pytest
from tannoy.fanout.history import cursor as cursor_module
from tannoy.fanout.history.cursor import TOO_LATE, TRIMMED

from tests.unit.fanout.history.test_cursor import FILLING, FOLLOWING, Bench


def filling() -> Bench:
    """11 and 12 are missing; 13 and 14 wait."""
    bench = Bench(10)
    bench.take(13, 14)
    return bench


def test_what_was_found_goes_on_before_what_waited() -> None:
    bench = filling()
    assert bench.found(12, 11, 12) == [11, 12, 13, 14]
    assert bench.stands == (FOLLOWING, "e", 14)


def test_what_was_found_and_waited_too_goes_on_once() -> None:
    assert filling().found(14, 11, 12, 13, 14) == [11, 12, 13, 14]


def test_what_came_while_the_log_was_read_goes_on_behind_it() -> None:
    bench = filling()
    assert bench.take(15, 16) == []
    assert bench.found(14, 11, 12, 13, 14) == [11, 12, 13, 14, 15, 16]


def test_a_second_hole_among_what_waited_is_filled_in_its_turn() -> None:
    bench = Bench(10)
    bench.take(12, 14)
    assert bench.found(12, 11, 12) == [11, 12]
    assert bench.stands == (FILLING, "e", 12)
    assert bench.found(14, 13, 14) == [13, 14]
    assert bench.stands == (FOLLOWING, "e", 14)


def test_a_hole_longer_than_one_read_is_filled_read_by_read() -> None:
    bench = Bench(10)
    bench.take(20)
    assert bench.found(20, 11, 12, 13) == [11, 12, 13]
    assert bench.stands == (FILLING, "e", 13)
    assert bench.found(20, 14, 15, 16, 17, 18, 19) == [14, 15, 16, 17, 18, 19, 20]
    assert bench.cursor.state is FOLLOWING


def test_what_is_trimmed_is_told_and_the_rest_goes_on() -> None:
    assert filling().found(14, 12, 13, 14) == [f"e/11 {TRIMMED}", 12, 13, 14]


def test_a_hole_within_the_log_is_told_where_it_is() -> None:
    assert filling().found(14, 11, 13, 14) == [11, f"e/12 {TRIMMED}", 13, 14]


def test_where_the_log_is_gone_and_the_head_is_not_all_up_to_it_is_told() -> None:
    bench = filling()
    assert bench.found(14) == [f"e/14 {TRIMMED}"]
    assert bench.stands == (FOLLOWING, "e", 14)


def test_a_proven_hole_whose_log_is_gone_is_told() -> None:
    bench = Bench(10)
    bench.proven(12)
    assert bench.found(12) == [f"e/12 {TRIMMED}"]
    assert bench.cursor.state is FOLLOWING


def test_where_the_log_knows_less_than_the_link_no_second_reading_is_tried() -> None:
    bench = filling()
    assert bench.found(10) == [f"e/12 {TOO_LATE}", 13, 14]
    assert bench.stands == (FOLLOWING, "e", 14)


def test_duplicates_of_what_waits_go_on_once() -> None:
    bench = filling()
    assert bench.take(13, 14, 13) == []
    assert bench.found(12, 11, 12) == [11, 12, 13, 14]


def test_what_is_given_up_is_told_and_what_waited_goes_on() -> None:
    bench = filling()
    assert bench.give_up() == [f"e/12 {TOO_LATE}", 13, 14]
    assert bench.stands == (FOLLOWING, "e", 14)
    assert bench.take(15) == [15]


def test_each_hole_that_is_given_up_is_told() -> None:
    bench = Bench(10)
    bench.take(12, 14, 15)
    assert bench.give_up() == [f"e/11 {TOO_LATE}", 12, f"e/13 {TOO_LATE}", 14, 15]


def test_a_proven_hole_that_is_given_up_is_told_up_to_the_head() -> None:
    bench = Bench(10)
    bench.proven(12)
    assert bench.give_up() == [f"e/12 {TOO_LATE}"]
    assert bench.stands == (FOLLOWING, "e", 12)


def test_a_read_that_comes_after_giving_up_changes_nothing() -> None:
    bench = filling()
    bench.give_up()
    assert bench.found(14, 11, 12, 13, 14) == []


# ---- the bounds of what waits


@pytest.mark.parametrize(("name", "bound"), [("WAITING_MAX", 3), ("WAITING_MAX_BYTES", 35)])
def test_more_than_may_wait_is_dropped_and_read_from_the_log(
    monkeypatch: pytest.MonkeyPatch, name: str, bound: int
) -> None:
    monkeypatch.setattr(cursor_module, name, bound)
    bench = Bench(10)
    bench.take(12, 13, 14, 15)
    assert bench.found(12, 11, 12) == [11, 12]
    assert bench.stands == (FILLING, "e", 12)
    assert bench.found(15, 13, 14, 15) == [13, 14, 15]
    assert bench.stands == (FOLLOWING, "e", 15)


def test_what_was_dropped_and_is_given_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor_module, "WAITING_MAX", 3)
    bench = Bench(10)
    bench.take(12, 13, 14, 15)
    assert bench.give_up() == [f"e/15 {TOO_LATE}"]
    bench.take(17, 18, 19, 20)
    bench.take(21)
    assert bench.give_up() == [f"e/20 {TOO_LATE}", 21]
    assert bench.stands == (FOLLOWING, "e", 21)


def test_what_has_gone_on_does_not_count_as_waiting_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor_module, "WAITING_MAX_BYTES", 25)
    bench = Bench(10)
    for start in (10, 20, 30):
        bench.take(start + 2, start + 3)
        assert bench.found(start + 3, start + 1, start + 2) == [start + 1, start + 2, start + 3]
        assert bench.take(*range(start + 4, start + 11)) == list(range(start + 4, start + 11))
