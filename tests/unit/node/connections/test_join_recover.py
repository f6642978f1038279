"""Brought up to date on the way into a channel: all that was missed, once, or nothing of it."""

import pytest
from tannoy.fanout.scripts import HISTORY_READ
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.protocol.codec import WireFormat
from tannoy.shared.protocol.commands import OFFSET_MAX
from tannoy.shared.publication import Position

from tests.support.clock import on_manual_time, turns
from tests.support.desk import HEAD, ROOM, Desk, House
from tests.support.scripted_history import EPOCH, message_frame
from tests.unit.node.connections.test_connection import both_formats, in_room
from tests.unit.node.connections.test_join_history import PLACE, arrived, place_of


def kept(house: House, *offsets: int) -> None:
    house.past.log_of(ROOM).append(*offsets)


@both_formats
@on_manual_time
async def test_what_was_missed_comes_behind_the_answer_and_then_what_is_said(wire: WireFormat) -> None:
    house = House()
    kept(house, *range(35, 43))
    desk = Desk(house, Endpoint.ROOM, wire=wire, recover=Position(EPOCH, 39))
    welcome, *missed = await arrived(desk)
    assert place_of(welcome) == {"epoch": EPOCH, "offset": 42, "recovered": True}
    house.bring(ROOM, 43)
    assert [*missed, *desk.heard()] == [message_frame(40), message_frame(41), message_frame(42), message_frame(43)]


@both_formats
@on_manual_time
async def test_a_join_recovers_as_a_connect_does(wire: WireFormat) -> None:
    house = House()
    kept(house, 39, 40)
    desk = Desk(house, wire=wire)
    desk.heard()
    desk.say(type="join", room="lobby", id=1, recover={"epoch": EPOCH, "offset": 38})
    ok, *missed = await arrived(desk)
    assert (ok["id"], place_of(ok)) == (1, {"epoch": EPOCH, "offset": 40, "recovered": True})
    assert missed == [message_frame(39), message_frame(40)]


@on_manual_time
async def test_a_join_that_wants_no_answer_gets_what_it_has_missed() -> None:
    house = House()
    kept(house, 39, 40)
    desk = Desk(house)
    desk.heard()
    desk.say(type="join", room="lobby", recover={"epoch": EPOCH, "offset": 38})
    assert await arrived(desk) == [message_frame(39), message_frame(40)]


@on_manual_time
async def test_whoever_has_missed_nothing_has_recovered() -> None:
    (welcome,) = await arrived(Desk(House(), Endpoint.ROOM, recover=HEAD))
    assert place_of(welcome) == PLACE | {"recovered": True}


REFUSED: dict[str, Position] = {
    "of another epoch": Position("life-0", 40),
    "beyond the head": Position(EPOCH, 43),
    "trimmed": Position(EPOCH, 33),
    "trimmed from the first one on": Position(EPOCH, 0),
    "beyond all offsets": Position(EPOCH, OFFSET_MAX + 1),
    "that no epoch can be": Position("", 40),
}


@pytest.mark.parametrize("recover", REFUSED.values(), ids=REFUSED)
@on_manual_time
async def test_of_a_position_that_can_not_be_recovered_nothing_is(recover: Position) -> None:
    house = House()
    kept(house, *range(35, 43))
    desk = Desk(house, Endpoint.ROOM, recover=recover)
    heard = await arrived(desk)
    assert [place_of(frame) for frame in heard] == [{"epoch": EPOCH, "offset": 42, "recovered": False}]
    house.bring(ROOM, 43)
    assert desk.heard() == [message_frame(43)]


@pytest.mark.parametrize(("max_bytes", "recovered"), [(18 * 8, True), (18 * 8 - 1, False)])
@on_manual_time
async def test_more_than_fits_into_an_outbox_is_not_recovered(max_bytes: int, recovered: bool) -> None:
    assert len(b'{"type":"message"}') == 18
    house = House(outbox_max_bytes=max_bytes)
    kept(house, *range(35, 43))
    heard = await arrived(Desk(house, Endpoint.ROOM, recover=Position(EPOCH, 34)))
    assert (heard[0]["recovered"], len(heard) - 1) == (recovered, 8 if recovered else 0)


@pytest.mark.parametrize("left", [[], [39, 40], [39, 41, 42], [42]], ids=str)
@on_manual_time
async def test_of_a_log_that_lacks_something_nothing_is_recovered(left: list[int]) -> None:
    house = House()
    house.past.log_of(ROOM).head = Position(EPOCH, 42)
    house.past.log_of(ROOM).kept = left
    heard = await arrived(Desk(house, Endpoint.ROOM, recover=Position(EPOCH, 38)))
    assert [place_of(frame) for frame in heard] == [{"epoch": EPOCH, "offset": 42, "recovered": False}]


@on_manual_time
async def test_while_what_was_missed_is_read_all_that_is_said_is_heard_once() -> None:
    house = House()
    await in_room(house)
    kept(house, 39, 40, 41, 42)
    house.past.hold(HISTORY_READ)
    desk = Desk(house, Endpoint.ROOM, session_id="s2", recover=Position(EPOCH, 38))
    await turns()
    house.bring(ROOM, 41, 42)
    house.bring(ROOM, 43)
    house.past.answer_held(HISTORY_READ)
    await turns()
    welcome, *heard = desk.heard()
    assert place_of(welcome) == {"epoch": EPOCH, "offset": 42, "recovered": True}
    assert heard == [message_frame(offset) for offset in range(39, 44)]


@on_manual_time
async def test_what_the_log_knew_before_the_link_is_heard_once_by_everybody() -> None:
    house = House()
    old = await in_room(house)
    kept(house, 39, 40, 41, 42)
    desk = Desk(house, Endpoint.ROOM, session_id="s2", recover=Position(EPOCH, 38))
    welcome, *missed = await arrived(desk)
    house.bring(ROOM, 41)
    house.bring(ROOM, 42, 43)
    assert place_of(welcome)["offset"] == 42
    assert [*missed, *desk.heard()] == [
        message_frame(39),
        message_frame(40),
        message_frame(41),
        message_frame(42),
        message_frame(43),
    ]
    assert old.heard() == [message_frame(41), message_frame(42), message_frame(43)]


@on_manual_time
async def test_whoever_recovers_first_sets_the_place_of_the_node() -> None:
    house = House()
    kept(house, 39, 40)
    await arrived(Desk(house, Endpoint.ROOM, recover=Position(EPOCH, 38)))
    assert house.tracker.position(ROOM) == HEAD


@on_manual_time
async def test_whoever_recovers_in_the_moment_in_which_its_epoch_ends_is_led_into_the_next() -> None:
    house = House()
    await in_room(house)
    house.past.reply_with(HISTORY_READ, [b"%b %d" % (EPOCH.encode(), HEAD.offset), []])
    house.past.hold(HISTORY_READ)
    desk = Desk(house, Endpoint.ROOM, session_id="s2", recover=HEAD)
    await turns()
    house.bring(ROOM, 1, epoch="life-2")  # faster than the answer, which is of the old epoch
    house.past.answer_held(HISTORY_READ)
    await turns()
    welcome, resync, first = desk.heard()
    house.bring(ROOM, 2, 3, epoch="life-2")
    assert place_of(welcome) == PLACE | {"recovered": True}
    assert (resync["type"], place_of(resync)) == ("resync", {"epoch": "life-2", "offset": 0})
    assert [first, *desk.heard()] == [message_frame(1), message_frame(2), message_frame(3)]
