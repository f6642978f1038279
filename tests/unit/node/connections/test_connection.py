"""A connection from its handshake to `welcome`."""

from tannoy.fanout.scripts import PRESENCE_JOIN
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.protocol.codec import WireFormat

from tests.support.client_driver import ClientDriver, both_wire_formats, connect_to_room
from tests.support.clock import on_manual_time, turns
from tests.support.unit_node import PRESENCE_FIELDS, ROOM, UnitNode


@on_manual_time
async def test_connection_without_a_home_is_welcomed_at_once() -> None:
    assert [frame["type"] for frame in ClientDriver(UnitNode()).received()] == ["welcome"]


@on_manual_time
async def test_connection_to_a_room_is_welcomed_after_redis_has_acknowledged_the_subscription() -> None:
    node = UnitNode()
    client = ClientDriver(node, Endpoint.ROOM)
    await turns()
    assert client.received() == []
    await node.acknowledge()
    (welcome,) = client.received()
    assert (welcome["type"], welcome["room"]) == ("welcome", "lobby")
    assert ROOM.address in node.hub.rosters


@on_manual_time
async def test_connection_to_a_room_is_welcomed_after_its_presence_is_confirmed() -> None:
    node = UnitNode()
    node.redis.hold(PRESENCE_JOIN)
    client = ClientDriver(node, Endpoint.ROOM)
    await node.acknowledge()
    assert client.received() == []
    node.redis.answer_held(PRESENCE_JOIN)
    await turns()
    (welcome,) = client.received()
    assert welcome == {**welcome, "type": "welcome", "room": "lobby", **PRESENCE_FIELDS}


@on_manual_time
async def test_second_connection_to_a_room_is_welcomed_without_another_acknowledgement() -> None:
    node = UnitNode()
    await connect_to_room(node)
    second = ClientDriver(node, Endpoint.ROOM, session_id="s2")
    await turns()
    assert [frame["type"] for frame in second.received()] == ["welcome"]


@both_wire_formats
@on_manual_time
async def test_frames_are_sent_in_the_wire_format_of_the_connection(wire: WireFormat) -> None:
    client = ClientDriver(UnitNode(), wire=wire)
    assert client.opcodes == [2 if wire.binary else 1]
