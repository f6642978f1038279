"""A connection whose place is counted: nothing before it has one, nothing once it may be somebody else's."""

import asyncio

import pytest
from tannoy.fanout.control.requests import Evict
from tannoy.fanout.leases.acquirer import ASK_AGAIN_SECONDS
from tannoy.fanout.scripts import LEASE_ACQUIRE, LEASE_RELEASE, REMEMBER_GONE
from tannoy.node.delivery.hub import HubStatistics
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.codes import CloseCode
from tannoy.shared.protocol.codec import JSON

from tests.support.clock import loop_errors, on_manual_time, turns
from tests.support.desk import GENERATION, OWNER, Desk, House
from tests.unit.node.connections.test_control_handler import at_agent

HELD = [b"held", GENERATION]


def released(house: House) -> list[bytes]:
    return [words[0] for words in house.redis.arguments_of(LEASE_RELEASE)]


def remembered(house: House) -> list[tuple[object, object, object]]:
    """Code, rule and count of each departure."""
    disconnects = [JSON.decode(words[0]) for words in house.redis.arguments_of(REMEMBER_GONE)]
    return [(each["code"], each["rule"], each["count"]) for each in disconnects if isinstance(each, dict)]  # pyright: ignore


def waiting_for_a_place(house: House) -> Desk:
    house.redis.hold(LEASE_ACQUIRE)
    return Desk(house, Endpoint.AGENT)


# ---- until there is a place


@on_manual_time
async def test_the_handshake_is_answered_at_once_and_welcome_waits_for_the_place() -> None:
    house = House()
    house.redis.hold(LEASE_ACQUIRE)
    desk = Desk(house, Endpoint.AGENT, opening=b"HTTP/1.1 101")
    await turns(6)
    await turns(1)
    house.link.acknowledge()
    assert desk.transport.writes == [b"HTTP/1.1 101"]
    desk.transport.writes.clear()
    house.redis.answer_held(LEASE_ACQUIRE)
    await turns()
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert [frame["type"] for frame in desk.heard()] == ["welcome"]


@on_manual_time
async def test_an_agent_is_not_heard_before_there_is_a_place() -> None:
    house = House()
    waiting_for_a_place(house)
    await turns()
    assert (house.link.acknowledge(), house.hub.rosters) == ([], {})


@on_manual_time
async def test_commands_that_come_before_welcome_wait_for_it() -> None:
    house = House()
    desk = waiting_for_a_place(house)
    desk.say(type="ping", id=1)
    await turns()
    house.redis.answer_held(LEASE_ACQUIRE)
    await turns()
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert [frame["type"] for frame in desk.heard()] == ["welcome", "pong"]


@on_manual_time
async def test_nothing_is_said_while_it_waits_however_long() -> None:
    house = House()
    desk = waiting_for_a_place(house)
    await asyncio.sleep(9)
    desk.connection.on_due(house.clock.monotonic())
    assert (desk.heard(), desk.transport.closed_with) == ([], None)


@on_manual_time
async def test_where_the_limit_is_reached_bye_says_when_to_come_back_and_nothing_else_is_said() -> None:
    house = House()
    house.redis.reply_with(LEASE_ACQUIRE, [b"full", 10, 10])
    desk = Desk(house, Endpoint.AGENT)
    await turns(6)
    (bye,) = desk.heard()
    assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", 1013, True)
    assert 1 <= bye["retry_after"] <= 2
    assert remembered(house) == [(1013, "agent_max_sessions", 10)] * 2  # with the agent, and with the user
    assert released(house) == []


@on_manual_time
async def test_those_who_find_no_place_do_not_all_come_back_at_once() -> None:
    house = House()
    house.redis.reply_with(LEASE_ACQUIRE, [b"full", 10, 10])
    desks = [Desk(house, Endpoint.AGENT, session_id=f"s{number}") for number in range(20)]
    await turns(6)
    assert len({desk.heard()[0]["retry_after"] for desk in desks}) > 5


@on_manual_time
async def test_without_redis_nobody_gets_a_place_and_is_asked_to_come_back() -> None:
    house = House()
    house.redis.leave_unconfirmed(LEASE_ACQUIRE)
    desk = Desk(house, Endpoint.AGENT)
    await turns(6)
    assert [(frame["type"], frame["code"]) for frame in desk.heard()] == [("bye", 1013)]
    assert {rule for _, rule, _ in remembered(house)} == {"bus"}


@on_manual_time
async def test_an_answer_that_nobody_expected_ends_the_session_and_is_told_loudly() -> None:
    house = House()
    house.redis.reply_with(LEASE_ACQUIRE, [b"full", b"many", 10])
    desk = Desk(house, Endpoint.AGENT)
    await turns(6)
    assert [frame["code"] for frame in desk.heard()] == [1011]
    assert isinstance(loop_errors().pop()["exception"], ValueError)


# ---- gone before there was a place


@on_manual_time
async def test_whoever_is_evicted_before_its_welcome_hears_bye_alone_and_gives_its_wish_back() -> None:
    house = House()
    desk = waiting_for_a_place(house)
    await turns()
    house.leases.handle_notice(Evict(OWNER, "me|1|s1", CloseCode.EVICTED, 10, "s2"))
    await turns()
    assert [(frame["type"], frame["code"]) for frame in desk.heard()] == [("bye", 4500)]
    assert (released(house), house.leases.statistics().known) == ([b"me|1|s1"], 0)
    assert remembered(house)[0] == (4500, "agent_max_sessions", 10)


@pytest.mark.parametrize("ready", [False, True], ids=["before the answer", "behind the answer"])
@on_manual_time
async def test_whoever_leaves_while_it_waits_gives_back_what_it_may_have_got(ready: bool) -> None:
    house = House()
    desk = waiting_for_a_place(house)
    await turns()
    if ready:
        house.redis.answer_held(LEASE_ACQUIRE)
        await turns(1)
    desk.connection.on_closed()
    await turns(6)
    assert (released(house), house.leases.statistics().known) == ([b"me|1|s1"], 0)
    assert house.hub.statistics() == HubStatistics(sessions=0, users=0, channels=0)
    assert house.counters.open == 0


@on_manual_time
async def test_a_session_that_needs_two_places_gives_back_the_first_if_it_leaves_before_the_second() -> None:
    house = House(user_max_sessions=3)
    desk = Desk(house, Endpoint.AGENT)
    await turns(2)
    house.redis.hold(LEASE_ACQUIRE)
    await turns(4)
    desk.connection.on_closed()
    await turns()
    assert sorted(released(house)) == [b"me|1|42/s1", b"me|2|s1"]


# ---- the place is given back


@on_manual_time
async def test_the_place_is_given_back_only_once_the_close_frame_is_out() -> None:
    house = House()
    desk = Desk(house, Endpoint.AGENT, hands_over=False)
    await turns(6)
    desk.connection.close(CloseCode.EVICTED)
    await turns()
    assert released(house) == []
    desk.transport.hand_over()
    assert released(house) == [b"me|1|s1"]
    desk.connection.on_closed()
    await turns()
    assert released(house) == [b"me|1|s1"]


@on_manual_time
async def test_a_peer_that_is_gone_gives_its_place_back_at_once() -> None:
    house = House()
    desk = await at_agent(house)
    desk.connection.on_closed()
    assert released(house) == [b"me|1|s1"]


@on_manual_time
async def test_a_session_that_comes_again_gets_the_place_once_the_old_one_has_said_goodbye() -> None:
    house = House()
    old = await at_agent(house)
    house.redis.reply_with(LEASE_ACQUIRE, [b"wait", b"me|1|s1", b"", 10, 10], HELD)
    house.redis.reply_with(LEASE_RELEASE, b"me|2|s1")
    before = house.clock.monotonic()
    new = Desk(house, Endpoint.AGENT)
    await turns(12)
    assert house.clock.monotonic() - before < ASK_AGAIN_SECONDS
    assert [(frame["type"], frame["code"]) for frame in old.heard()] == [("bye", 4506)]
    assert [frame["type"] for frame in new.heard()] == ["welcome"]
