"""Commands of a session, and their answers once Redis has confirmed them."""

import asyncio

import pytest
from tannoy.fanout.control.codec import pack_message
from tannoy.fanout.control.requests import Response
from tannoy.fanout.control.sealing import ControlSealer
from tannoy.fanout.scripts import PRESENCE_JOIN, PRESENCE_LIST
from tannoy.node.connections.command_loop import IN_FLIGHT_MAX
from tannoy.shared.clock import rfc3339
from tannoy.shared.errors import Unavailable
from tannoy.shared.publication import Position

from tests.support.client_driver import ClientDriver, connect_to_room
from tests.support.clock import loop_errors, on_manual_time, turns
from tests.support.unit_node import HEAD, PRESENCE_FIELDS, ROOM, VERSION, UnitNode

# ---- commands


@on_manual_time
async def test_message_is_published_and_answered_with_its_position_when_confirmed() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    client.send(type="message", content={"a": 1}, id=7, key="k")
    assert client.received() == []
    ((address, _, key),) = node.publisher.sent
    assert (address, key, node.publisher.published[0].exclude) == (ROOM.address, "k", "")
    assert client.published == [
        {
            "type": "message",
            "room": "lobby",
            "user_id": "ada",
            "username": "Ada",
            "session_id": "s1",
            "content": {"a": 1},
            "timestamp": rfc3339(node.clock.now()),
        }
    ]
    node.publisher.confirmations[0].set_result(Position("e", 41))
    await turns()
    assert client.received() == [{"type": "ok", "id": 7, "epoch": "e", "offset": 41}]


@on_manual_time
async def test_ok_of_a_message_has_no_position_if_no_history_is_kept() -> None:
    node = UnitNode(history_size=0)
    client = await connect_to_room(node)
    client.send(type="message", content=1, id=7)
    node.publisher.confirmations[0].set_result(None)
    await turns()
    assert client.received() == [{"type": "ok", "id": 7}]


@on_manual_time
async def test_message_that_redis_does_not_confirm_is_answered_with_unavailable() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    client.send(type="message", content=1, id=7)
    node.publisher.confirmations[0].set_exception(Unavailable("in time"))
    await turns()
    (answer,) = client.received()
    assert (answer["type"], answer["id"], answer["code"], answer["retry_after"]) == ("error", 7, "unavailable", 1.0)


@pytest.mark.parametrize("id", [7, None], ids=["with an id", "without an id"])
@on_manual_time
async def test_unexpected_error_is_answered_with_internal_and_logged(id: int | None) -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    client.send(type="message", content=1, **({} if id is None else {"id": id}))
    node.publisher.confirmations[0].set_exception(ZeroDivisionError("a secret"))
    await turns()
    (answer,) = client.received()
    assert (answer["type"], answer.get("id"), answer["code"]) == ("error", id, "internal")
    assert "secret" not in answer["message"]
    assert isinstance(loop_errors().pop()["exception"], ZeroDivisionError)
    client.send(type="ping", id=8)
    assert client.received() == [{"type": "pong", "id": 8}]


@on_manual_time
async def test_commands_queued_behind_an_unexpected_error_are_handled() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    for number in range(IN_FLIGHT_MAX):
        client.send(type="message", content=number, id=number)
    client.send(type="ping", id=1000)
    assert client.received() == []
    node.publisher.confirmations[0].set_exception(ZeroDivisionError("unexpected"))
    await turns()
    loop_errors().clear()
    assert [frame["type"] for frame in client.received()] == ["error", "pong"]


@on_manual_time
async def test_commands_without_an_id_are_answered_only_if_they_fail() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    client.send(type="message", content=1)
    client.send(type="message", content=2)
    node.publisher.confirmations[0].set_result(Position("e", 41))
    node.publisher.confirmations[1].set_exception(Unavailable("in time"))
    await turns()
    (failure,) = client.received()
    assert (failure["type"], failure["code"], "id" in failure) == ("error", "unavailable", False)


@on_manual_time
async def test_typing_excludes_the_session_of_its_author() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    client.send(type="typing")
    assert node.publisher.published[0].exclude == "s1"


@on_manual_time
async def test_private_message_is_answered_with_the_number_of_sessions() -> None:
    node = UnitNode()
    client = ClientDriver(node)
    client.received()
    client.send(type="private", to="bob", content=1, id="p")
    node.publisher.confirmations[0].set_result(1)
    await turns()
    _, channel = node.control.channels
    node.control.handle_message(channel, ControlSealer(b"", node.clock).seal(channel, pack_message(Response(1, 3))))
    await turns()
    assert client.received() == [{"type": "ok", "id": "p", "sessions": 3}]


@on_manual_time
async def test_join_is_answered_after_redis_has_acknowledged_the_subscription() -> None:
    node = UnitNode()
    client = ClientDriver(node)
    client.received()
    client.send(type="join", room="lobby", id=1)
    await turns()
    assert client.received() == []
    await node.acknowledge()
    assert client.received() == [{"type": "ok", "id": 1, "room": "lobby", **PRESENCE_FIELDS, **HEAD.as_fields()}]


@on_manual_time
async def test_join_is_answered_after_its_presence_is_confirmed() -> None:
    node = UnitNode()
    node.redis.hold(PRESENCE_JOIN)
    client = ClientDriver(node)
    client.received()
    client.send(type="join", room="lobby", id=1)
    await node.acknowledge()
    assert client.received() == []
    node.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert [frame["type"] for frame in client.received()] == ["ok"]


@on_manual_time
async def test_join_with_recover_is_not_recovered_if_no_history_is_kept() -> None:
    node = UnitNode(history_size=0)
    client = ClientDriver(node)
    client.received()
    client.send(type="join", room="lobby", id=1, recover={"epoch": "e", "offset": 3})
    await node.acknowledge()
    assert client.received() == [{"type": "ok", "id": 1, "room": "lobby", **PRESENCE_FIELDS, "recovered": False}]


@on_manual_time
async def test_presence_is_answered_with_the_users_of_the_room() -> None:
    node = UnitNode()
    node.redis.reply_with(PRESENCE_LIST, [VERSION, 1, 2, [b"ada", b"2|1795000000000|Ada"]])
    client = await connect_to_room(node)
    client.send(type="presence", id=1)
    await turns()
    ada = {"user_id": "ada", "username": "Ada", "connected_at": "2026-11-18T11:06:40.000Z", "sessions": 2}
    assert client.received() == [{"type": "ok", "id": 1, "users_count": 1, "version": VERSION, "users": [ada]}]


@on_manual_time
async def test_presence_that_redis_does_not_confirm_is_unavailable() -> None:
    node = UnitNode()
    node.redis.leave_unconfirmed(PRESENCE_LIST)
    client = await connect_to_room(node)
    client.send(type="presence", id=1)
    await turns()
    assert [(frame["id"], frame["code"]) for frame in client.received()] == [(1, "unavailable")]


@on_manual_time
async def test_join_that_redis_does_not_acknowledge_is_unavailable_and_the_session_stays_open() -> None:
    node = UnitNode()
    client = ClientDriver(node)
    client.received()
    client.send(type="join", room="lobby", id=1)
    await asyncio.sleep(1.1)
    assert [(frame["type"], frame["id"], frame["code"]) for frame in client.received()] == [("error", 1, "unavailable")]
    client.send(type="ping", id=2)
    assert client.received() == [{"type": "pong", "id": 2}]


@on_manual_time
async def test_leave_is_answered_at_once_and_removes_the_member() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    client.send(type="leave", id=1)
    assert client.received() == [{"type": "ok", "id": 1, "room": "lobby"}]
    assert node.hub.rosters == {}


@on_manual_time
async def test_refused_command_is_answered_and_the_session_stays_open() -> None:
    client = ClientDriver(UnitNode())
    client.received()
    client.send(type="leave", room="lobby", id=1)
    client.send(type="ping", id=2)
    answers = [(frame["type"], frame["id"], frame.get("code")) for frame in client.received()]
    assert answers == [("error", 1, "not_joined"), ("pong", 2, None)]


# ---- tokens, on a node that asks for none


@pytest.mark.parametrize("kind", ["auth", "refresh"])
def test_a_token_is_a_bad_request_where_none_is_asked_for(kind: str) -> None:
    @on_manual_time
    async def run() -> None:
        client = ClientDriver(UnitNode())
        client.received()
        client.send(type=kind, token="t", id=1)
        (error,) = client.received()
        assert (error["type"], error["id"], error["code"]) == ("error", 1, "bad_request")

    run()
