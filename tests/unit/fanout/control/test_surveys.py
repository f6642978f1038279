"""Surveys: answered by each node in its own name; who does not answer in time is named."""

import asyncio
from collections.abc import Callable

import pytest
from tannoy.fanout.control.requests import (
    DeliverReported,
    DeliverToUser,
    Drain,
    Draining,
    ListOnline,
    ReportDelivery,
    Survey,
    SurveyAnswer,
    SurveyBody,
)
from tannoy.fanout.control.surveys import REPORT_SECONDS, SurveyResult
from tannoy.shared.errors import Unavailable
from tannoy.shared.names import UserId
from tannoy.shared.online import OnlineUser, OnlineUsers
from tannoy.shared.publication import EncodedMessage
from tannoy.shared.reports import DeliveryReport, SocketOutcome

from tests.support.clock import on_manual_time, turns
from tests.support.scripted_control import KEYSPACE, ScriptedControl

EXPECTED = {"i1": "n1", "i2": "n2"}
ADDRESS = b"tannoy:room:lobby"
OUTCOMES = {"i1": SocketOutcome(1), "i2": SocketOutcome(2, 3, 1, ("s1",))}


async def ask(node: ScriptedControl) -> "asyncio.Task[DeliveryReport]":
    report = asyncio.create_task(node.control.surveys.report_delivery(ADDRESS, "t", EXPECTED))
    await turns()
    return report


@on_manual_time
async def test_a_survey_ends_when_all_expected_nodes_have_answered() -> None:
    node = ScriptedControl()
    report = await ask(node)
    assert node.sent() == [(KEYSPACE.control, ReportDelivery(1, KEYSPACE.node("me"), ADDRESS, "t"))]
    for incarnation, outcome in OUTCOMES.items():
        assert not report.done()
        node.receive(SurveyAnswer(1, incarnation, outcome))
        await turns()
    assert report.done(), "the last answer ends the wait, not the deadline"
    assert await report == DeliveryReport(OUTCOMES)


@on_manual_time
async def test_a_node_that_does_not_answer_in_time_is_named_and_not_counted() -> None:
    node = ScriptedControl()
    report = await ask(node)
    node.receive(SurveyAnswer(1, "i1", OUTCOMES["i1"]))
    started = asyncio.get_running_loop().time()
    assert await report == DeliveryReport({"i1": OUTCOMES["i1"]}, ("n2",))
    assert asyncio.get_running_loop().time() - started == pytest.approx(REPORT_SECONDS)
    node.receive(SurveyAnswer(1, "i2", OUTCOMES["i2"]))
    assert node.control.statistics().missing_responses == 1


@on_manual_time
async def test_a_node_that_was_not_expected_is_counted_too() -> None:
    node = ScriptedControl()
    report = await ask(node)
    for incarnation in ("i3", "i1", "i2"):
        node.receive(SurveyAnswer(1, incarnation, SocketOutcome(1)))
    assert (await report).as_fields()["written"] == 3


@on_manual_time
async def test_a_survey_that_could_not_be_sent_is_unavailable() -> None:
    node = ScriptedControl()
    report = await ask(node)
    node.publisher.confirmations[-1].set_exception(Unavailable("away"))
    with pytest.raises(Unavailable):
        await report
    node.is_listening = False
    with pytest.raises(Unavailable):
        await node.control.surveys.report_delivery(ADDRESS, "t", EXPECTED)
    assert node.control.statistics().pending_requests == 0


@on_manual_time
async def test_a_delivery_that_is_reported_is_one_survey() -> None:
    node = ScriptedControl()
    encoded = EncodedMessage(b"{}", b"\x80")
    report = asyncio.create_task(node.control.surveys.deliver_to_user(UserId("ada"), encoded, {"i1": "n1"}))
    await turns()
    delivery = DeliverToUser(0, b"", UserId("ada"), encoded)
    assert node.sent() == [(KEYSPACE.control, DeliverReported(1, KEYSPACE.node("me"), delivery))]
    node.receive(SurveyAnswer(1, "i1", SocketOutcome(2)))
    assert (await report).sessions == 2


@on_manual_time
async def test_a_node_that_answers_something_else_has_not_answered() -> None:
    node = ScriptedControl()
    asked = asyncio.create_task(node.control.surveys.list_online("ada", 10, EXPECTED))
    await turns()
    assert node.sent() == [(KEYSPACE.control, ListOnline(1, KEYSPACE.node("me"), "ada", 10))]
    users = OnlineUsers((OnlineUser("bob", "Bob", "2026-11-18T11:06:40.123Z", 1),), more=False)
    node.receive(SurveyAnswer(1, "i1", users))
    node.receive(SurveyAnswer(1, "i2", SocketOutcome(1)))
    assert await asked == SurveyResult({"i1": users}, ("n2",))


@on_manual_time
async def test_a_node_is_asked_to_drain_on_its_own_channel() -> None:
    node = ScriptedControl()
    asked = asyncio.create_task(node.control.surveys.drain("i1", "n1"))
    await turns()
    assert node.sent() == [(KEYSPACE.node("i1"), Drain(1, KEYSPACE.node("me")))]
    node.receive(SurveyAnswer(1, "i1", Draining()))
    assert (await asked).late_nodes == ()


class Answers:
    """Answers a survey when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[Survey, Callable[[SurveyBody], None]]] = []

    def answer_survey(self, survey: Survey, respond: Callable[[SurveyBody], None]) -> None:
        self.asked.append((survey, respond))


@on_manual_time
async def test_a_survey_of_another_node_may_be_answered_later() -> None:
    node, answers = ScriptedControl(), Answers()
    survey = ReportDelivery(7, KEYSPACE.node("other"), ADDRESS, "t")
    node.receive(survey)
    assert node.sent() == [], "nothing can answer yet"
    node.control.surveys.attach(answers)
    node.receive(survey)
    ((asked, respond),) = answers.asked
    assert (asked, node.sent()) == (survey, [])
    respond(SocketOutcome(1))
    assert node.sent() == [(KEYSPACE.node("other"), SurveyAnswer(7, "me", SocketOutcome(1)))]


@on_manual_time
async def test_a_survey_to_be_answered_on_no_channel_of_a_node_is_dropped() -> None:
    node, answers = ScriptedControl(), Answers()
    node.control.surveys.attach(answers)
    node.receive(ReportDelivery(7, KEYSPACE.control, ADDRESS, "t"))
    assert (answers.asked, node.control.statistics().malformed) == ([], 1)


@on_manual_time
async def test_an_answer_that_could_not_be_sent_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    node, answers = ScriptedControl(), Answers()
    node.control.surveys.attach(answers)
    node.receive(ReportDelivery(7, KEYSPACE.node("other"), ADDRESS, "t"))
    ((_, respond),) = answers.asked
    respond(SocketOutcome(1))
    node.publisher.confirmations[-1].set_exception(Unavailable("away"))
    await turns()
    assert "an answer to a survey could not be sent" in caplog.text
