"""How much of a session's commands waits, and how much nonsense is borne."""

import pytest
from tannoy.node.connections.command_loop import IN_FLIGHT_MAX
from tannoy.node.connections.inbound import BAD_FRAMES_MAX, BAD_FRAMES_WINDOW, WAITING_MAX

from tests.support.clock import on_manual_time, turns
from tests.support.desk import Desk, House
from tests.unit.node.connections.test_connection import in_room

# ---- commands that wait


@on_manual_time
async def test_commands_behind_a_join_wait_for_it_and_follow_in_order() -> None:
    house = House()
    desk = Desk(house)
    desk.heard()
    desk.say(type="join", room="lobby", id=1)
    desk.say(type="message", room="lobby", content="in")
    desk.say(type="leave", room="lobby", id=2)
    desk.say(type="message", room="lobby", content="out", id=3)
    assert desk.heard() == []
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert [(frame["type"], frame["id"]) for frame in desk.heard()] == [("ok", 1), ("ok", 2), ("error", 3)]
    assert [frame["content"] for frame in desk.published] == ["in"]


@on_manual_time
async def test_too_many_commands_that_wait_stop_the_reading_until_they_are_done() -> None:
    house = House()
    desk = Desk(house)
    desk.heard()
    desk.say(type="join", room="lobby")
    for number in range(WAITING_MAX - 1):
        desk.say(type="ping", id=number)
    assert desk.transport.reading
    desk.say(type="ping", id="last")
    assert not desk.transport.reading
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert desk.transport.reading
    assert [frame["id"] for frame in desk.heard()] == [*range(WAITING_MAX - 1), "last"]


@on_manual_time
async def test_no_more_publishes_are_under_way_than_the_bound_and_the_rest_follows_in_order() -> None:
    house = House()
    desk = await in_room(house)
    for number in range(IN_FLIGHT_MAX + 10):
        desk.say(type="message", content=number)
    assert len(house.publisher.sent) == IN_FLIGHT_MAX
    for confirmed in range(10):
        house.publisher.confirmations[confirmed].set_result(1)
    await turns()
    assert [frame["content"] for frame in desk.published] == list(range(IN_FLIGHT_MAX + 10))


@on_manual_time
async def test_what_waits_when_the_connection_ends_is_not_carried_out() -> None:
    house = House()
    desk = Desk(house)
    desk.say(type="join", room="lobby")
    desk.say(type="private", to="bob", content=1)
    desk.connection.on_closed()
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert house.publisher.sent == []


# ---- bad frames

BAD_FRAMES = [
    b"",
    b"{",
    b"[]",
    b'{"type":"dance"}',
    b'{"type":"message"}',
    b'{"type":"join","room":"a b"}',
    b'{"type":"join"}',
]


@pytest.mark.parametrize("payload", BAD_FRAMES, ids=repr)
@on_manual_time
async def test_the_tenth_bad_frame_ends_the_session(payload: bytes) -> None:
    desk = Desk(House())
    desk.heard()
    for _ in range(BAD_FRAMES_MAX - 1):
        desk.say_raw(payload)
    assert [frame["type"] for frame in desk.heard()] == ["error"] * 9
    assert desk.transport.closed_with is None
    desk.say_raw(payload)
    assert [frame["type"] for frame in desk.heard()] == ["error", "bye"]
    assert desk.transport.closed_with == (4505, "too many bad frames")


@on_manual_time
async def test_bad_frames_are_forgiven_after_a_minute() -> None:
    house = House()
    desk = Desk(house)
    for _ in range(5):
        for _ in range(BAD_FRAMES_MAX - 1):
            desk.say_raw(b"{")
        house.clock.advance(BAD_FRAMES_WINDOW)
    assert desk.transport.closed_with is None


@on_manual_time
async def test_what_is_well_formed_but_refused_is_no_bad_frame() -> None:
    desk = Desk(House())
    for _ in range(3 * BAD_FRAMES_MAX):
        desk.say(type="leave", room="lobby")
        desk.say(type="history", room="lobby")
    assert desk.transport.closed_with is None


@on_manual_time
async def test_a_frame_of_the_other_type_is_a_bad_frame() -> None:
    desk = Desk(House())
    desk.heard()
    desk.say_raw(b'{"type":"ping"}', binary=True)
    assert [frame["code"] for frame in desk.heard()] == ["bad_request"]
