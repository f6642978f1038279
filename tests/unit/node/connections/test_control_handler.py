"""What other nodes ask of this one: answered from its own sessions, and only from those that are open."""

import pytest
from tannoy.fanout.control.requests import CloseSessions, DeliverToSession, DeliverToUser, ListSessions, Request
from tannoy.fanout.scripts import LEASE_ACQUIRE, LEASE_RELEASE
from tannoy.node.connections import control_handler as orders_module
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.clock import rfc3339
from tannoy.shared.codes import CloseCode
from tannoy.shared.names import AgentId, SessionId, UserId
from tannoy.shared.protocol.codec import MSGPACK
from tannoy.shared.publication import EncodedMessage
from tannoy.shared.sessions import SessionInfo

from tests.support.clock import on_manual_time, turns
from tests.support.desk import OWNER, Desk, House

READY = EncodedMessage(b'{"hi":1}', MSGPACK.encode({"hi": 1}))
ADA, BOB = UserId("ada"), UserId("bob")


async def at_agent(house: House, session_id: str = "s1", user_id: str = "ada") -> Desk:
    """A session of agent 42 with its welcome read."""
    desk = Desk(house, Endpoint.AGENT, session_id=session_id, user_id=user_id)
    await turns(6)
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert [frame["type"] for frame in desk.heard()] == ["welcome"]
    return desk


def to_user(user_id: UserId = ADA) -> Request:
    return DeliverToUser(1, b"", user_id, READY)


def to_session(session_id: str, agent_id: str = "42") -> Request:
    return DeliverToSession(1, b"", AgentId(agent_id), SessionId(session_id), READY)


def closing(owner: Owner, session_id: str | None = None) -> Request:
    return CloseSessions(1, b"", owner, None if session_id is None else SessionId(session_id))


def codes(*desks: Desk) -> list[int | None]:
    """With which each was closed; None: it is open."""
    return [desk.transport.closed_with and desk.transport.closed_with[0] for desk in desks]


# ---- deliver


@on_manual_time
async def test_all_of_a_users_sessions_get_it_each_in_its_own_format() -> None:
    house = House()
    desks = [Desk(house), Desk(house, wire=MSGPACK), Desk(house, user_id="bob")]
    for desk in desks:
        desk.heard()
    assert house.control_handler.handle_request(to_user()) == (2, ())
    assert [desk.heard() for desk in desks] == [[{"hi": 1}], [{"hi": 1}], []]
    assert desks[1].wire.binary


@on_manual_time
async def test_one_session_of_an_agent_gets_it() -> None:
    house = House()
    first, second = await at_agent(house, "s1"), await at_agent(house, "s2")
    assert house.control_handler.handle_request(to_session("s2")) == (1, ())
    assert (first.heard(), second.heard()) == ([], [{"hi": 1}])


@pytest.mark.parametrize(("session_id", "agent_id"), [("s3", "42"), ("s1", "43")])
@on_manual_time
async def test_a_session_that_is_not_here_is_not_served(session_id: str, agent_id: str) -> None:
    house = House()
    desk = await at_agent(house)
    assert house.control_handler.handle_request(to_session(session_id, agent_id)) == (0, ())
    assert desk.heard() == []


@on_manual_time
async def test_nobody_is_served_before_its_welcome() -> None:
    house = House()
    house.redis.hold(LEASE_ACQUIRE)
    desk = Desk(house, Endpoint.AGENT)
    await turns()
    answers = [
        house.control_handler.handle_request(each) for each in (to_user(), to_session("s1"), ListSessions(1, b"", ADA))
    ]
    assert answers == [(0, ())] * 3
    assert (desk.heard(), codes(desk)) == ([], [None])


@on_manual_time
async def test_nobody_is_served_after_its_bye() -> None:
    house = House()
    desk = await at_agent(house)
    desk.connection.close(CloseCode.DRAINING)
    desk.heard()
    answers = [house.control_handler.handle_request(each) for each in (to_user(), to_session("s1"), closing(OWNER))]
    assert answers == [(0, ())] * 3
    assert desk.heard() == []


# ---- close


@on_manual_time
async def test_an_operator_closes_all_sessions_of_an_agent() -> None:
    house = House()
    desks = [await at_agent(house, "s1"), await at_agent(house, "s2", "bob"), Desk(house)]
    assert house.control_handler.handle_request(closing(OWNER)) == (2, ())
    assert codes(*desks) == [4504, 4504, None]


@on_manual_time
async def test_an_operator_closes_one_session_of_an_agent() -> None:
    house = House()
    desks = [await at_agent(house, "s1"), await at_agent(house, "s2")]
    assert house.control_handler.handle_request(closing(OWNER, "s1")) == (1, ())
    assert codes(*desks) == [4504, None]


@on_manual_time
async def test_an_operator_closes_all_sessions_of_a_user_wherever_they_are() -> None:
    house = House()
    desks = [await at_agent(house, "s1"), Desk(house, session_id="s2"), Desk(house, user_id="bob")]
    assert house.control_handler.handle_request(closing(Owner(OwnerKind.USER, "ada"))) == (2, ())
    assert codes(*desks) == [4504, 4504, None]


@on_manual_time
async def test_an_agent_of_another_name_keeps_its_sessions() -> None:
    house = House()
    desk = await at_agent(house)
    assert house.control_handler.handle_request(closing(Owner(OwnerKind.AGENT, "43"))) == (0, ())
    assert codes(desk) == [None]


@pytest.mark.parametrize("owner", [OWNER, Owner(OwnerKind.USER, "ada")], ids=lambda owner: owner.kind)
@pytest.mark.parametrize("waits_for", ["its place", "its home"])
@on_manual_time
async def test_an_operator_closes_who_has_not_been_welcomed_yet(waits_for: str, owner: Owner) -> None:
    house = House()
    if waits_for == "its place":
        house.redis.hold(LEASE_ACQUIRE)
    desk = Desk(house, Endpoint.AGENT)
    await turns(6)
    assert house.control_handler.handle_request(closing(owner, "s2")) == (0, ())
    assert house.control_handler.handle_request(closing(owner, "s1")) == (1, ())
    assert house.control_handler.handle_request(closing(owner, "s1")) == (0, ())
    if waits_for == "its place":
        house.redis.answer_held(LEASE_ACQUIRE)
    await turns(1)
    house.link.acknowledge()
    await turns(6)
    assert [(frame["type"], frame["code"]) for frame in desk.heard()] == [("bye", 4504)]
    assert [words[0] for words in house.redis.arguments_of(LEASE_RELEASE)] == [b"me|1|s1"]
    assert (house.leases.statistics().known, house.hub.rosters) == (0, {})


# ---- list


@on_manual_time
async def test_a_users_sessions_are_listed_as_they_are_described() -> None:
    house = House()
    connected_at = rfc3339(house.clock.now())
    await at_agent(house, "s1")
    house.clock.advance(1)
    Desk(house, session_id="s2", user_id="bob")
    assert house.control_handler.handle_request(ListSessions(1, b"", ADA)) == (
        1,
        (SessionInfo("s1", "ada", "Ada", "n1", connected_at, agent_id="42"),),
    )
    assert house.control_handler.handle_request(ListSessions(1, b"", BOB))[1][0].agent_id is None


@on_manual_time
async def test_no_more_sessions_are_listed_than_the_bound_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders_module, "LISTED_MAX", 2)
    house = House()
    for number in range(3):
        Desk(house, session_id=f"s{number}")
    count, listed = house.control_handler.handle_request(ListSessions(1, b"", ADA))
    assert (count, len(listed)) == (3, 2)
