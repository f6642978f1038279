"""One connection, whatever carries it: commands in, answers out."""

import asyncio

import pytest
from tannoy.node.connection import UNDER_WAY_MAX
from tannoy.node.patience import BAD_FRAMES_MAX, BAD_FRAMES_WINDOW, WAITING_MAX
from tannoy.node.session import Endpoint
from tannoy.shared.clock import rfc3339
from tannoy.shared.codec import JSON, MSGPACK, WireFormat, pack_order, unpack_publication
from tannoy.shared.errors import Unavailable
from tannoy.shared.messages import Delivered

from tests.support.clock import on_manual_time, turns
from tests.support.desk import ROOM, Desk, House

both_formats = pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)


async def in_room(house: House, *, high_water: int | None = None) -> Desk:
    """A desk in the lobby, with its welcome read."""
    desk = Desk(house, Endpoint.ROOM, high_water=high_water)
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
    house.link.acknowledge()
    await turns()
    assert desk.heard()[0]["room"] == "lobby"
    assert ROOM.address in house.hub.rosters


@on_manual_time
async def test_the_second_one_in_a_room_is_welcomed_at_once() -> None:
    house = House()
    await in_room(house)
    assert [frame["type"] for frame in Desk(house, Endpoint.ROOM, session_id="s2").heard()] == ["welcome"]


@both_formats
@on_manual_time
async def test_answers_come_in_the_wire_format_of_the_connection(wire: WireFormat) -> None:
    desk = Desk(House(), wire=wire)
    assert desk.opcodes == [2 if wire.binary else 1]


# ---- commands


@on_manual_time
async def test_a_message_goes_to_the_bus_and_is_answered_when_it_is_confirmed() -> None:
    house = House()
    desk = await in_room(house)
    desk.say(type="message", content={"a": 1}, id=7, key="k")
    assert desk.heard() == []
    ((address, payload, key),) = house.publisher.sent
    assert (address, key, unpack_publication(payload).exclude) == (ROOM.address, "k", "")
    assert desk.published == [
        {
            "type": "message",
            "room": "lobby",
            "user_id": "ada",
            "username": "Ada",
            "session_id": "s1",
            "content": {"a": 1},
            "timestamp": rfc3339(house.clock.now()),
        }
    ]
    house.publisher.confirmations[0].set_result(1)
    await turns()
    assert desk.heard() == [{"type": "ok", "id": 7}]


@on_manual_time
async def test_a_message_that_the_bus_does_not_confirm_is_never_ok() -> None:
    house = House()
    desk = await in_room(house)
    desk.say(type="message", content=1, id=7)
    house.publisher.confirmations[0].set_exception(Unavailable("in time"))
    await turns()
    (answer,) = desk.heard()
    assert (answer["type"], answer["id"], answer["code"], answer["retry_after"]) == ("error", 7, "unavailable", 1.0)


@on_manual_time
async def test_without_an_id_only_errors_are_told() -> None:
    house = House()
    desk = await in_room(house)
    desk.say(type="message", content=1)
    desk.say(type="message", content=2)
    house.publisher.confirmations[0].set_result(1)
    house.publisher.confirmations[1].set_exception(Unavailable("in time"))
    await turns()
    (failure,) = desk.heard()
    assert (failure["type"], failure["code"], "id" in failure) == ("error", "unavailable", False)


@on_manual_time
async def test_typing_is_for_all_but_its_author() -> None:
    house = House()
    desk = await in_room(house)
    desk.say(type="typing")
    assert unpack_publication(house.publisher.sent[0][1]).exclude == "s1"


@on_manual_time
async def test_a_private_message_is_answered_with_the_sessions_reached() -> None:
    house = House()
    desk = Desk(house)
    desk.heard()
    desk.say(type="private", to="bob", content=1, id="p")
    house.publisher.confirmations[0].set_result(1)
    await turns()
    house.services.control.received(pack_order(Delivered(1, 3), b""))
    await turns()
    assert desk.heard() == [{"type": "ok", "id": "p", "sessions": 3}]


@on_manual_time
async def test_join_is_answered_once_redis_has_acknowledged() -> None:
    house = House()
    desk = Desk(house)
    desk.heard()
    desk.say(type="join", room="lobby", id=1)
    await turns()
    assert desk.heard() == []
    house.link.acknowledge()
    await turns()
    assert desk.heard() == [{"type": "ok", "id": 1, "room": "lobby"}]


@on_manual_time
async def test_join_that_redis_does_not_acknowledge_is_unavailable_and_the_session_lives() -> None:
    house = House()
    desk = Desk(house)
    desk.heard()
    desk.say(type="join", room="lobby", id=1)
    await asyncio.sleep(1.1)
    assert [(frame["type"], frame["id"], frame["code"]) for frame in desk.heard()] == [("error", 1, "unavailable")]
    desk.say(type="ping", id=2)
    assert desk.heard() == [{"type": "pong", "id": 2}]


@on_manual_time
async def test_leave_is_answered_at_once_and_nothing_is_heard_any_more() -> None:
    house = House()
    desk = await in_room(house)
    desk.say(type="leave", id=1)
    assert desk.heard() == [{"type": "ok", "id": 1, "room": "lobby"}]
    assert house.hub.rosters == {}


@on_manual_time
async def test_a_refused_command_is_answered_and_the_session_lives() -> None:
    desk = Desk(House())
    desk.heard()
    desk.say(type="leave", room="lobby", id=1)
    desk.say(type="ping", id=2)
    answers = [(frame["type"], frame["id"], frame.get("code")) for frame in desk.heard()]
    assert answers == [("error", 1, "not_joined"), ("pong", 2, None)]


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
    assert desk.carrier.reading
    desk.say(type="ping", id="last")
    assert not desk.carrier.reading
    house.link.acknowledge()
    await turns()
    assert desk.carrier.reading
    assert [frame["id"] for frame in desk.heard()] == [*range(WAITING_MAX - 1), "last"]


@on_manual_time
async def test_no_more_publishes_are_under_way_than_the_bound_and_the_rest_follows_in_order() -> None:
    house = House()
    desk = await in_room(house)
    for number in range(UNDER_WAY_MAX + 10):
        desk.say(type="message", content=number)
    assert len(house.publisher.sent) == UNDER_WAY_MAX
    for confirmed in range(10):
        house.publisher.confirmations[confirmed].set_result(1)
    await turns()
    assert [frame["content"] for frame in desk.published] == list(range(UNDER_WAY_MAX + 10))


@on_manual_time
async def test_what_waits_when_the_connection_ends_is_not_carried_out() -> None:
    house = House()
    desk = Desk(house)
    desk.say(type="join", room="lobby")
    desk.say(type="private", to="bob", content=1)
    desk.connection.closed()
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
    assert desk.carrier.closed_with is None
    desk.say_raw(payload)
    assert [frame["type"] for frame in desk.heard()] == ["error", "bye"]
    assert desk.carrier.closed_with == (4505, "too many bad frames")


@on_manual_time
async def test_bad_frames_are_forgiven_after_a_minute() -> None:
    house = House()
    desk = Desk(house)
    for _ in range(5):
        for _ in range(BAD_FRAMES_MAX - 1):
            desk.say_raw(b"{")
        house.clock.advance(BAD_FRAMES_WINDOW)
    assert desk.carrier.closed_with is None


@on_manual_time
async def test_what_is_well_formed_but_refused_is_no_bad_frame() -> None:
    desk = Desk(House())
    for _ in range(3 * BAD_FRAMES_MAX):
        desk.say(type="leave", room="lobby")
        desk.say(type="history", room="lobby")
    assert desk.carrier.closed_with is None


@on_manual_time
async def test_a_frame_of_the_other_type_is_a_bad_frame() -> None:
    desk = Desk(House())
    desk.heard()
    desk.say_raw(b'{"type":"ping"}', binary=True)
    assert [frame["code"] for frame in desk.heard()] == ["bad_request"]
