"""Pings, and what becomes of a client that does not answer them."""

import asyncio
from dataclasses import dataclass

from tannoy.node.connections.keepalive import PONG_DEADLINE, Keepalive
from tannoy.node.connections.timers import TICK
from tannoy.node.delivery.outbox import Outbox
from tannoy.node.protocols.encoding import Encoding
from tannoy.node.rfc6455 import Opcode
from tannoy.shared.codes import CloseCode

from tests.support.client_driver import ClientDriver, connect_to_room
from tests.support.clock import on_manual_time
from tests.support.recording_transport import split_frames
from tests.support.unit_node import PING_INTERVAL, UnitNode

LATE = 2 * TICK
"""Seconds by which the timer wheel may be late."""


@on_manual_time
async def test_ping_is_sent_each_interval_while_the_client_answers() -> None:
    client = ClientDriver(UnitNode())
    client.received()
    for _ in range(3):
        await asyncio.sleep(PING_INTERVAL + LATE)
        assert client.received() == [{"type": "ping"}]
        client.send(type="pong")


@on_manual_time
async def test_connection_without_a_pong_before_the_deadline_is_closed() -> None:
    client = ClientDriver(UnitNode())
    await asyncio.sleep(PING_INTERVAL + LATE)
    client.received()
    await asyncio.sleep(PONG_DEADLINE + LATE)
    assert client.received() == [{"type": "bye", "code": 4003, "reason": "no pong", "reconnect": True}]
    assert client.transport.closed_with == (4003, "no pong")


@on_manual_time
async def test_connection_with_a_pong_within_the_deadline_stays_open() -> None:
    client = ClientDriver(UnitNode())
    await asyncio.sleep(PING_INTERVAL + LATE)
    await asyncio.sleep(PONG_DEADLINE - LATE)
    client.send(type="pong")
    await asyncio.sleep(PONG_DEADLINE)
    assert client.transport.closed_with is None


@on_manual_time
async def test_a_client_that_reads_what_was_sent_before_the_ping_stays_open() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    client.transport.stall(buffered=9_000)
    await asyncio.sleep(PING_INTERVAL + LATE)
    for buffered in (8_000, 6_000, 4_000):
        client.transport.stall(buffered=buffered)
        await asyncio.sleep(PONG_DEADLINE)
    assert client.transport.closed_with is None
    client.transport.drain()
    client.send(type="pong")
    await asyncio.sleep(PONG_DEADLINE + LATE)
    assert client.transport.closed_with is None


@on_manual_time
async def test_a_client_that_stops_reading_is_closed() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    client.transport.stall(buffered=9_000)
    await asyncio.sleep(PING_INTERVAL + LATE)
    client.transport.stall(buffered=8_000)
    await asyncio.sleep(PONG_DEADLINE + LATE)
    assert client.transport.closed_with is None
    await asyncio.sleep(PONG_DEADLINE + LATE)
    assert client.transport.closed_with == (4003, "no pong")


@on_manual_time
async def test_unsolicited_pong_does_not_change_when_the_next_ping_is_sent() -> None:
    client = ClientDriver(UnitNode())
    client.received()
    for _ in range(10):
        await asyncio.sleep(PING_INTERVAL / 10)
        client.send(type="pong")
    await asyncio.sleep(LATE)
    assert client.received() == [{"type": "ping"}]


@on_manual_time
async def test_ping_frame_is_answered_with_a_pong_frame_of_the_same_payload() -> None:
    client = ClientDriver(UnitNode())
    client.received()
    client.connection.on_ping(b"are you there")
    assert list(split_frames(client.transport.stream)) == [(Opcode.PONG, b"are you there")]


@on_manual_time
async def test_no_ping_is_sent_before_the_connection_is_open() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    client.transport.stall()
    opening = OpeningConnection(client.connection.outbox, client.connection.encoding)
    keepalive = Keepalive(opening, node.wheel, 1.0)
    keepalive.start()
    await asyncio.sleep(1.0 + LATE)
    opening.is_opening = False
    client.transport.drain()
    assert client.received() == []
    await asyncio.sleep(PONG_DEADLINE + LATE)
    assert client.received() == [{"type": "ping"}]
    keepalive.stop()


@dataclass
class OpeningConnection:
    """A KeepaliveOwner, for the client of another connection."""

    outbox: Outbox
    encoding: Encoding
    is_opening: bool = True
    has_ended: bool = False
    waits_for_node: bool = False

    def fence_if_expired(self) -> bool:
        return False

    def close(self, code: CloseCode) -> None: ...
    def abort(self) -> None: ...
