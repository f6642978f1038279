"""Refusals are counted, and a bounded number of them is logged."""

from collections.abc import Generator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict
from tannoy.node.admission.refusals import LINES_MAX, WINDOW_SECONDS, Reason, RefusalLog

from tests.support.clock import ManualClock


@pytest.fixture
def lines() -> Generator[list[EventDict]]:
    with capture_logs() as captured:
        yield captured


def test_the_first_refusal_of_a_reason_and_origin_is_logged_and_each_is_counted(lines: list[EventDict]) -> None:
    log = RefusalLog(ManualClock())
    for _ in range(3):
        log.record(Reason.ORIGIN, "https://a.example", 403, "not allowed")
    log.record(Reason.ORIGIN, "https://b.example", 403, "not allowed")
    log.record(Reason.PATH, None, 404, "no endpoint")

    assert [(line["reason"], line["origin"], line["status"], line["detail"]) for line in lines] == [
        ("origin", "https://a.example", 403, "not allowed"),
        ("origin", "https://b.example", 403, "not allowed"),
        ("path", None, 404, "no endpoint"),
    ]
    assert {reason: count for reason, count in log.statistics().items() if count} == {"origin": 4, "path": 1}


def test_a_reason_and_origin_are_logged_again_in_the_next_window(lines: list[EventDict]) -> None:
    clock = ManualClock()
    log = RefusalLog(clock)
    for _ in range(3):
        log.record(Reason.ORIGIN, "https://a.example", 403, "not allowed")
        log.record(Reason.ORIGIN, "https://a.example", 403, "not allowed")
        clock.advance(WINDOW_SECONDS)

    assert len(lines) == 3


def test_the_lines_of_a_window_are_bounded_and_the_last_one_says_so(lines: list[EventDict]) -> None:
    log = RefusalLog(ManualClock())
    for number in range(1000):
        log.record(Reason.ORIGIN, f"https://{number}.example", 403, "not allowed")

    assert len(lines) == LINES_MAX + 1
    assert "only counted" in lines[-1]["event"]
    assert log.statistics()["origin"] == 1000


def test_only_the_beginning_of_a_long_origin_is_logged(lines: list[EventDict]) -> None:
    log = RefusalLog(ManualClock())
    log.record(Reason.ORIGIN, "x" * 100_000, 403, "not allowed")

    assert len(lines[0]["origin"]) == 100


def test_each_reason_has_a_counter_from_the_start() -> None:
    assert RefusalLog(ManualClock()).statistics() == {reason.value: 0 for reason in Reason}
