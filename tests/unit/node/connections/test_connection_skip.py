"""A slow session with the skip policy: it is sent `resync` with the position behind which it is delivered to."""

import pytest
from tannoy.shared.names import RoomName
from tannoy.shared.policy import SlowPolicy

from tests.support.client_driver import ClientDriver, connect_to_room
from tests.support.clock import on_manual_time, turns
from tests.support.scripted_history import EPOCH, message_frame
from tests.support.unit_node import HEAD, KEYSPACE, ROOM, UnitNode

KITCHEN = KEYSPACE.room(RoomName("kitchen"))


def skipping_node(*, history_size: int = 100, slice_size: int = 4096) -> UnitNode:
    return UnitNode(outbox_max_bytes=5000, policy=SlowPolicy.SKIP, history_size=history_size, slice_size=slice_size)


def overflow(client: ClientDriver) -> None:
    """Let the client stop reading, and write more than its outbox holds."""
    client.transport.stall()
    for _ in range(10):
        client.write_broadcast(1000)


@on_manual_time
async def test_resync_has_the_position_of_the_last_delivery_to_the_room() -> None:
    node = skipping_node()
    client = await connect_to_room(node)
    overflow(client)
    node.deliver_batch(ROOM, 41, 42)
    client.transport.drain()
    (resync,) = client.received()
    assert (resync["type"], resync["room"], resync["epoch"], resync["offset"]) == ("resync", "lobby", EPOCH, 42)
    node.deliver_batch(ROOM, 43)
    assert client.received() == [message_frame(43)]


@on_manual_time
async def test_resync_of_each_room_has_its_own_position() -> None:
    node = skipping_node()
    client = ClientDriver(node)
    for room in ("lobby", "kitchen"):
        client.send(type="join", room=room)
        await node.acknowledge()
    client.received()
    overflow(client)
    node.deliver_batch(KITCHEN, 41, 42, 43)
    client.transport.drain()
    positions = {resync["room"]: resync["offset"] for resync in client.received()}
    assert positions == {"lobby": HEAD.offset, "kitchen": 43}


@on_manual_time
async def test_resync_has_no_position_if_no_history_is_kept() -> None:
    node = skipping_node(history_size=0)
    client = await connect_to_room(node)
    overflow(client)
    client.transport.drain()
    (resync,) = client.received()
    assert (resync["room"], resync["epoch"], resync["offset"]) == ("lobby", None, None)


@pytest.mark.parametrize("later_messages", [0, 3])
@on_manual_time
async def test_messages_of_later_slices_are_not_delivered_if_resync_has_passed_them(later_messages: int) -> None:
    node = skipping_node(slice_size=1)
    clients = [await connect_to_room(node)]
    for number in range(4):
        clients.append(ClientDriver(node, clients[0].connection.session.endpoint, session_id=f"other{number}"))
        await turns()
    for client in clients:
        client.received()
    node.deliver_batch(ROOM, 41)
    node.deliver_batch(ROOM, *range(42, 42 + later_messages))
    slow = next(client for client in clients if not client.transport.stream)  # its slice has not been written yet
    overflow(slow)
    slow.transport.drain()
    (resync,) = slow.received()
    await turns(60)
    node.deliver_batch(ROOM, 42 + later_messages)
    await turns(20)
    assert resync["offset"] == 41 + later_messages
    assert slow.received() == [message_frame(42 + later_messages)]
    others = [client.received() for client in clients if client is not slow]
    assert others == [[message_frame(offset) for offset in range(41, 43 + later_messages)]] * 4
