"""What a session says, and what it is answered once the bus has confirmed it."""

import asyncio

import pytest
from tannoy.fanout.control.codec import pack_message
from tannoy.fanout.control.requests import Response
from tannoy.fanout.scripts import PRESENCE_JOIN, PRESENCE_LIST
from tannoy.node.connections.command_loop import IN_FLIGHT_MAX
from tannoy.shared.clock import rfc3339
from tannoy.shared.errors import Unavailable
from tannoy.shared.publication import Position

from tests.support.clock import loop_errors, on_manual_time, turns
from tests.support.desk import HEAD, ROLL, ROOM, VERSION, Desk, House
from tests.unit.node.connections.test_connection import in_room

# ---- commands


@on_manual_time
async def test_a_message_goes_to_the_bus_and_is_answered_when_it_is_confirmed() -> None:
    house = House()
    desk = await in_room(house)
    desk.say(type="message", content={"a": 1}, id=7, key="k")
    assert desk.heard() == []
    ((address, _, key),) = house.publisher.sent
    assert (address, key, house.publisher.published[0].exclude) == (ROOM.address, "k", "")
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
    house.publisher.confirmations[0].set_result(Position("e", 41))
    await turns()
    assert desk.heard() == [{"type": "ok", "id": 7, "epoch": "e", "offset": 41}]


@on_manual_time
async def test_a_message_that_nobody_keeps_has_no_position() -> None:
    house = House(history_size=0)
    desk = await in_room(house)
    desk.say(type="message", content=1, id=7)
    house.publisher.confirmations[0].set_result(None)
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


@pytest.mark.parametrize("id", [7, None], ids=["with an id", "without an id"])
@on_manual_time
async def test_an_error_that_nobody_expected_is_answered_as_internal_and_told_loudly(id: int | None) -> None:
    house = House()
    desk = await in_room(house)
    desk.say(type="message", content=1, **({} if id is None else {"id": id}))
    house.publisher.confirmations[0].set_exception(ZeroDivisionError("a secret"))
    await turns()
    (answer,) = desk.heard()
    assert (answer["type"], answer.get("id"), answer["code"]) == ("error", id, "internal")
    assert "secret" not in answer["message"]
    assert isinstance(loop_errors().pop()["exception"], ZeroDivisionError)
    desk.say(type="ping", id=8)
    assert desk.heard() == [{"type": "pong", "id": 8}]


@on_manual_time
async def test_what_waited_behind_an_error_that_nobody_expected_is_carried_out() -> None:
    house = House()
    desk = await in_room(house)
    for number in range(IN_FLIGHT_MAX):
        desk.say(type="message", content=number, id=number)
    desk.say(type="ping", id=1000)
    assert desk.heard() == []
    house.publisher.confirmations[0].set_exception(ZeroDivisionError("unexpected"))
    await turns()
    loop_errors().clear()
    assert [frame["type"] for frame in desk.heard()] == ["error", "pong"]


@on_manual_time
async def test_without_an_id_only_errors_are_told() -> None:
    house = House()
    desk = await in_room(house)
    desk.say(type="message", content=1)
    desk.say(type="message", content=2)
    house.publisher.confirmations[0].set_result(Position("e", 41))
    house.publisher.confirmations[1].set_exception(Unavailable("in time"))
    await turns()
    (failure,) = desk.heard()
    assert (failure["type"], failure["code"], "id" in failure) == ("error", "unavailable", False)


@on_manual_time
async def test_typing_is_for_all_but_its_author() -> None:
    house = House()
    desk = await in_room(house)
    desk.say(type="typing")
    assert house.publisher.published[0].exclude == "s1"


@on_manual_time
async def test_a_private_message_is_answered_with_the_sessions_reached() -> None:
    house = House()
    desk = Desk(house)
    desk.heard()
    desk.say(type="private", to="bob", content=1, id="p")
    house.publisher.confirmations[0].set_result(1)
    await turns()
    house.control.handle_message(pack_message(Response(1, 3), b""))
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
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert desk.heard() == [{"type": "ok", "id": 1, "room": "lobby", **ROLL, **HEAD.as_fields()}]


@on_manual_time
async def test_join_is_answered_once_it_is_known_who_else_is_there() -> None:
    house = House()
    house.redis.hold(PRESENCE_JOIN)
    desk = Desk(house)
    desk.heard()
    desk.say(type="join", room="lobby", id=1)
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert desk.heard() == []
    house.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert [frame["type"] for frame in desk.heard()] == ["ok"]


@on_manual_time
async def test_whoever_asks_to_recover_where_nothing_is_kept_is_told_that_nothing_was() -> None:
    house = House(history_size=0)
    desk = Desk(house)
    desk.heard()
    desk.say(type="join", room="lobby", id=1, recover={"epoch": "e", "offset": 3})
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert desk.heard() == [{"type": "ok", "id": 1, "room": "lobby", **ROLL, "recovered": False}]


@on_manual_time
async def test_presence_is_answered_with_who_is_there() -> None:
    house = House()
    house.redis.reply_with(PRESENCE_LIST, [VERSION, 1, 2, [b"ada", b"2|1795000000000|Ada"]])
    desk = await in_room(house)
    desk.say(type="presence", id=1)
    await turns()
    ada = {"user_id": "ada", "username": "Ada", "connected_at": "2026-11-18T11:06:40.000Z", "sessions": 2}
    assert desk.heard() == [{"type": "ok", "id": 1, "users_count": 1, "version": VERSION, "users": [ada]}]


@on_manual_time
async def test_presence_that_redis_does_not_tell_is_unavailable() -> None:
    house = House()
    house.redis.leave_unconfirmed(PRESENCE_LIST)
    desk = await in_room(house)
    desk.say(type="presence", id=1)
    await turns()
    assert [(frame["id"], frame["code"]) for frame in desk.heard()] == [(1, "unavailable")]


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
