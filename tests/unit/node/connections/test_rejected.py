"""A connection that is only told why it can't be one."""

import asyncio

from tannoy.node.admission.handshake import TurnedAway
from tannoy.node.connections.rejected import Farewell
from tannoy.node.connections.timers import TimerWheel
from tannoy.node.transports.base import CLOSE_DEADLINE
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import BadName
from tannoy.shared.protocol.codec import MSGPACK

from tests.support.carrier import RecordingCarrier
from tests.support.clock import manual_clock, on_manual_time


def farewell() -> tuple[Farewell, RecordingCarrier, TimerWheel]:
    carrier, wheel = RecordingCarrier(), TimerWheel(manual_clock())
    turned_away = TurnedAway(BadName("no such name"), CloseCode.FORBIDDEN, MSGPACK, None)
    made = Farewell(carrier, turned_away, wheel)
    carrier.carried = made
    return made, carrier, wheel


@on_manual_time
async def test_it_says_error_and_bye_and_closes() -> None:
    made, carrier, _ = farewell()
    made.opened()
    assert carrier.objects == [
        {"type": "error", "code": "bad_name", "message": "no such name"},
        {"type": "bye", "code": 4503, "reason": "forbidden", "reconnect": False},
    ]
    assert carrier.closed_with == (4503, "forbidden")


@on_manual_time
async def test_whatever_the_peer_says_is_not_heard() -> None:
    made, carrier, _ = farewell()
    made.opened()
    carrier.take()
    made.received(b"\x81\xa4type\xa4ping", True)
    made.pinged(b"x")
    made.paused()
    made.resumed()
    assert carrier.take() == []


@on_manual_time
async def test_a_peer_that_does_not_answer_is_cut_off() -> None:
    made, carrier, _ = farewell()
    made.opened()
    await asyncio.sleep(CLOSE_DEADLINE + 1)
    assert carrier.aborted


@on_manual_time
async def test_a_peer_that_has_closed_is_not_waited_for() -> None:
    made, carrier, wheel = farewell()
    made.opened()
    made.closed()
    await asyncio.sleep(CLOSE_DEADLINE + 1)
    assert not carrier.aborted
    assert wheel.idle.is_set()


@on_manual_time
async def test_a_peer_that_breaks_the_protocol_is_cut_off_at_once() -> None:
    made, carrier, _ = farewell()
    made.opened()
    made.violated(1002, "reserved bits are set")
    assert carrier.aborted
