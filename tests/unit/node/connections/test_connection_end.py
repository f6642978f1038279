"""How a connection lives on and ends: pings, overflow, goodbyes, and what it gives back."""

import asyncio

import pytest
from tannoy.node.connections.connection import PONG_DEADLINE
from tannoy.node.connections.timers import TICK
from tannoy.node.delivery.hub import HubStatistics
from tannoy.node.protocols.session import ROOMS_MAX, Endpoint
from tannoy.node.rfc6455 import Opcode
from tannoy.node.transports.base import CLOSE_DEADLINE
from tannoy.shared.codes import CLOSE_RULES, CloseCode
from tannoy.shared.policy import SlowPolicy

from tests.support.clock import on_manual_time, turns
from tests.support.desk import HEAD, PING_INTERVAL, ROOM, Desk, House
from tests.support.recording_transport import split_frames
from tests.unit.node.connections.test_connection import in_room

LATE = 2 * TICK
"""How much later than asked the wheel may be."""

# ---- keepalive


@on_manual_time
async def test_a_ping_is_sent_each_interval_to_whoever_answers() -> None:
    desk = Desk(House())
    desk.heard()
    for _ in range(3):
        await asyncio.sleep(PING_INTERVAL + LATE)
        assert desk.heard() == [{"type": "ping"}]
        desk.say(type="pong")


@on_manual_time
async def test_whoever_does_not_answer_a_ping_is_closed() -> None:
    desk = Desk(House())
    await asyncio.sleep(PING_INTERVAL + LATE)
    desk.heard()
    await asyncio.sleep(PONG_DEADLINE + LATE)
    assert desk.heard() == [{"type": "bye", "code": 4003, "reason": "no pong", "reconnect": True}]
    assert desk.transport.closed_with == (4003, "no pong")


@on_manual_time
async def test_a_pong_within_the_deadline_is_in_time() -> None:
    desk = Desk(House())
    await asyncio.sleep(PING_INTERVAL + LATE)
    await asyncio.sleep(PONG_DEADLINE - LATE)
    desk.say(type="pong")
    await asyncio.sleep(PONG_DEADLINE)
    assert desk.transport.closed_with is None


@on_manual_time
async def test_a_pong_that_nobody_asked_for_changes_nothing() -> None:
    desk = Desk(House())
    desk.heard()
    for _ in range(10):
        await asyncio.sleep(PING_INTERVAL / 10)
        desk.say(type="pong")
    await asyncio.sleep(LATE)
    assert desk.heard() == [{"type": "ping"}]


@on_manual_time
async def test_a_ping_of_the_peers_library_is_answered_in_kind() -> None:
    desk = Desk(House())
    desk.heard()
    desk.connection.on_ping(b"are you there")
    assert list(split_frames(desk.transport.stream)) == [(Opcode.PONG, b"are you there")]


# ---- too slow


@on_manual_time
async def test_whoever_is_too_slow_to_read_is_closed() -> None:
    house = House(outbox_max_bytes=5000)
    desk = await in_room(house)
    desk.transport.stall()
    for _ in range(10):
        desk.hear_from_room(1000)
    assert [frame["code"] for frame in desk.heard()] == [4002]
    assert desk.transport.closed_with == (4002, "too slow to read")
    assert house.hub.rosters == {}


@on_manual_time
async def test_pings_of_a_peer_that_does_not_read_are_bounded_too() -> None:
    desk = Desk(House(outbox_max_bytes=5000))
    desk.transport.stall()
    for _ in range(100):
        desk.connection.on_ping(b"x" * 125)
    assert desk.transport.closed_with == (4002, "too slow to read")


@on_manual_time
async def test_with_skip_whoever_was_too_slow_is_told_what_it_has_missed_in() -> None:
    house = House(outbox_max_bytes=5000, policy=SlowPolicy.SKIP)
    desk = await in_room(house)
    desk.transport.stall()
    for _ in range(10):
        desk.hear_from_room(1000)
    desk.transport.drain()
    (resync,) = desk.heard()
    assert (resync["type"], resync["room"], resync["epoch"], resync["offset"]) == ("resync", "lobby", *HEAD)
    assert desk.transport.closed_with is None


@on_manual_time
async def test_with_skip_more_resyncs_than_the_bound_end_the_session_in_order() -> None:
    # Telling the resyncs overflows in its turn: closing then takes the very rooms that are being told.
    house = House(outbox_max_bytes=5000, policy=SlowPolicy.SKIP)
    desk = Desk(house, high_water=1)
    for number in range(ROOMS_MAX):
        desk.say(type="join", room=f"room-{number}")
        await turns(1)
        house.link.acknowledge()
        await turns()
    desk.hear_from_room(6000)
    desk.transport.drain()
    assert desk.transport.closed_with == (4002, "too slow to read")
    assert house.hub.statistics() == HubStatistics(sessions=0, users=0, channels=0)


# ---- goodbye


@pytest.mark.parametrize("code", [code for code in CloseCode if code >= 4000], ids=int)
@on_manual_time
async def test_bye_is_the_last_frame_and_says_what_the_close_frame_says(code: CloseCode) -> None:
    desk = Desk(House())
    desk.connection.close(code, retry_after=3)
    rule = CLOSE_RULES[code]
    bye = {"type": "bye", "code": int(code), "reason": rule.reason, "reconnect": rule.reconnect, "retry_after": 3}
    assert desk.heard()[-1] == bye
    assert desk.transport.closed_with == (code, rule.reason)


@pytest.mark.parametrize("code", [1002, 1007, 1009])
@on_manual_time
async def test_bye_says_what_the_close_frame_says_to_a_peer_that_broke_the_protocol(code: int) -> None:
    # docs/protocol.md §5: the close frame and `bye` carry the same code and reason.
    desk = Desk(House())
    desk.connection.on_violation(code, "what exactly was wrong")
    bye = desk.heard()[-1]
    assert desk.transport.closed_with == (bye["code"], bye["reason"])


@on_manual_time
async def test_bye_is_said_once() -> None:
    desk = Desk(House())
    desk.heard()
    for code in (CloseCode.DRAINING, CloseCode.TOO_SLOW, CloseCode.DRAINING):
        desk.connection.close(code)
    desk.connection.on_violation(1002, "too late")
    assert [frame["code"] for frame in desk.heard()] == [4001]


@on_manual_time
async def test_after_bye_nothing_is_heard_and_nothing_said() -> None:
    house = House()
    desk = await in_room(house)
    desk.connection.close(CloseCode.DRAINING)
    desk.heard()
    desk.say(type="ping", id=1)
    desk.say(type="message", content=1)
    desk.connection.on_ping(b"x")
    desk.hear_from_room(100)
    assert desk.heard() == []
    assert house.publisher.sent == []


@on_manual_time
async def test_a_confirmation_that_comes_after_bye_is_not_answered() -> None:
    house = House()
    desk = await in_room(house)
    desk.say(type="message", content=1, id=1)
    desk.connection.close(CloseCode.DRAINING)
    desk.heard()
    house.publisher.confirmations[0].set_result(1)
    await turns()
    assert desk.heard() == []


@on_manual_time
async def test_a_peer_that_does_not_answer_the_close_frame_is_cut_off() -> None:
    desk = Desk(House())
    desk.connection.close(CloseCode.DRAINING)
    await asyncio.sleep(CLOSE_DEADLINE + LATE)
    assert desk.transport.aborted


@on_manual_time
async def test_a_peer_that_answers_the_close_frame_is_not_cut_off() -> None:
    house = House()
    desk = Desk(house)
    desk.connection.close(CloseCode.DRAINING)
    desk.connection.on_closed()
    await asyncio.sleep(CLOSE_DEADLINE + LATE)
    assert not desk.transport.aborted
    assert house.wheel.idle.is_set()


@on_manual_time
async def test_a_connection_that_can_not_enter_its_home_is_asked_to_come_back() -> None:
    desk = Desk(House(), Endpoint.ROOM)
    await asyncio.sleep(1.1)
    (bye,) = desk.heard()
    assert (bye["code"], bye["reconnect"]) == (1013, True)
    assert 1 <= bye["retry_after"] <= 2


# ---- what is given back


@pytest.mark.parametrize("end", ["closed by the peer", "closed by the node, then by the peer", "closed by the node"])
@on_manual_time
async def test_an_end_of_any_kind_gives_everything_back_once(end: str) -> None:
    house = House()
    desk = await in_room(house)
    if "node" in end:
        desk.connection.close(CloseCode.DRAINING)
    if "peer" in end:
        desk.connection.on_closed()
    assert house.hub.statistics() == HubStatistics(sessions=0, users=0, channels=0)
    assert house.subscriptions.holders(ROOM.address) == 0
    assert house.outbox_limits.slow == 0


@on_manual_time
async def test_an_end_while_entering_gives_the_subscription_back() -> None:
    house = House()
    desk = Desk(house, Endpoint.ROOM)
    desk.connection.on_closed()
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert house.subscriptions.holders(ROOM.address) == 0
    assert house.hub.statistics() == HubStatistics(sessions=0, users=0, channels=0)
    assert desk.heard() == []


@on_manual_time
async def test_a_slow_peer_that_is_gone_is_not_counted_as_slow() -> None:
    house = House()
    desk = await in_room(house)
    desk.transport.stall()
    assert house.outbox_limits.slow == 1
    desk.connection.on_closed()
    assert house.outbox_limits.slow == 0


@on_manual_time
async def test_a_peer_that_bye_itself_has_made_slow_is_not_counted_as_slow_for_ever() -> None:
    house = House()
    desk = Desk(house, high_water=500)
    desk.hear_from_room(500 - len(desk.transport.stream) - len(b"\x81\x7e\x00\x00"))
    assert not desk.connection.outbox.is_slow
    desk.connection.close(CloseCode.DRAINING)
    desk.connection.on_closed()
    assert house.outbox_limits.slow == 0
