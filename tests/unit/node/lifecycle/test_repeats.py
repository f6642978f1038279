"""Records of one kind: the first in a second is logged, the others are counted."""

import logging

from tannoy.node.lifecycle.repeats import KINDS_MAX, WINDOW_SECONDS, RepeatFilter, Window, find_kind

START = 1000.0
END = START + WINDOW_SECONDS


def test_of_a_kind_the_first_record_is_admitted_and_the_others_are_counted() -> None:
    repeats = RepeatFilter()

    assert [repeats.admit("history", "dropped", None, START) for _ in range(3)] == [True, False, False]
    assert repeats.take_ended(END) == [Window("history", "dropped", END, repeats=2)]


def test_another_logger_event_or_detail_is_another_kind() -> None:
    repeats = RepeatFilter()

    for logger, event, detail in (("a", "e", None), ("b", "e", None), ("a", "f", None), ("a", "e", "redis-1")):
        assert repeats.admit(logger, event, detail, START), (logger, event, detail)


def test_after_the_window_the_next_record_is_admitted() -> None:
    repeats = RepeatFilter()
    repeats.admit("a", "event", None, START)
    repeats.take_ended(END)

    assert repeats.admit("a", "event", None, END)


def test_a_window_lasts_from_its_first_record_on() -> None:
    repeats = RepeatFilter()
    repeats.admit("a", "event", None, START)
    repeats.admit("a", "event", None, END - 0.001)

    assert repeats.take_ended(END - 0.001) == []
    assert [window.repeats for window in repeats.take_ended(END)] == [1]


def test_a_kind_without_a_repeat_ends_without_a_word() -> None:
    repeats = RepeatFilter()
    repeats.admit("a", "event", None, START)

    assert repeats.take_ended(END) == []


def test_kinds_beyond_the_bound_are_one_kind() -> None:
    repeats = RepeatFilter()
    for number in range(KINDS_MAX):
        assert repeats.admit("a", f"event {number}", None, START)

    assert [repeats.admit("a", f"further {number}", None, START) for number in range(3)] == [True, False, False]
    assert [window.repeats for window in repeats.take_ended(END)] == [2]


def structlog_record(**fields: object) -> logging.LogRecord:
    """As structlog hands it to a handler."""
    return logging.LogRecord("test", logging.WARNING, __file__, 0, fields, None, None)


def test_records_that_differ_in_their_values_are_of_one_kind() -> None:
    first, second = (structlog_record(event="dropped", error=error) for error in ("one", "another"))
    assert find_kind(first) == find_kind(second)

    first, second = (logging.LogRecord("a", 30, __file__, 0, "in %s", (value,), None) for value in ("b", "c"))
    assert find_kind(first) == find_kind(second)


def test_records_of_two_redis_servers_are_of_two_kinds() -> None:
    assert find_kind(structlog_record(event="lost", redis="a")) != find_kind(structlog_record(event="lost", redis="b"))


def test_records_with_exceptions_of_two_types_are_of_two_kinds() -> None:
    kinds = {find_kind(structlog_record(event="failed", exc_info=error)) for error in (OSError(), KeyError(), None)}
    assert len(kinds) == 3

    foreign = [
        logging.LogRecord("a", 40, __file__, 0, "failed", None, (type(error), error, None))
        for error in (OSError(), KeyError())
    ]
    assert find_kind(foreign[0]) != find_kind(foreign[1])


def test_the_exception_that_is_handled_makes_a_kind() -> None:
    try:
        raise OSError
    except OSError:
        handled = find_kind(structlog_record(event="failed", exc_info=True))

    assert handled == find_kind(structlog_record(event="failed", exc_info=OSError()))


def test_only_the_beginning_of_an_event_makes_its_kind() -> None:
    assert find_kind(structlog_record(event="x" * 1000 + "a")) == find_kind(structlog_record(event="x" * 1000 + "b"))
