"""The life and the end of a connection: overflow, `bye`, and what is released."""

import asyncio

import pytest
from tannoy.node.connections.timers import TICK
from tannoy.node.delivery.hub import HubStatistics
from tannoy.node.protocols.session import ROOMS_MAX, Endpoint
from tannoy.node.transports.base import CLOSE_DEADLINE
from tannoy.shared.codes import CLOSE_RULES, CloseCode
from tannoy.shared.policy import SlowPolicy

from tests.support.client_driver import ClientDriver, connect_to_room
from tests.support.clock import on_manual_time, turns
from tests.support.unit_node import HEAD, ROOM, UnitNode

LATE = 2 * TICK
"""Seconds by which the timer wheel may be late."""

# ---- too slow


@on_manual_time
async def test_client_too_slow_to_read_is_closed() -> None:
    node = UnitNode(outbox_max_bytes=5000)
    client = await connect_to_room(node)
    client.transport.stall()
    for _ in range(10):
        client.write_broadcast(1000)
    assert [frame["code"] for frame in client.received()] == [4002]
    assert client.transport.closed_with == (4002, "too slow to read")
    assert node.hub.rosters == {}


@on_manual_time
async def test_client_that_sends_pings_and_does_not_read_is_closed() -> None:
    client = ClientDriver(UnitNode(outbox_max_bytes=5000))
    client.transport.stall()
    for _ in range(100):
        client.connection.on_ping(b"x" * 125)
    assert client.transport.closed_with == (4002, "too slow to read")


@on_manual_time
async def test_client_too_slow_to_read_is_sent_resync_with_the_skip_policy() -> None:
    node = UnitNode(outbox_max_bytes=5000, policy=SlowPolicy.SKIP)
    client = await connect_to_room(node)
    client.transport.stall()
    for _ in range(10):
        client.write_broadcast(1000)
    client.transport.drain()
    (resync,) = client.received()
    assert (resync["type"], resync["room"], resync["epoch"], resync["offset"]) == ("resync", "lobby", *HEAD)
    assert client.transport.closed_with is None


@on_manual_time
async def test_resyncs_that_overflow_the_outbox_close_the_connection_with_the_skip_policy() -> None:
    # The resyncs overflow the outbox in turn: the close then leaves the rooms for which they are being sent.
    node = UnitNode(outbox_max_bytes=5000, policy=SlowPolicy.SKIP)
    client = ClientDriver(node, high_water=1)
    for number in range(ROOMS_MAX):
        client.send(type="join", room=f"room-{number}")
        await node.acknowledge()
    client.write_broadcast(6000)
    client.transport.drain()
    assert client.transport.closed_with == (4002, "too slow to read")
    assert node.hub.statistics() == HubStatistics(sessions=0, users=0, channels=0, rooms=0)


# ---- bye


@pytest.mark.parametrize("code", [code for code in CloseCode if code >= 4000], ids=int)
@on_manual_time
async def test_bye_is_the_last_frame_and_has_code_and_reason_of_the_close_frame(code: CloseCode) -> None:
    client = ClientDriver(UnitNode())
    client.connection.close(code, retry_after=3)
    rule = CLOSE_RULES[code]
    bye = {"type": "bye", "code": int(code), "reason": rule.reason, "reconnect": rule.reconnect, "retry_after": 3}
    assert client.received()[-1] == bye
    assert client.transport.closed_with == (code, rule.reason)


@pytest.mark.parametrize("code", [1002, 1007, 1009])
@on_manual_time
async def test_bye_after_a_violation_has_code_and_reason_of_the_close_frame(code: int) -> None:
    # docs/protocol.md §5: the close frame and `bye` carry the same code and reason.
    client = ClientDriver(UnitNode())
    client.connection.on_violation(code, "what exactly was wrong")
    bye = client.received()[-1]
    assert client.transport.closed_with == (bye["code"], bye["reason"])


@on_manual_time
async def test_bye_is_sent_once() -> None:
    client = ClientDriver(UnitNode())
    client.received()
    for code in (CloseCode.DRAINING, CloseCode.TOO_SLOW, CloseCode.DRAINING):
        client.connection.close(code)
    client.connection.on_violation(1002, "too late")
    assert [frame["code"] for frame in client.received()] == [4001]


@on_manual_time
async def test_nothing_is_handled_or_sent_after_bye() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    client.connection.close(CloseCode.DRAINING)
    client.received()
    client.send(type="ping", id=1)
    client.send(type="message", content=1)
    client.connection.on_ping(b"x")
    client.write_broadcast(100)
    assert client.received() == []
    assert node.publisher.sent == []


@on_manual_time
async def test_publish_confirmed_after_bye_is_not_answered() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    client.send(type="message", content=1, id=1)
    client.connection.close(CloseCode.DRAINING)
    client.received()
    node.publisher.confirmations[0].set_result(1)
    await turns()
    assert client.received() == []


@on_manual_time
async def test_client_that_does_not_answer_the_close_frame_is_aborted() -> None:
    client = ClientDriver(UnitNode())
    client.connection.close(CloseCode.DRAINING)
    await asyncio.sleep(CLOSE_DEADLINE + LATE)
    assert client.transport.aborted


@on_manual_time
async def test_client_that_answers_the_close_frame_is_not_aborted() -> None:
    node = UnitNode()
    client = ClientDriver(node)
    client.connection.close(CloseCode.DRAINING)
    client.connection.on_closed()
    await asyncio.sleep(CLOSE_DEADLINE + LATE)
    assert not client.transport.aborted
    assert node.wheel.idle.is_set()


@on_manual_time
async def test_connection_that_fails_to_join_its_home_is_closed_with_try_again_later() -> None:
    client = ClientDriver(UnitNode(), Endpoint.ROOM)
    await asyncio.sleep(1.1)
    (bye,) = client.received()
    assert (bye["code"], bye["reconnect"]) == (1013, True)
    assert 1 <= bye["retry_after"] <= 2


# ---- what is released


@pytest.mark.parametrize("end", ["closed by the peer", "closed by the node, then by the peer", "closed by the node"])
@on_manual_time
async def test_connection_that_ends_in_any_way_releases_everything_once(end: str) -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    if "node" in end:
        client.connection.close(CloseCode.DRAINING)
    if "peer" in end:
        client.connection.on_closed()
    assert node.hub.statistics() == HubStatistics(sessions=0, users=0, channels=0, rooms=0)
    assert node.subscriptions.holders(ROOM.address) == 0
    assert node.outbox_limits.slow == 0


@on_manual_time
async def test_connection_that_ends_while_it_joins_releases_the_subscription() -> None:
    node = UnitNode()
    client = ClientDriver(node, Endpoint.ROOM)
    client.connection.on_closed()
    await node.acknowledge()
    assert node.subscriptions.holders(ROOM.address) == 0
    assert node.hub.statistics() == HubStatistics(sessions=0, users=0, channels=0, rooms=0)
    assert client.received() == []


@on_manual_time
async def test_slow_client_that_disconnects_is_not_counted_as_slow() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    client.transport.stall()
    assert node.outbox_limits.slow == 1
    client.connection.on_closed()
    assert node.outbox_limits.slow == 0


@on_manual_time
async def test_client_made_slow_by_bye_is_not_counted_as_slow_after_its_end() -> None:
    node = UnitNode()
    client = ClientDriver(node, high_water=500)
    client.write_broadcast(500 - len(client.transport.stream) - len(b"\x81\x7e\x00\x00"))
    assert node.outbox_limits.slow == 0
    client.connection.close(CloseCode.DRAINING)
    client.connection.on_closed()
    assert node.outbox_limits.slow == 0
