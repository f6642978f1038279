"""Self-fencing: after its heartbeat has expired a node serves no session that holds a lease.

Input of a socket, a delivery and a timer fence before anything else; what runs behind them only asks `may_serve`.
"""

import asyncio

from tannoy.fanout.pubsub.subscriptions import ACKNOWLEDGE_TIMEOUT
from tannoy.fanout.scripts import LEASE_ACQUIRE, PRESENCE_JOIN, PRESENCE_LEAVE
from tannoy.node.protocols.session import Endpoint
from tannoy.node.rfc6455 import Opcode

from tests.support.client_driver import ClientDriver, connect_to_agent
from tests.support.clock import on_manual_time, turns
from tests.support.recording_transport import split_frames
from tests.support.unit_node import AGENT, HEAD, PING_INTERVAL, ROOM, UnitNode

LEASE_LOST = [("bye", 4004)]


def types(client: ClientDriver) -> list[tuple[object, object]]:
    return [(frame["type"], frame.get("code")) for frame in client.received()]


# ---- input, deliveries and timers


@on_manual_time
async def test_command_after_expiry_is_answered_by_bye_alone() -> None:
    node = UnitNode()
    client = await connect_to_agent(node)
    node.expire_heartbeat()
    client.send(type="message", content=1, id=1)
    client.send(type="ping", id=2)
    assert types(client) == LEASE_LOST
    assert node.publisher.sent == []


@on_manual_time
async def test_ping_frame_after_expiry_is_not_answered() -> None:
    node = UnitNode()
    client = await connect_to_agent(node)
    node.expire_heartbeat()
    client.connection.on_ping(b"are you there")
    assert Opcode.PONG not in [opcode for opcode, _ in split_frames(client.transport.stream)]


@on_manual_time
async def test_queued_messages_of_a_slow_socket_are_dropped_when_it_becomes_writable_after_expiry() -> None:
    node = UnitNode()
    client = await connect_to_agent(node)
    client.transport.stall()
    client.write_broadcast(100)
    node.expire_heartbeat()
    client.transport.drain()
    assert types(client) == LEASE_LOST


@on_manual_time
async def test_ping_timer_after_expiry_sends_bye_instead_of_ping() -> None:
    node = UnitNode()
    client = await connect_to_agent(node)
    node.expire_heartbeat()
    await asyncio.sleep(PING_INTERVAL + 1)
    assert types(client) == LEASE_LOST


@on_manual_time
async def test_messages_of_the_link_after_expiry_are_not_delivered() -> None:
    node = UnitNode()
    client = await connect_to_agent(node)
    node.expire_heartbeat()
    node.deliver_batch(AGENT, HEAD.offset + 1)
    assert types(client) == LEASE_LOST


# ---- the effect of fencing


@on_manual_time
async def test_fenced_lease_is_remembered_as_a_disconnect_and_released() -> None:
    node = UnitNode()
    await connect_to_agent(node)
    node.expire_heartbeat()
    node.fire_expiry_timer()
    assert {rule for _, rule, _ in node.remembered_disconnects()} == {"lease"}
    await turns()
    assert node.released_leases() == [b"me|1|s1"]


@on_manual_time
async def test_session_without_a_lease_is_served_after_expiry() -> None:
    node = UnitNode()
    client = ClientDriver(node, Endpoint.ROOM)
    await node.acknowledge()
    client.received()
    node.expire_heartbeat()
    node.fire_expiry_timer()
    client.send(type="ping", id=1)
    assert client.received() == [{"type": "pong", "id": 1}]
    assert ROOM.address in node.hub.rosters


# ---- replies of Redis that are handled between the expiry and its timer: nothing is sent, and nothing is begun


@on_manual_time
async def test_lease_that_is_answered_after_expiry_is_not_used() -> None:
    node = UnitNode()
    node.redis.hold(LEASE_ACQUIRE)
    client = ClientDriver(node, Endpoint.AGENT)
    client.send(type="message", content=1, id=1)
    await turns()
    node.redis.answer_held(LEASE_ACQUIRE)
    node.expire_heartbeat()
    await turns()
    assert (node.leases.statistics().acquired, node.link.acknowledge(), node.hub.rosters) == (0, [], {})
    assert (types(client), node.publisher.sent) == ([], [])
    client.connection.on_closed()
    await turns()
    assert node.released_leases() == [b"me|1|s1"]


@on_manual_time
async def test_publish_confirmed_after_expiry_is_not_answered_with_ok() -> None:
    node = UnitNode()
    client = await connect_to_agent(node)
    client.send(type="message", content=1, id=1)
    node.expire_heartbeat()
    node.publisher.confirmations[0].set_result(1)
    await turns()
    assert types(client) == []
    node.fire_expiry_timer()
    assert types(client) == LEASE_LOST


@on_manual_time
async def test_home_joined_after_expiry_is_not_welcomed_and_commands_that_waited_are_dropped() -> None:
    node = UnitNode()
    client = ClientDriver(node, Endpoint.AGENT)
    client.send(type="message", content=1, id=1)
    await turns(6)
    node.expire_heartbeat()
    await node.acknowledge()
    assert types(client) == []
    node.fire_expiry_timer()
    assert (types(client), node.publisher.sent) == (LEASE_LOST, [])
    await turns()
    assert (node.released_leases(), node.hub.rosters) == ([b"me|1|s1"], {})


@on_manual_time
async def test_home_that_fails_to_be_joined_after_expiry_is_closed_for_its_lease() -> None:
    node = UnitNode()
    client = ClientDriver(node, Endpoint.AGENT)
    await turns(6)
    node.expire_heartbeat()
    await asyncio.sleep(ACKNOWLEDGE_TIMEOUT + 0.1)
    node.fire_expiry_timer()
    assert types(client) == LEASE_LOST
    assert {rule for _, rule, _ in node.remembered_disconnects()} == {"lease"}


async def join_without_presence(node: UnitNode) -> ClientDriver:
    """Return a client with a lease whose join of the lobby waits for presence, with a command behind the join."""
    client = ClientDriver(node)
    await turns(6)
    assert types(client) == [("welcome", None)]
    node.redis.hold(PRESENCE_JOIN)
    client.send(type="join", room="lobby", id=1)
    client.send(type="message", room="lobby", content=1, id=2)
    await node.acknowledge()
    return client


@on_manual_time
async def test_room_joined_after_expiry_is_not_answered_with_ok_and_is_left_again() -> None:
    node = UnitNode(user_max_sessions=3)
    client = await join_without_presence(node)
    node.expire_heartbeat()
    node.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert types(client) == []
    node.fire_expiry_timer()
    assert (types(client), node.publisher.sent) == (LEASE_LOST, [])
    await turns()
    assert len(node.redis.arguments_of(PRESENCE_LEAVE)) == 1
    assert node.hub.rosters == {}


@on_manual_time
async def test_room_that_fails_to_be_joined_after_expiry_is_not_answered_with_error() -> None:
    node = UnitNode(user_max_sessions=3)
    client = await join_without_presence(node)
    node.expire_heartbeat()
    node.redis.leave_unconfirmed(PRESENCE_JOIN)
    node.redis.answer_held(PRESENCE_JOIN)
    await turns()
    node.fire_expiry_timer()
    assert (types(client), node.publisher.sent) == (LEASE_LOST, [])
    assert node.hub.rosters == {}


@on_manual_time
async def test_room_joined_before_expiry_is_answered_and_commands_that_waited_are_handled() -> None:
    node = UnitNode(user_max_sessions=3)
    client = await join_without_presence(node)
    node.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert (types(client), len(node.publisher.sent)) == ([("ok", None)], 1)
