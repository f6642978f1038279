"""Orders between nodes: asked of all, answered by each, counted, and over after a deadline."""

import asyncio

import pytest
from tannoy.fanout.control.codec import pack_message, unpack_message
from tannoy.fanout.control.control import RESPONSE_SECONDS, Control
from tannoy.fanout.control.requests import (
    CloseSessions,
    DeliverToSession,
    DeliverToUser,
    ListSessions,
    Notice,
    Request,
    Response,
)
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId, SessionId, UserId
from tannoy.shared.publication import EncodedMessage
from tannoy.shared.sessions import SessionInfo

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.records import session_info
from tests.support.scripted_redis import ScriptedPublisher

KEYSPACE = Keyspace("tannoy")
ADA = UserId("ada")
OWNER = Owner(OwnerKind.AGENT, "42")
READY = EncodedMessage(b"{}", b"\x80")
SECRET = b"cluster"


class Desk:
    """One node's Control, and the bus in the test's hand."""

    def __init__(self, *, sessions: int = 0, listed: tuple[SessionInfo, ...] = ()) -> None:
        self.asked: list[Request] = []
        self.notices: list[Notice] = []
        self.publisher = ScriptedPublisher(KEYSPACE)
        self._answer = sessions, listed
        self.listens = True
        self.control = Control(
            KEYSPACE,
            self.publisher,
            incarnation="me",
            secret=SECRET,
            answer_request=self._answer_request,
            is_listening=lambda: self.listens,
        )
        self.control.attach(self)

    def handle_notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def _answer_request(self, question: Request) -> tuple[int, tuple[SessionInfo, ...]]:
        self.asked.append(question)
        return self._answer

    def heard_by(self, nodes: int) -> None:
        """Redis confirms the last publish: so many nodes heard it."""
        self.publisher.confirmations[-1].set_result(nodes)

    def answer(self, request: int, sessions: int, *listed: SessionInfo) -> None:
        """A node answers."""
        self.control.handle_message(pack_message(Response(request, sessions, listed), SECRET))


@on_manual_time
async def test_an_order_goes_to_every_node_and_names_where_to_answer() -> None:
    desk = Desk()
    desk.control.deliver_to_user(ADA, READY)
    ((address, payload, key),) = desk.publisher.sent
    assert (address, key) == (KEYSPACE.control, None)
    assert unpack_message(payload, SECRET) == DeliverToUser(1, KEYSPACE.node("me"), ADA, READY)


@on_manual_time
async def test_an_order_to_a_session_names_the_agent_and_the_session() -> None:
    desk = Desk()
    desk.control.deliver_to_session(AgentId("42"), SessionId("s1"), READY)
    order = unpack_message(desk.publisher.sent[0][1], SECRET)
    assert order == DeliverToSession(1, KEYSPACE.node("me"), AgentId("42"), SessionId("s1"), READY)


@pytest.mark.parametrize("session_id", [None, SessionId("s1")])
@on_manual_time
async def test_an_order_to_close_names_the_owner_and_the_session_if_it_is_one(session_id: SessionId | None) -> None:
    desk = Desk()
    desk.control.close_sessions(OWNER, session_id)
    order = unpack_message(desk.publisher.sent[0][1], SECRET)
    assert order == CloseSessions(1, KEYSPACE.node("me"), OWNER, session_id)


@on_manual_time
async def test_the_result_is_the_sum_of_all_answers() -> None:
    desk = Desk()
    total = desk.control.deliver_to_user(ADA, READY)
    desk.heard_by(3)
    await turns()
    for sessions in (2, 0, 5):
        assert not total.done()
        desk.answer(1, sessions)
    assert total.done(), "the last answer ends the wait, not the deadline"
    assert await total == 7


@on_manual_time
async def test_what_each_node_lists_is_put_together() -> None:
    desk = Desk()
    sessions = asyncio.ensure_future(desk.control.list_sessions(ADA))
    await turns()
    assert unpack_message(desk.publisher.sent[0][1], SECRET) == ListSessions(1, KEYSPACE.node("me"), ADA)
    desk.heard_by(2)
    await turns()
    desk.answer(1, 2, session_info("s1"), session_info("s2"))
    desk.answer(1, 1, session_info("s3"))
    assert await sessions == [session_info("s1"), session_info("s2"), session_info("s3")]


@on_manual_time
async def test_answers_may_come_before_redis_has_told_how_many_nodes_heard() -> None:
    desk = Desk()
    total = desk.control.deliver_to_user(ADA, READY)
    desk.answer(1, 2)
    desk.answer(1, 1)
    assert not total.done()
    desk.heard_by(2)
    assert await total == 3


@on_manual_time
async def test_if_not_even_this_node_has_heard_it_nothing_is_known() -> None:
    desk = Desk()
    total = desk.control.deliver_to_user(ADA, READY)
    desk.heard_by(0)
    with pytest.raises(Unavailable):
        await total


@on_manual_time
async def test_if_no_node_answers_nothing_is_known() -> None:
    desk = Desk()
    total = desk.control.deliver_to_user(ADA, READY)
    desk.heard_by(2)
    with pytest.raises(Unavailable):
        await total


@on_manual_time
async def test_a_node_that_does_not_hear_the_bus_asks_nobody() -> None:
    desk = Desk()
    desk.listens = False
    with pytest.raises(Unavailable):
        await desk.control.deliver_to_user(ADA, READY)
    assert desk.publisher.sent == []


@on_manual_time
async def test_a_node_that_is_silent_is_waited_for_no_longer_than_the_deadline() -> None:
    desk = Desk()
    total = desk.control.deliver_to_user(ADA, READY)
    desk.heard_by(2)
    await turns()
    desk.answer(1, 4)
    before = manual_clock().monotonic()
    assert await total == 4
    assert manual_clock().monotonic() - before == pytest.approx(RESPONSE_SECONDS)
    assert desk.control.statistics().silent_nodes == 1


@on_manual_time
async def test_without_a_confirmation_of_the_bus_it_is_unavailable_and_never_zero() -> None:
    desk = Desk()
    total = desk.control.deliver_to_user(ADA, READY)
    desk.answer(1, 1)
    with pytest.raises(Unavailable):
        await total


@on_manual_time
async def test_an_order_that_the_bus_refuses_is_unavailable_at_once() -> None:
    desk = Desk()
    total = desk.control.deliver_to_user(ADA, READY)
    desk.publisher.confirmations[-1].set_exception(Unavailable("no bus"))
    with pytest.raises(Unavailable, match="no bus"):
        await total


@on_manual_time
async def test_questions_that_are_asked_at_once_are_told_apart() -> None:
    desk = Desk()
    first, second = desk.control.deliver_to_user(ADA, READY), desk.control.deliver_to_user(ADA, READY)
    for confirmation in desk.publisher.confirmations:
        confirmation.set_result(1)
    await turns()
    desk.answer(2, 20)
    desk.answer(1, 10)
    assert (await first, await second) == (10, 20)


@on_manual_time
async def test_a_question_that_is_answered_is_forgotten() -> None:
    desk = Desk()
    total = desk.control.deliver_to_user(ADA, READY)
    desk.heard_by(1)
    await turns()
    desk.answer(1, 1)
    await total
    await turns()
    assert desk.control.statistics().questions == 0


@on_manual_time
async def test_an_answer_that_comes_too_late_is_ignored() -> None:
    desk = Desk()
    total = desk.control.deliver_to_user(ADA, READY)
    desk.heard_by(1)
    with pytest.raises(Unavailable):
        await total
    await turns()
    desk.answer(1, 1)
    assert desk.control.statistics().questions == 0


@on_manual_time
async def test_an_order_of_another_node_is_carried_out_and_answered() -> None:
    desk = Desk(sessions=3)
    order = DeliverToUser(9, KEYSPACE.node("other"), ADA, READY)
    desk.control.handle_message(pack_message(order, SECRET))
    assert desk.asked == [order]
    ((address, payload, _),) = desk.publisher.sent
    assert (address, unpack_message(payload, SECRET)) == (KEYSPACE.node("other"), Response(9, 3))


@on_manual_time
async def test_an_answer_that_can_not_be_sent_is_no_failure_of_the_node() -> None:
    desk = Desk(sessions=1)
    desk.control.handle_message(pack_message(DeliverToUser(9, b"other", ADA, READY), SECRET))
    desk.publisher.confirmations[-1].set_exception(Unavailable("no bus"))
    await asyncio.sleep(0)


@on_manual_time
async def test_an_order_with_another_seal_is_dropped_and_counted() -> None:
    desk = Desk()
    desk.control.handle_message(pack_message(DeliverToUser(9, b"other", ADA, READY), b"stranger"))
    desk.control.handle_message(b"garbage")
    assert desk.asked == []
    assert desk.publisher.sent == []
    assert desk.control.statistics().malformed == 2


@on_manual_time
async def test_it_hears_what_is_for_everybody_and_what_is_for_itself() -> None:
    assert Desk().control.channels == (KEYSPACE.control, KEYSPACE.node("me"))


@on_manual_time
async def test_a_question_is_answered_with_what_it_asked_to_be_listed() -> None:
    desk = Desk(sessions=1, listed=(session_info("s1"),))
    desk.control.handle_message(pack_message(ListSessions(9, b"other", ADA), SECRET))
    assert unpack_message(desk.publisher.sent[0][1], SECRET) == Response(9, 1, (session_info("s1"),))
