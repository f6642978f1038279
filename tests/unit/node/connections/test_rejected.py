"""A connection that is accepted only to be sent `error` and `bye`."""

import asyncio

from tannoy.node.admission.handshake import AcceptedThenClosed
from tannoy.node.admission.other_connections import WAIT_MIN, OtherConnections
from tannoy.node.connections.rejected import RejectedConnection
from tannoy.node.connections.timers import TimerWheel
from tannoy.node.transports.base import CLOSE_DEADLINE
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import BadName
from tannoy.shared.protocol.codec import MSGPACK

from tests.support.clock import manual_clock, on_manual_time
from tests.support.recording_transport import RecordingTransport


def rejected_connection(
    others: OtherConnections | None = None, address: str | None = None
) -> tuple[RejectedConnection, RecordingTransport, TimerWheel]:
    transport, wheel = RecordingTransport(), TimerWheel(manual_clock())
    decision = AcceptedThenClosed(BadName("no such name"), CloseCode.FORBIDDEN, MSGPACK, None, address)
    made = RejectedConnection(transport, decision, wheel, others or OtherConnections(manual_clock()))
    transport.listener = made
    return made, transport, wheel


@on_manual_time
async def test_rejected_connection_sends_error_and_bye_and_closes() -> None:
    made, transport, _ = rejected_connection()
    made.on_opened()
    assert transport.objects == [
        {"type": "error", "code": "bad_name", "message": "no such name"},
        {"type": "bye", "code": 4503, "reason": "forbidden", "reconnect": False},
    ]
    assert transport.closed_with == (4503, "forbidden")


@on_manual_time
async def test_input_of_a_rejected_connection_is_ignored() -> None:
    made, transport, _ = rejected_connection()
    made.on_opened()
    transport.take()
    made.on_message(b"\x81\xa4type\xa4ping", True)
    made.on_ping(b"x")
    made.on_writing_paused()
    made.on_writing_resumed()
    assert transport.take() == []


@on_manual_time
async def test_client_that_does_not_answer_the_close_frame_is_aborted() -> None:
    made, transport, _ = rejected_connection()
    made.on_opened()
    await asyncio.sleep(CLOSE_DEADLINE + 1)
    assert transport.aborted


@on_manual_time
async def test_client_that_has_closed_is_not_aborted() -> None:
    made, transport, wheel = rejected_connection()
    made.on_opened()
    made.on_closed()
    await asyncio.sleep(CLOSE_DEADLINE + 1)
    assert not transport.aborted
    assert wheel.idle.is_set()


@on_manual_time
async def test_client_that_violates_the_protocol_is_aborted_at_once() -> None:
    made, transport, _ = rejected_connection()
    made.on_opened()
    made.on_violation(1002, "reserved bits are set")
    assert transport.aborted


@on_manual_time
async def test_rejected_connection_is_counted_until_it_has_ended() -> None:
    others = OtherConnections(manual_clock())
    made, _, _ = rejected_connection(others)
    made.on_opened()
    assert others.statistics().open == 1
    made.on_closed()
    assert others.statistics().open == 0


@on_manual_time
async def test_rejected_connection_without_a_place_is_aborted_behind_its_bye() -> None:
    made, transport, wheel = rejected_connection(OtherConnections(manual_clock(), maximum=0))
    made.on_opened()
    assert [each["type"] for each in transport.objects] == ["error", "bye"]
    assert transport.aborted
    assert wheel.idle.is_set()


@on_manual_time
async def test_rejected_connection_makes_place_for_another_one() -> None:
    others = OtherConnections(manual_clock(), maximum=1)
    made, transport, _ = rejected_connection(others)
    made.on_opened()
    manual_clock().advance(WAIT_MIN)
    rejected_connection(others)[0].on_opened()
    assert transport.aborted
    assert others.statistics().closed == 1


@on_manual_time
async def test_rejected_connections_of_one_address_leave_places_for_those_of_others() -> None:
    others = OtherConnections(manual_clock(), address_maximum=2)
    greedy = [rejected_connection(others, address="203.0.113.1") for _ in range(3)]
    for made, _, _ in greedy:
        made.on_opened()
    other, transport, _ = rejected_connection(others, address="203.0.113.2")
    other.on_opened()
    assert [of_greedy.aborted for _, of_greedy, _ in greedy] == [False, False, True]
    assert not transport.aborted
    assert (others.statistics().open, others.statistics().addresses) == (3, 2)
