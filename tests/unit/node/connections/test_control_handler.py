"""Requests of other nodes, handled with the sessions of this one."""

import pytest
from tannoy.fanout.control.requests import CloseSessions, DeliverToSession, DeliverToUser, ListSessions, Request
from tannoy.fanout.scripts import LEASE_ACQUIRE, LEASE_RELEASE
from tannoy.node.connections import control_handler as control_handler_module
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.clock import rfc3339
from tannoy.shared.codes import CloseCode
from tannoy.shared.names import AgentId, SessionId, UserId
from tannoy.shared.protocol.codec import MSGPACK
from tannoy.shared.publication import EncodedMessage
from tannoy.shared.sessions import SessionInfo

from tests.support.client_driver import ClientDriver, connect_to_agent
from tests.support.clock import on_manual_time, turns
from tests.support.unit_node import OWNER, UnitNode

READY = EncodedMessage(b'{"hi":1}', MSGPACK.encode({"hi": 1}))
ADA, BOB = UserId("ada"), UserId("bob")


def to_user(user_id: UserId = ADA) -> Request:
    return DeliverToUser(1, b"", user_id, READY)


def to_session(session_id: str, agent_id: str = "42") -> Request:
    return DeliverToSession(1, b"", AgentId(agent_id), SessionId(session_id), READY)


def closing(owner: Owner, session_id: str | None = None) -> Request:
    return CloseSessions(1, b"", owner, None if session_id is None else SessionId(session_id))


def codes(*clients: ClientDriver) -> list[int | None]:
    """Return the close code of each; None: it is open."""
    return [client.transport.closed_with and client.transport.closed_with[0] for client in clients]


# ---- deliver


@on_manual_time
async def test_message_to_a_user_is_delivered_to_all_of_its_sessions_in_their_wire_format() -> None:
    node = UnitNode()
    clients = [ClientDriver(node), ClientDriver(node, wire=MSGPACK), ClientDriver(node, user_id="bob")]
    for client in clients:
        client.received()
    assert node.control_handler.handle_request(to_user()) == (2, ())
    assert [client.received() for client in clients] == [[{"hi": 1}], [{"hi": 1}], []]
    assert clients[1].wire.binary


@on_manual_time
async def test_message_to_a_session_of_an_agent_is_delivered_to_it_alone() -> None:
    node = UnitNode()
    first, second = await connect_to_agent(node, "s1"), await connect_to_agent(node, "s2")
    assert node.control_handler.handle_request(to_session("s2")) == (1, ())
    assert (first.received(), second.received()) == ([], [{"hi": 1}])


@pytest.mark.parametrize(("session_id", "agent_id"), [("s3", "42"), ("s1", "43")])
@on_manual_time
async def test_message_to_an_unknown_session_is_not_delivered(session_id: str, agent_id: str) -> None:
    node = UnitNode()
    client = await connect_to_agent(node)
    assert node.control_handler.handle_request(to_session(session_id, agent_id)) == (0, ())
    assert client.received() == []


@on_manual_time
async def test_session_before_welcome_is_neither_delivered_to_nor_listed() -> None:
    node = UnitNode()
    node.redis.hold(LEASE_ACQUIRE)
    client = ClientDriver(node, Endpoint.AGENT)
    await turns()
    answers = [
        node.control_handler.handle_request(each) for each in (to_user(), to_session("s1"), ListSessions(1, b"", ADA))
    ]
    assert answers == [(0, ())] * 3
    assert (client.received(), codes(client)) == ([], [None])


@on_manual_time
async def test_session_after_bye_is_neither_delivered_to_nor_closed_again() -> None:
    node = UnitNode()
    client = await connect_to_agent(node)
    client.connection.close(CloseCode.DRAINING)
    client.received()
    answers = [node.control_handler.handle_request(each) for each in (to_user(), to_session("s1"), closing(OWNER))]
    assert answers == [(0, ())] * 3
    assert client.received() == []


# ---- close


@on_manual_time
async def test_close_request_for_an_agent_closes_all_of_its_sessions() -> None:
    node = UnitNode()
    clients = [await connect_to_agent(node, "s1"), await connect_to_agent(node, "s2", "bob"), ClientDriver(node)]
    assert node.control_handler.handle_request(closing(OWNER)) == (2, ())
    assert codes(*clients) == [4504, 4504, None]


@on_manual_time
async def test_close_request_for_a_session_of_an_agent_closes_it_alone() -> None:
    node = UnitNode()
    clients = [await connect_to_agent(node, "s1"), await connect_to_agent(node, "s2")]
    assert node.control_handler.handle_request(closing(OWNER, "s1")) == (1, ())
    assert codes(*clients) == [4504, None]


@on_manual_time
async def test_close_request_for_a_user_closes_its_sessions_at_every_endpoint() -> None:
    node = UnitNode()
    clients = [
        await connect_to_agent(node, "s1"),
        ClientDriver(node, session_id="s2"),
        ClientDriver(node, user_id="bob"),
    ]
    assert node.control_handler.handle_request(closing(Owner(OwnerKind.USER, "ada"))) == (2, ())
    assert codes(*clients) == [4504, 4504, None]


@on_manual_time
async def test_close_request_for_another_agent_closes_nothing() -> None:
    node = UnitNode()
    client = await connect_to_agent(node)
    assert node.control_handler.handle_request(closing(Owner(OwnerKind.AGENT, "43"))) == (0, ())
    assert codes(client) == [None]


@pytest.mark.parametrize("owner", [OWNER, Owner(OwnerKind.USER, "ada")], ids=lambda owner: owner.kind)
@pytest.mark.parametrize("waits_for", ["its lease", "its home"])
@on_manual_time
async def test_close_request_closes_a_session_before_welcome(waits_for: str, owner: Owner) -> None:
    node = UnitNode()
    if waits_for == "its lease":
        node.redis.hold(LEASE_ACQUIRE)
    client = ClientDriver(node, Endpoint.AGENT)
    await turns(6)
    assert node.control_handler.handle_request(closing(owner, "s2")) == (0, ())
    assert node.control_handler.handle_request(closing(owner, "s1")) == (1, ())
    assert node.control_handler.handle_request(closing(owner, "s1")) == (0, ())
    if waits_for == "its lease":
        node.redis.answer_held(LEASE_ACQUIRE)
    await turns(1)
    node.link.acknowledge()
    await turns(6)
    assert [(frame["type"], frame["code"]) for frame in client.received()] == [("bye", 4504)]
    assert [words[0] for words in node.redis.arguments_of(LEASE_RELEASE)] == [b"me|1|s1"]
    assert (node.leases.statistics().known, node.hub.rosters) == (0, {})


# ---- list


@on_manual_time
async def test_sessions_of_a_user_are_listed_with_their_description() -> None:
    node = UnitNode()
    connected_at = rfc3339(node.clock.now())
    await connect_to_agent(node, "s1")
    node.clock.advance(1)
    ClientDriver(node, session_id="s2", user_id="bob")
    assert node.control_handler.handle_request(ListSessions(1, b"", ADA)) == (
        1,
        (SessionInfo("s1", "ada", "Ada", "n1", connected_at, agent_id="42"),),
    )
    assert node.control_handler.handle_request(ListSessions(1, b"", BOB))[1][0].agent_id is None


@on_manual_time
async def test_listed_sessions_are_bounded_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_handler_module, "LISTED_MAX", 2)
    node = UnitNode()
    for number in range(3):
        ClientDriver(node, session_id=f"s{number}")
    count, listed = node.control_handler.handle_request(ListSessions(1, b"", ADA))
    assert (count, len(listed)) == (3, 2)
