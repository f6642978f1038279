"""Surveys of other nodes, answered with the sessions of this one."""

from functools import partial

import pytest
from tannoy.fanout.control.requests import (
    DeliverReported,
    DeliverToSession,
    DeliverToUser,
    Drain,
    Draining,
    ListOnline,
    ReportDelivery,
    Survey,
    SurveyBody,
)
from tannoy.fanout.scripts import LEASE_ACQUIRE
from tannoy.node.connections.survey_handler import SurveyAnswers
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.clock import rfc3339
from tannoy.shared.names import AgentId, SessionId, UserId
from tannoy.shared.online import OnlineUser, OnlineUsers
from tannoy.shared.protocol.codec import MSGPACK
from tannoy.shared.publication import EncodedMessage
from tannoy.shared.reports import SocketOutcome

from tests.support.client_driver import ClientDriver, connect_to_agent
from tests.support.clock import on_manual_time, turns
from tests.support.unit_node import ROOM, UnitNode

READY = EncodedMessage(b'{"hi":1}', MSGPACK.encode({"hi": 1}))


def answers(node: UnitNode, survey: Survey) -> list[SurveyBody]:
    """The answers; where the node begins to drain, an empty outcome."""
    given: list[SurveyBody] = []
    drain = partial(given.append, SocketOutcome())
    SurveyAnswers(node.hub, node.control_handler, node.reports, drain).answer_survey(survey, given.append)
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
    while (answer := answers(node, survey)) == [SocketOutcome(slow=1)]:
        pass
    assert answer == [SocketOutcome(closed=1, closed_sessions=("s1",))]


@on_manual_time
async def test_the_question_for_a_delivery_is_answered_with_its_outcome() -> None:
    node = UnitNode()
    node.reports.record("t", SocketOutcome(written=4))
    assert answers(node, ReportDelivery(1, b"", ROOM.address, "t")) == [SocketOutcome(written=4)]


@pytest.mark.parametrize(
    ("after", "limit", "listed", "more"),
    [("", 10, "abc", False), ("", 3, "abc", False), ("", 2, "ab", True), ("a", 1, "b", True), ("c", 5, "", False)],
)
@on_manual_time
async def test_users_are_listed_in_the_order_of_their_ids(after: str, limit: int, listed: str, more: bool) -> None:
    node = UnitNode()
    for number, user_id in enumerate("cabc"):
        ClientDriver(node, session_id=f"s{number}", user_id=user_id)
    (answer,) = answers(node, ListOnline(1, b"", after, limit))
    assert isinstance(answer, OnlineUsers)
    assert ("".join(user.user_id for user in answer.users), answer.more) == (listed, more)


@on_manual_time
async def test_a_user_is_described_by_the_first_session_and_counted_by_open_ones() -> None:
    node = UnitNode()
    connected_at = rfc3339(node.clock.now())
    ClientDriver(node, session_id="s1")
    node.clock.advance(5)
    ClientDriver(node, session_id="s2")
    node.redis.hold(LEASE_ACQUIRE)
    ClientDriver(node, Endpoint.AGENT, session_id="s3")
    ClientDriver(node, Endpoint.AGENT, session_id="s4", user_id="bob")
    await turns()
    assert answers(node, ListOnline(1, b"", "", 10)) == [
        OnlineUsers((OnlineUser("ada", "Ada", connected_at, 2),), more=False)
    ]


@on_manual_time
async def test_a_node_answers_that_it_drains_before_it_does() -> None:
    assert answers(UnitNode(), Drain(1, b"")) == [Draining(), SocketOutcome()]
