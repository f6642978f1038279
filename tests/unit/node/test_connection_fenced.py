"""Once the heartbeat has run out a place may be another's: nothing more is heard of who held it, and nothing said."""

import asyncio

from tannoy.node.frames import Opcode, split_frames
from tannoy.node.session import Endpoint

from tests.support.clock import on_manual_time, turns
from tests.support.desk import PING_INTERVAL, ROOM, Desk, House
from tests.unit.node.test_connection_places import released, remembered
from tests.unit.node.test_orders import at_agent


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
    desk.carrier.stall()
    desk.hear_from_room(100)
    house.fence()
    desk.carrier.drain()
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
    assert Opcode.PONG not in [opcode for opcode, _ in split_frames(desk.carrier.stream)]


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
