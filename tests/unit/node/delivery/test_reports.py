"""Outcomes and the questions for them, whichever comes first."""

import pytest
from tannoy.node.delivery import reports as reports_module
from tannoy.node.delivery.hub import Hub
from tannoy.node.delivery.reports import KEPT_SECONDS, SocketReports
from tannoy.shared.reports import SocketOutcome

from tests.support.clock import manual_clock, on_manual_time
from tests.support.hub_members import LOBBY, RecordingMember

WRITTEN = SocketOutcome(written=1)


class Driver:
    """The reports of a node with one session in the lobby, or none."""

    def __init__(self, *, has_session: bool = True) -> None:
        self.clock = manual_clock()
        self.hub = Hub()
        if has_session:
            self.hub.add(LOBBY, RecordingMember())
        self.reports = SocketReports(self.hub, self.clock)
        self.answers: list[SocketOutcome] = []

    def ask(self, token: str = "t") -> None:
        self.reports.ask(token, LOBBY.address, self.answers.append)


@on_manual_time
async def test_a_question_after_the_delivery_is_answered_at_once() -> None:
    driver = Driver()
    driver.reports.record("t", WRITTEN)
    driver.ask()
    assert (driver.answers, len(driver.reports)) == ([WRITTEN], 0)


@on_manual_time
async def test_a_question_before_the_delivery_is_answered_with_it() -> None:
    driver = Driver()
    driver.ask()
    assert driver.answers == []
    driver.reports.record("t", WRITTEN)
    assert (driver.answers, len(driver.reports)) == ([WRITTEN], 0)


@on_manual_time
async def test_a_node_without_sessions_in_the_channel_answers_that_it_had_none() -> None:
    driver = Driver(has_session=False)
    driver.ask()
    assert driver.answers == [SocketOutcome()]


@on_manual_time
async def test_an_outcome_is_answered_although_all_sessions_have_left_since() -> None:
    driver = Driver(has_session=False)
    driver.reports.record("t", WRITTEN)
    driver.ask()
    assert driver.answers == [WRITTEN]


@on_manual_time
async def test_what_is_never_matched_is_forgotten() -> None:
    driver = Driver()
    driver.ask("a")
    driver.reports.record("b", WRITTEN)
    driver.clock.advance(KEPT_SECONDS)
    driver.reports.record("c", WRITTEN)
    assert len(driver.reports) == 1
    driver.reports.record("a", WRITTEN)
    assert driver.answers == []


@on_manual_time
async def test_an_outcome_that_there_was_no_room_for_is_not_answered_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports_module, "REPORTS_MAX", 2)
    driver = Driver(has_session=False)
    for token in ("a", "b", "c"):
        driver.reports.record(token, WRITTEN)
    driver.ask("a")
    assert driver.answers == [], "that nobody was there would be wrong"
    driver.ask("c")
    assert driver.answers == [WRITTEN]
    driver.clock.advance(KEPT_SECONDS)
    driver.ask("d")
    assert driver.answers == [WRITTEN, SocketOutcome()]
