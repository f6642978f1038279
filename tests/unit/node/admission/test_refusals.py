"""Refusals are counted, and logged: all of them, or a sample of very many."""

from collections.abc import Generator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict
from tannoy.node.admission.refusals import ORIGIN_MAX_CHARACTERS, Reason, RefusalLog
from tannoy.node.admission.sampled_lines import LINES_MAX
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import BadRequest, Refused

from tests.support.clock import ManualClock

FOREIGN = Refused("not allowed", code=ErrorCode.FORBIDDEN)


@pytest.fixture
def lines() -> Generator[list[EventDict]]:
    with capture_logs() as captured:
        yield captured


def test_each_refusal_is_counted_and_logged_with_its_client_code_and_reason(lines: list[EventDict]) -> None:
    log = RefusalLog(ManualClock())
    log.record(Reason.ORIGIN, 403, FOREIGN, origin="https://a.example", address="192.0.2.1")
    log.record(Reason.ORIGIN, 403, FOREIGN, origin="https://a.example", address="192.0.2.2")
    log.record(Reason.REQUEST, 400, BadRequest("this is not HTTP/1.1"))

    assert lines == [
        {
            "event": "refused a client",
            "log_level": "info",
            "user": None,
            "address": address,
            "code": code,
            "reason": reason,
            "origin": origin,
            "detail": detail,
        }
        for address, code, reason, origin, detail in (
            ("192.0.2.1", 403, "origin", "https://a.example", "not allowed"),
            ("192.0.2.2", 403, "origin", "https://a.example", "not allowed"),
            (None, 400, "request", None, "this is not HTTP/1.1"),
        )
    ]
    assert {reason: count for reason, count in log.statistics().items() if count} == {"origin": 2, "request": 1}


def test_the_user_whose_token_was_verified_is_named(lines: list[EventDict]) -> None:
    refusal = Refused("this token allows no such room", code=ErrorCode.FORBIDDEN)
    refusal.user_id = "ada"
    RefusalLog(ManualClock()).record(Reason.FORBIDDEN, 4503, refusal)

    assert lines[0]["user"] == "ada"


def test_many_refusals_of_a_reason_are_sampled_and_leave_lines_for_the_others(lines: list[EventDict]) -> None:
    log = RefusalLog(ManualClock())
    for number in range(1000):
        log.record(Reason.ORIGIN, 403, FOREIGN, origin=f"https://{number}.example")
    log.record(Reason.PATH, 404, BadRequest("no endpoint"))

    assert [line["reason"] for line in lines] == ["origin"] * LINES_MAX + ["path"]
    assert log.statistics()["origin"] == 1000


def test_only_the_beginning_of_a_long_origin_is_logged(lines: list[EventDict]) -> None:
    RefusalLog(ManualClock()).record(Reason.ORIGIN, 403, FOREIGN, origin="x" * 100_000)

    assert len(lines[0]["origin"]) == ORIGIN_MAX_CHARACTERS


def test_each_reason_has_a_counter_from_the_start() -> None:
    assert RefusalLog(ManualClock()).statistics() == {reason.value: 0 for reason in Reason}
