"""Self-fencing: after its heartbeat has expired a node serves no session that holds a lease.

Input of a socket, a delivery and a timer fence before anything else; what runs behind them only asks `may_serve`.
"""

import asyncio

from tannoy.fanout.pubsub.subscriptions import ACKNOWLEDGE_TIMEOUT
from tannoy.fanout.scripts import LEASE_ACQUIRE, PRESENCE_JOIN, PRESENCE_LEAVE
from tannoy.node.protocols.session import Endpoint
from tannoy.node.rfc6455 import Opcode

from tests.support.clock import on_manual_time, turns
from tests.support.desk import AGENT, HEAD, PING_INTERVAL, ROOM, Desk, House
from tests.support.recording_transport import split_frames
from tests.unit.node.connections.test_connection_leases import released, remembered
from tests.unit.node.connections.test_control_handler import at_agent

LEASE_LOST = [("bye", 4004)]


def types(desk: Desk) -> list[tuple[object, object]]:
    return [(frame["type"], frame.get("code")) for frame in desk.heard()]


# ---- the entries


@on_manual_time
async def test_command_after_expiry_is_answered_by_bye_alone() -> None:
    house = House()
    desk = await at_agent(house)
    house.reach_expiry()
    desk.say(type="message", content=1, id=1)
    desk.say(type="ping", id=2)
    assert types(desk) == LEASE_LOST
    assert house.publisher.sent == []


@on_manual_time
async def test_ping_frame_after_expiry_is_not_answered() -> None:
    house = House()
    desk = await at_agent(house)
    house.reach_expiry()
    desk.connection.on_ping(b"are you there")
    assert Opcode.PONG not in [opcode for opcode, _ in split_frames(desk.transport.stream)]


@on_manual_time
async def test_queued_messages_of_a_slow_socket_are_dropped_when_it_becomes_writable_after_expiry() -> None:
    house = House()
    desk = await at_agent(house)
    desk.transport.stall()
    desk.hear_from_room(100)
    house.reach_expiry()
    desk.transport.drain()
    assert types(desk) == LEASE_LOST


@on_manual_time
async def test_ping_timer_after_expiry_sends_bye_instead_of_ping() -> None:
    house = House()
    desk = await at_agent(house)
    house.reach_expiry()
    await asyncio.sleep(PING_INTERVAL + 1)
    assert types(desk) == LEASE_LOST


@on_manual_time
async def test_messages_of_the_link_after_expiry_are_not_delivered() -> None:
    house = House()
    desk = await at_agent(house)
    house.reach_expiry()
    house.bring(AGENT, HEAD.offset + 1)
    assert types(desk) == LEASE_LOST


# ---- the effect of fencing


@on_manual_time
async def test_fenced_lease_is_remembered_as_a_disconnect_and_released() -> None:
    house = House()
    await at_agent(house)
    house.reach_expiry()
    house.fire_expiry_timer()
    assert {rule for _, rule, _ in remembered(house)} == {"lease"}
    assert released(house) == [b"me|1|s1"]


@on_manual_time
async def test_session_without_a_lease_is_served_after_expiry() -> None:
    house = House()
    desk = Desk(house, Endpoint.ROOM)
    await turns(1)
    house.link.acknowledge()
    await turns()
    desk.heard()
    house.reach_expiry()
    house.fire_expiry_timer()
    desk.say(type="ping", id=1)
    assert desk.heard() == [{"type": "pong", "id": 1}]
    assert ROOM.address in house.hub.rosters


# ---- replies of Redis that are handled between the expiry and its timer: nothing is sent, and nothing is begun


@on_manual_time
async def test_lease_that_is_answered_after_expiry_is_not_used() -> None:
    house = House()
    house.redis.hold(LEASE_ACQUIRE)
    desk = Desk(house, Endpoint.AGENT)
    desk.say(type="message", content=1, id=1)
    await turns()
    house.redis.answer_held(LEASE_ACQUIRE)
    house.reach_expiry()
    await turns()
    assert (house.leases.statistics().acquired, house.link.acknowledge(), house.hub.rosters) == (0, [], {})
    assert (types(desk), house.publisher.sent) == ([], [])
    desk.connection.on_closed()
    await turns()
    assert released(house) == [b"me|1|s1"]


@on_manual_time
async def test_publish_confirmed_after_expiry_is_not_answered_with_ok() -> None:
    house = House()
    desk = await at_agent(house)
    desk.say(type="message", content=1, id=1)
    house.reach_expiry()
    house.publisher.confirmations[0].set_result(1)
    await turns()
    assert types(desk) == []
    house.fire_expiry_timer()
    assert types(desk) == LEASE_LOST


@on_manual_time
async def test_home_joined_after_expiry_is_not_welcomed_and_commands_that_waited_are_dropped() -> None:
    house = House()
    desk = Desk(house, Endpoint.AGENT)
    desk.say(type="message", content=1, id=1)
    await turns(6)
    house.reach_expiry()
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert types(desk) == []
    house.fire_expiry_timer()
    assert (types(desk), house.publisher.sent) == (LEASE_LOST, [])
    assert (released(house), house.hub.rosters) == ([b"me|1|s1"], {})


@on_manual_time
async def test_home_that_fails_to_be_joined_after_expiry_is_closed_for_its_lease() -> None:
    house = House()
    desk = Desk(house, Endpoint.AGENT)
    await turns(6)
    house.reach_expiry()
    await asyncio.sleep(ACKNOWLEDGE_TIMEOUT + 0.1)
    house.fire_expiry_timer()
    assert types(desk) == LEASE_LOST
    assert {rule for _, rule, _ in remembered(house)} == {"lease"}


async def joining(house: House) -> Desk:
    """A session that holds a lease, and waits for presence in the lobby; a command waits behind its join."""
    desk = Desk(house)
    await turns(6)
    assert types(desk) == [("welcome", None)]
    house.redis.hold(PRESENCE_JOIN)
    desk.say(type="join", room="lobby", id=1)
    desk.say(type="message", room="lobby", content=1, id=2)
    await turns(1)
    house.link.acknowledge()
    await turns()
    return desk


@on_manual_time
async def test_room_joined_after_expiry_is_not_answered_with_ok_and_is_left_again() -> None:
    house = House(user_max_sessions=3)
    desk = await joining(house)
    house.reach_expiry()
    house.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert types(desk) == []
    house.fire_expiry_timer()
    assert (types(desk), house.publisher.sent) == (LEASE_LOST, [])
    assert len(house.redis.arguments_of(PRESENCE_LEAVE)) == 1
    assert house.hub.rosters == {}


@on_manual_time
async def test_room_that_fails_to_be_joined_after_expiry_is_not_answered_with_error() -> None:
    house = House(user_max_sessions=3)
    desk = await joining(house)
    house.reach_expiry()
    house.redis.leave_unconfirmed(PRESENCE_JOIN)
    house.redis.answer_held(PRESENCE_JOIN)
    await turns()
    house.fire_expiry_timer()
    assert (types(desk), house.publisher.sent) == (LEASE_LOST, [])
    assert house.hub.rosters == {}


@on_manual_time
async def test_room_joined_before_expiry_is_answered_and_commands_that_waited_are_handled() -> None:
    house = House(user_max_sessions=3)
    desk = await joining(house)
    house.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert (types(desk), len(house.publisher.sent)) == ([("ok", None)], 1)
