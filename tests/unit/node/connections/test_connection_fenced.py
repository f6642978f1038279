"""Once the heartbeat has run out a place may be another's: nothing more is heard of who held it, and nothing said."""

import asyncio

from tannoy.fanout.pubsub.subscriptions import ACKNOWLEDGE_TIMEOUT
from tannoy.fanout.scripts import LEASE_ACQUIRE, PRESENCE_JOIN, PRESENCE_LEAVE
from tannoy.node.protocols.session import Endpoint
from tannoy.node.rfc6455 import Opcode, split_frames

from tests.support.clock import on_manual_time, turns
from tests.support.desk import PING_INTERVAL, ROOM, Desk, House
from tests.unit.node.connections.test_connection_leases import released, remembered
from tests.unit.node.connections.test_control_handler import at_agent


@on_manual_time
async def test_once_the_heartbeat_has_run_out_a_command_is_answered_by_bye_alone() -> None:
    house = House()
    desk = await at_agent(house)
    house.fence()
    desk.say(type="message", content=1, id=1)
    desk.say(type="ping", id=2)
    assert [(frame["type"], frame["code"]) for frame in desk.heard()] == [("bye", 4004)]
    assert house.publisher.sent == []


@on_manual_time
async def test_a_confirmation_that_comes_too_late_is_not_passed_on() -> None:
    house = House()
    desk = await at_agent(house)
    desk.say(type="message", content=1, id=1)
    house.fence()
    house.publisher.confirmations[0].set_result(1)
    await turns()
    assert [(frame["type"], frame["code"]) for frame in desk.heard()] == [("bye", 4004)]


@on_manual_time
async def test_what_waited_for_a_slow_peer_is_not_delivered_any_more() -> None:
    house = House()
    desk = await at_agent(house)
    desk.transport.stall()
    desk.hear_from_room(100)
    house.fence()
    desk.transport.drain()
    assert [(frame["type"], frame["code"]) for frame in desk.heard()] == [("bye", 4004)]


@on_manual_time
async def test_it_is_not_even_pinged_any_more() -> None:
    house = House()
    desk = await at_agent(house)
    house.fence()
    await asyncio.sleep(PING_INTERVAL + 1)
    assert [(frame["type"], frame["code"]) for frame in desk.heard()] == [("bye", 4004)]


@on_manual_time
async def test_nor_is_a_ping_of_the_peers_library_answered() -> None:
    house = House()
    desk = await at_agent(house)
    house.fence()
    desk.connection.pinged(b"are you there")
    assert Opcode.PONG not in [opcode for opcode, _ in split_frames(desk.transport.stream)]


@on_manual_time
async def test_a_lost_place_is_remembered_and_given_back_nevertheless() -> None:
    house = House()
    await at_agent(house)
    house.fence()
    house.leases.are_trusted()
    assert {rule for _, rule, _ in remembered(house)} == {"lease"}
    assert released(house) == [b"me|1|s1"]


@on_manual_time
async def test_whoever_has_no_place_to_lose_stays() -> None:
    house = House()
    desk = Desk(house, Endpoint.ROOM)
    house.link.acknowledge()
    await turns()
    desk.heard()
    house.fence()
    house.leases.are_trusted()
    desk.say(type="ping", id=1)
    assert desk.heard() == [{"type": "pong", "id": 1}]
    assert ROOM.address in house.hub.rosters


# ---- run out between the answer of Redis and what is done about it

LOST = [("bye", 4004)]


def types(desk: Desk) -> list[tuple[object, object]]:
    return [(frame["type"], frame.get("code")) for frame in desk.heard()]


@on_manual_time
async def test_whoever_has_got_a_place_that_is_not_trusted_any_more_does_not_come_in() -> None:
    house = House()
    house.redis.hold(LEASE_ACQUIRE)
    desk = Desk(house, Endpoint.AGENT)
    desk.say(type="message", content=1, id=1)
    await turns()
    house.redis.answer_held(LEASE_ACQUIRE)
    await turns(1)
    assert house.leases.statistics()["acquired"] == 1
    house.fence()
    await turns()
    assert (house.link.acknowledge(), house.hub.rosters) == ([], {})
    assert (types(desk), house.publisher.sent) == (LOST, [])
    assert released(house) == [b"me|1|s1"]


@on_manual_time
async def test_whoever_gets_home_too_late_is_not_welcomed_and_what_it_said_is_not_carried_out() -> None:
    house = House()
    desk = Desk(house, Endpoint.AGENT)
    desk.say(type="message", content=1, id=1)
    await turns(6)
    house.fence()
    house.link.acknowledge()
    await turns()
    assert (types(desk), house.publisher.sent) == (LOST, [])
    assert (released(house), house.hub.rosters) == ([b"me|1|s1"], {})


@on_manual_time
async def test_whoever_does_not_get_home_and_is_too_late_as_well_has_lost_its_place() -> None:
    house = House()
    desk = Desk(house, Endpoint.AGENT)
    await turns(6)
    house.fence()
    await asyncio.sleep(ACKNOWLEDGE_TIMEOUT + 0.1)
    assert types(desk) == LOST
    assert {rule for _, rule, _ in remembered(house)} == {"lease"}


async def joining(house: House) -> Desk:
    """A session that holds a place, and waits for presence in the lobby; a command waits behind it."""
    desk = Desk(house)
    await turns(6)
    assert types(desk) == [("welcome", None)]
    house.redis.hold(PRESENCE_JOIN)
    desk.say(type="join", room="lobby", id=1)
    desk.say(type="message", room="lobby", content=1, id=2)
    house.link.acknowledge()
    await turns()
    return desk


@on_manual_time
async def test_whoever_has_joined_too_late_hears_no_ok_and_is_taken_out_again() -> None:
    house = House(user_max_sessions=3)
    desk = await joining(house)
    house.fence()
    house.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert (types(desk), house.publisher.sent) == (LOST, [])
    assert len(house.redis.asked(PRESENCE_LEAVE)) == 1
    assert house.hub.rosters == {}


@on_manual_time
async def test_whoever_could_not_join_and_is_too_late_as_well_hears_bye_alone() -> None:
    house = House(user_max_sessions=3)
    desk = await joining(house)
    house.fence()
    house.redis.refuse(PRESENCE_JOIN)
    house.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert (types(desk), house.publisher.sent) == (LOST, [])
    assert house.hub.rosters == {}


@on_manual_time
async def test_whoever_is_trusted_hears_ok_and_what_it_said_meanwhile_is_carried_out() -> None:
    house = House(user_max_sessions=3)
    desk = await joining(house)
    house.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert (types(desk), len(house.publisher.sent)) == ([("ok", None)], 1)
