"""Requests between nodes: published to all, answered by each, counted, and ended at a deadline."""

import asyncio

import pytest
from tannoy.fanout.control.codec import pack_message
from tannoy.fanout.control.control import RESPONSE_SECONDS
from tannoy.fanout.control.requests import (
    CloseSessions,
    DeliverToSession,
    DeliverToUser,
    ListSessions,
    Response,
)
from tannoy.shared.errors import Unavailable
from tannoy.shared.names import AgentId, SessionId, UserId
from tannoy.shared.publication import EncodedMessage

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.records import session_info
from tests.support.scripted_control import KEYSPACE, OWNER, ScriptedControl

ADA = UserId("ada")
OTHER = KEYSPACE.node("other")
ENCODED = EncodedMessage(b"{}", b"\x80")


@on_manual_time
async def test_a_request_is_published_to_all_nodes_with_the_channel_to_reply_to() -> None:
    node = ScriptedControl()
    node.control.deliver_to_user(ADA, ENCODED)
    assert node.sent() == [(KEYSPACE.control, DeliverToUser(1, KEYSPACE.node("me"), ADA, ENCODED))]


@on_manual_time
async def test_deliver_to_session_names_the_agent_and_the_session() -> None:
    node = ScriptedControl()
    node.control.deliver_to_session(AgentId("42"), SessionId("s1"), ENCODED)
    ((_, request),) = node.sent()
    assert request == DeliverToSession(1, KEYSPACE.node("me"), AgentId("42"), SessionId("s1"), ENCODED)


@pytest.mark.parametrize("session_id", [None, SessionId("s1")])
@on_manual_time
async def test_close_sessions_names_the_owner_and_the_session_if_given(session_id: SessionId | None) -> None:
    node = ScriptedControl()
    node.control.close_sessions(OWNER, session_id)
    ((_, request),) = node.sent()
    assert request == CloseSessions(1, KEYSPACE.node("me"), OWNER, session_id)


@on_manual_time
async def test_the_result_of_a_request_is_the_sum_of_all_responses() -> None:
    node = ScriptedControl()
    total = node.control.deliver_to_user(ADA, ENCODED)
    node.confirm_received_by(3)
    await turns()
    for sessions in (2, 0, 5):
        assert not total.done()
        node.respond(1, sessions)
    assert total.done(), "the last response ends the wait, not the deadline"
    assert await total == 7


@on_manual_time
async def test_list_sessions_joins_the_lists_of_all_nodes() -> None:
    node = ScriptedControl()
    sessions = asyncio.ensure_future(node.control.list_sessions(ADA))
    await turns()
    assert node.sent() == [(KEYSPACE.control, ListSessions(1, KEYSPACE.node("me"), ADA))]
    node.confirm_received_by(2)
    await turns()
    node.respond(1, 2, session_info("s1"), session_info("s2"))
    node.respond(1, 1, session_info("s3"))
    assert await sessions == [session_info("s1"), session_info("s2"), session_info("s3")]


@on_manual_time
async def test_responses_before_the_confirmation_of_the_publish_are_counted() -> None:
    node = ScriptedControl()
    total = node.control.deliver_to_user(ADA, ENCODED)
    node.respond(1, 2)
    node.respond(1, 1)
    assert not total.done()
    node.confirm_received_by(2)
    assert await total == 3


@on_manual_time
async def test_a_request_that_no_node_received_is_unavailable() -> None:
    node = ScriptedControl()
    total = node.control.deliver_to_user(ADA, ENCODED)
    node.confirm_received_by(0)
    with pytest.raises(Unavailable):
        await total


@on_manual_time
async def test_a_request_without_a_response_is_unavailable_at_the_deadline() -> None:
    node = ScriptedControl()
    total = node.control.deliver_to_user(ADA, ENCODED)
    node.confirm_received_by(2)
    with pytest.raises(Unavailable):
        await total


@on_manual_time
async def test_a_request_of_a_node_that_is_not_listening_is_unavailable_and_not_published() -> None:
    node = ScriptedControl()
    node.is_listening = False
    with pytest.raises(Unavailable):
        await node.control.deliver_to_user(ADA, ENCODED)
    assert node.publisher.sent == []


@on_manual_time
async def test_a_missing_response_ends_the_request_at_the_deadline_and_is_counted() -> None:
    node = ScriptedControl()
    total = node.control.deliver_to_user(ADA, ENCODED)
    node.confirm_received_by(2)
    await turns()
    node.respond(1, 4)
    before = manual_clock().monotonic()
    assert await total == 4
    assert manual_clock().monotonic() - before == pytest.approx(RESPONSE_SECONDS)
    assert node.control.statistics().missing_responses == 1


@on_manual_time
async def test_an_unconfirmed_request_is_unavailable() -> None:
    node = ScriptedControl()
    total = node.control.deliver_to_user(ADA, ENCODED)
    node.respond(1, 1)
    with pytest.raises(Unavailable):
        await total


@on_manual_time
async def test_a_request_that_fails_to_publish_is_unavailable_at_once() -> None:
    node = ScriptedControl()
    total = node.control.deliver_to_user(ADA, ENCODED)
    node.publisher.confirmations[-1].set_exception(Unavailable("no bus"))
    with pytest.raises(Unavailable, match="no bus"):
        await total


@on_manual_time
async def test_concurrent_requests_get_their_own_responses() -> None:
    node = ScriptedControl()
    first, second = node.control.deliver_to_user(ADA, ENCODED), node.control.deliver_to_user(ADA, ENCODED)
    for confirmation in node.publisher.confirmations:
        confirmation.set_result(1)
    await turns()
    node.respond(2, 20)
    node.respond(1, 10)
    assert (await first, await second) == (10, 20)


@on_manual_time
async def test_an_answered_request_is_no_longer_pending() -> None:
    node = ScriptedControl()
    total = node.control.deliver_to_user(ADA, ENCODED)
    node.confirm_received_by(1)
    await turns()
    node.respond(1, 1)
    await total
    await turns()
    assert node.control.statistics().pending_requests == 0


@on_manual_time
async def test_a_response_after_the_deadline_is_ignored() -> None:
    node = ScriptedControl()
    total = node.control.deliver_to_user(ADA, ENCODED)
    node.confirm_received_by(1)
    with pytest.raises(Unavailable):
        await total
    await turns()
    node.respond(1, 1)
    assert node.control.statistics().pending_requests == 0


@on_manual_time
async def test_a_request_of_another_node_is_answered_on_its_channel() -> None:
    node = ScriptedControl(sessions=3)
    request = DeliverToUser(9, KEYSPACE.node("other"), ADA, ENCODED)
    node.receive(request)
    assert node.requests == [request]
    assert node.sent() == [(KEYSPACE.node("other"), Response(9, 3))]


@on_manual_time
async def test_a_response_that_fails_to_publish_raises_nothing() -> None:
    node = ScriptedControl(sessions=1)
    node.receive(DeliverToUser(9, OTHER, ADA, ENCODED))
    node.publisher.confirmations[-1].set_exception(Unavailable("no bus"))
    await asyncio.sleep(0)


@on_manual_time
async def test_a_malformed_control_message_is_dropped_and_counted() -> None:
    node = ScriptedControl()
    node.control.handle_message(KEYSPACE.control, pack_message(DeliverToUser(9, OTHER, ADA, ENCODED)))
    node.control.handle_message(KEYSPACE.control, b"garbage")
    assert node.requests == []
    assert node.publisher.sent == []
    assert node.control.statistics().malformed == 2


@pytest.mark.parametrize("channel", [b"", b"other", KEYSPACE.control, b"tannoy:{x}:node:other", b"}{:node:other"])
@on_manual_time
async def test_a_request_to_be_answered_on_no_channel_of_a_node_is_dropped(channel: bytes) -> None:
    node = ScriptedControl(sessions=1)
    node.receive(CloseSessions(9, channel, OWNER, None))
    assert (node.requests, node.publisher.sent) == ([], [])
    assert node.control.statistics().malformed == 1


@on_manual_time
async def test_the_channels_are_that_of_all_nodes_and_that_of_this_one() -> None:
    assert ScriptedControl().control.channels == (KEYSPACE.control, KEYSPACE.node("me"))


@on_manual_time
async def test_list_sessions_of_another_node_is_answered_with_the_sessions() -> None:
    node = ScriptedControl(sessions=1, listed=(session_info("s1"),))
    node.receive(ListSessions(9, OTHER, ADA))
    assert node.sent() == [(OTHER, Response(9, 1, (session_info("s1"),)))]


@on_manual_time
async def test_a_request_that_is_played_again_is_refused_and_counted() -> None:
    node = ScriptedControl(sessions=1)
    recorded = node.other.seal(KEYSPACE.control, pack_message(CloseSessions(9, OTHER, OWNER, None)))
    for _ in range(3):
        node.control.handle_message(KEYSPACE.control, recorded)
    assert len(node.requests) == len(node.publisher.sent) == 1
    assert (node.control.statistics().malformed, node.control.statistics().replayed) == (2, 2)
