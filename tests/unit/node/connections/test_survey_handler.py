"""Surveys of other nodes, answered with the sessions of this one."""

from tannoy.fanout.control.requests import DeliverReported, DeliverToSession, DeliverToUser, ReportDelivery, Survey
from tannoy.node.connections.survey_handler import SurveyAnswers
from tannoy.shared.names import AgentId, SessionId, UserId
from tannoy.shared.protocol.codec import MSGPACK
from tannoy.shared.publication import EncodedMessage
from tannoy.shared.reports import SocketOutcome

from tests.support.client_driver import ClientDriver, connect_to_agent
from tests.support.clock import on_manual_time
from tests.support.unit_node import ROOM, UnitNode

READY = EncodedMessage(b'{"hi":1}', MSGPACK.encode({"hi": 1}))


def answers(node: UnitNode, survey: Survey) -> list[SocketOutcome]:
    given: list[SocketOutcome] = []
    SurveyAnswers(node.control_handler, node.reports).answer_survey(survey, given.append)
    return given


@on_manual_time
async def test_a_reported_message_to_a_user_is_delivered_and_counted() -> None:
    node = UnitNode()
    clients = [ClientDriver(node, session_id="s1"), ClientDriver(node, session_id="s2", wire=MSGPACK)]
    for client in clients:
        client.received()
    survey = DeliverReported(1, b"", DeliverToUser(0, b"", UserId("ada"), READY))
    assert answers(node, survey) == [SocketOutcome(written=2)]
    assert [client.received() for client in clients] == [[{"hi": 1}], [{"hi": 1}]]


@on_manual_time
async def test_a_reported_message_to_a_slow_session_is_slow_or_closes_it() -> None:
    node = UnitNode(outbox_max_bytes=30)
    client = await connect_to_agent(node, "s1")
    client.connection.outbox.pause()
    survey = DeliverReported(1, b"", DeliverToSession(0, b"", AgentId("42"), SessionId("s1"), READY))
    assert answers(node, survey) == [SocketOutcome(slow=1)]
    while not (closed := answers(node, survey)[0]).closed:
        pass
    assert closed == SocketOutcome(closed=1, closed_sessions=("s1",))


@on_manual_time
async def test_the_question_for_a_delivery_is_answered_with_its_outcome() -> None:
    node = UnitNode()
    node.reports.record("t", SocketOutcome(written=4))
    assert answers(node, ReportDelivery(1, b"", ROOM.address, "t")) == [SocketOutcome(written=4)]
