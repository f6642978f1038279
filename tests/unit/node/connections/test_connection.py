"""One connection, whatever carries it: opened, and in the room that its endpoint names."""

import pytest
from tannoy.fanout.scripts import PRESENCE_JOIN
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.protocol.codec import JSON, MSGPACK, WireFormat

from tests.support.clock import on_manual_time, turns
from tests.support.desk import ROLL, ROOM, Desk, House

both_formats = pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)


async def in_room(house: House, *, high_water: int | None = None) -> Desk:
    """A desk in the lobby, with its welcome read."""
    desk = Desk(house, Endpoint.ROOM, high_water=high_water)
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert [frame["type"] for frame in desk.heard()] == ["welcome"]
    return desk


# ---- opening


@on_manual_time
async def test_a_plain_socket_is_welcomed_at_once() -> None:
    assert [frame["type"] for frame in Desk(House()).heard()] == ["welcome"]


@on_manual_time
async def test_a_socket_with_a_home_is_welcomed_once_redis_has_acknowledged() -> None:
    house = House()
    desk = Desk(house, Endpoint.ROOM)
    await turns()
    assert desk.heard() == []
    await turns(1)
    house.link.acknowledge()
    await turns()
    (welcome,) = desk.heard()
    assert (welcome["type"], welcome["room"]) == ("welcome", "lobby")
    assert ROOM.address in house.hub.rosters


@on_manual_time
async def test_a_socket_with_a_home_is_welcomed_once_it_is_known_who_else_is_there() -> None:
    house = House()
    house.redis.hold(PRESENCE_JOIN)
    desk = Desk(house, Endpoint.ROOM)
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert desk.heard() == []
    house.redis.answer_held(PRESENCE_JOIN)
    await turns()
    (welcome,) = desk.heard()
    assert welcome == {**welcome, "type": "welcome", "room": "lobby", **ROLL}


@on_manual_time
async def test_the_second_one_in_a_room_is_welcomed_at_once() -> None:
    house = House()
    await in_room(house)
    second = Desk(house, Endpoint.ROOM, session_id="s2")
    await turns()
    assert [frame["type"] for frame in second.heard()] == ["welcome"]


@both_formats
@on_manual_time
async def test_answers_come_in_the_wire_format_of_the_connection(wire: WireFormat) -> None:
    desk = Desk(House(), wire=wire)
    assert desk.opcodes == [2 if wire.binary else 1]
