"""When clients are told that the node is without Redis, and who is told."""

import asyncio
from contextlib import suppress

import pytest
from tannoy.node.connections.bus_status import CHECK_PERIOD, DOWN_AFTER, BusStatus, StatusBroadcast
from tannoy.node.delivery import relay
from tannoy.shared.codes import CloseCode

from tests.support.client_driver import ClientDriver, connect_to_agent, connect_to_room
from tests.support.clock import on_manual_time
from tests.support.unit_node import UnitNode

DOWN, UP = {"type": "status", "bus": "down"}, {"type": "status", "bus": "up"}


@pytest.mark.parametrize(
    ("looks", "changes"),
    [
        ([(0, True), (9, True)], [False, False]),
        ([(0, False), (DOWN_AFTER, False), (DOWN_AFTER + 0.1, False), (9, False)], [False, False, True, False]),
        ([(0, False), (1.9, True), (2, False), (4, False), (4.1, False)], [False, False, False, False, True]),
        ([(0, False), (2.1, False), (2.2, True), (2.3, True)], [False, True, True, False]),
    ],
)
def test_the_state_changes_after_two_seconds_without_the_bus_and_at_once_with_it(
    looks: list[tuple[float, bool]], changes: list[bool]
) -> None:
    status = BusStatus()
    assert [status.update(now, is_usable=is_usable) for now, is_usable in looks] == changes


class Bus:
    is_usable = True


async def pass_time(node: UnitNode, bus: Bus, seconds: float) -> None:
    """Let the broadcast run for so long."""
    broadcast = StatusBroadcast(
        node.bus_status,
        node.hub,
        is_usable=lambda: bus.is_usable,
        fence_if_expired=node.leases.fence_if_expired,
        clock=node.clock,
    )
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await broadcast.run()


@on_manual_time
async def test_every_session_is_told_once() -> None:
    node, bus = UnitNode(), Bus()
    clients = [ClientDriver(node), await connect_to_room(node), await connect_to_agent(node)]
    for client in clients:
        client.received()
    bus.is_usable = False
    await pass_time(node, bus, DOWN_AFTER)
    assert [client.received() for client in clients] == [[]] * 3
    await pass_time(node, bus, DOWN_AFTER)
    assert [client.received() for client in clients] == [[DOWN]] * 3
    bus.is_usable = True
    await pass_time(node, bus, 2 * CHECK_PERIOD)
    assert [client.received() for client in clients] == [[UP]] * 3


@on_manual_time
async def test_a_session_that_opens_while_the_bus_is_down_is_told_behind_its_welcome() -> None:
    node = UnitNode()
    node.bus_status.state = "down"
    assert [frame["type"] for frame in ClientDriver(node).received()] == ["welcome", "status"]


@on_manual_time
async def test_a_session_that_is_not_open_is_not_told() -> None:
    node, bus = UnitNode(), Bus()
    opening, closing = ClientDriver(node, session_id="s2"), ClientDriver(node)
    opening.connection.on_closed()
    closing.connection.close(CloseCode.DRAINING)
    closing.received()
    bus.is_usable = False
    await pass_time(node, bus, 2 * DOWN_AFTER)
    assert closing.received() == []


@on_manual_time
async def test_more_sessions_than_a_slice_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tannoy.node.connections.bus_status.SLICE", 2)
    assert relay.SLICE > 2
    node, bus = UnitNode(), Bus()
    clients = [ClientDriver(node, session_id=f"s{number}") for number in range(5)]
    bus.is_usable = False
    await pass_time(node, bus, 2 * DOWN_AFTER)
    assert [client.received()[-1] for client in clients] == [DOWN] * 5
