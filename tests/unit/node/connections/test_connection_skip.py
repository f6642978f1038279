"""A session that was too slow to read, where that does not end it: it is told from where on it hears again."""

import pytest
from tannoy.shared.names import RoomName
from tannoy.shared.policy import SlowPolicy

from tests.support.clock import on_manual_time, turns
from tests.support.desk import HEAD, KEYSPACE, ROOM, Desk, House
from tests.support.scripted_history import EPOCH, message_frame
from tests.unit.node.connections.test_connection import in_room

KITCHEN = KEYSPACE.room(RoomName("kitchen"))


def lenient(*, history_size: int = 100, slice_size: int = 4096) -> House:
    return House(outbox_max_bytes=5000, policy=SlowPolicy.SKIP, history_size=history_size, slice_size=slice_size)


def overflow(desk: Desk) -> None:
    """The peer reads no more, and more is said than fits."""
    desk.transport.stall()
    for _ in range(10):
        desk.hear_from_room(1000)


@on_manual_time
async def test_the_position_is_up_to_where_the_node_has_passed_the_room_on() -> None:
    house = lenient()
    desk = await in_room(house)
    overflow(desk)
    house.bring(ROOM, 41, 42)
    desk.transport.drain()
    (resync,) = desk.heard()
    assert (resync["type"], resync["room"], resync["epoch"], resync["offset"]) == ("resync", "lobby", EPOCH, 42)
    house.bring(ROOM, 43)
    assert desk.heard() == [message_frame(43)]


@on_manual_time
async def test_each_room_has_a_position_of_its_own() -> None:
    house = lenient()
    desk = Desk(house)
    for room in ("lobby", "kitchen"):
        desk.say(type="join", room=room)
        await turns(1)
        house.link.acknowledge()
        await turns()
    desk.heard()
    overflow(desk)
    house.bring(KITCHEN, 41, 42, 43)
    desk.transport.drain()
    told = {resync["room"]: resync["offset"] for resync in desk.heard()}
    assert told == {"lobby": HEAD.offset, "kitchen": 43}


@on_manual_time
async def test_without_history_there_is_no_position() -> None:
    house = lenient(history_size=0)
    desk = await in_room(house)
    overflow(desk)
    desk.transport.drain()
    (resync,) = desk.heard()
    assert (resync["room"], resync["epoch"], resync["offset"]) == ("lobby", None, None)


@pytest.mark.parametrize("said_meanwhile", [0, 3])
@on_manual_time
async def test_what_is_still_on_its_way_up_to_there_does_not_come_any_more(said_meanwhile: int) -> None:
    house = lenient(slice_size=1)
    desks = [await in_room(house)]
    for number in range(4):
        desks.append(Desk(house, desks[0].connection.session.endpoint, session_id=f"other{number}"))
        await turns()
    for desk in desks:
        desk.heard()
    house.bring(ROOM, 41)
    house.bring(ROOM, *range(42, 42 + said_meanwhile))
    slow = next(desk for desk in desks if not desk.transport.stream)  # its slice is still to come
    overflow(slow)
    slow.transport.drain()
    (resync,) = slow.heard()
    await turns(60)
    house.bring(ROOM, 42 + said_meanwhile)
    await turns(20)
    assert resync["offset"] == 41 + said_meanwhile
    assert slow.heard() == [message_frame(42 + said_meanwhile)]
    others = [desk.heard() for desk in desks if desk is not slow]
    assert others == [[message_frame(offset) for offset in range(41, 43 + said_meanwhile)]] * 4
