"""Pages: a session reads one at a time, and all sessions of a node few at once, in the order in which they asked."""

import asyncio
from typing import Any

import pytest
from tannoy.fanout.scripts import HISTORY_READ, PRESENCE_LIST
from tannoy.node.operations.pages import LIST_WEIGHT, PAGE_WAIT_MAX, PAGES_AT_ONCE
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.publication import Position

from tests.support.client_driver import ClientDriver, connect_to_room
from tests.support.clock import on_manual_time, turns
from tests.support.scripted_history import EPOCH
from tests.support.unit_node import VERSION, UnitNode


def asked(node: UnitNode) -> int:
    """How many lists of users Redis has been asked for."""
    return len(node.redis.arguments_of(PRESENCE_LIST))


async def ids(client: ClientDriver) -> list[Any]:
    await turns(40)
    return [frame.get("id") for frame in client.received()]


@on_manual_time
async def test_one_page_of_a_session_is_read_at_a_time_and_all_in_order() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    node.redis.hold(PRESENCE_LIST)
    for number in range(5):
        client.send(type="presence", id=number)
    for number in range(5):
        await turns()
        assert asked(node) == number + 1
        node.redis.answer_held(PRESENCE_LIST, 1)
        assert await ids(client) == [number]


@on_manual_time
async def test_other_commands_do_not_wait_for_the_page_before_them() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    node.redis.hold(PRESENCE_LIST)
    client.send(type="presence", id=1)
    client.send(type="ping", id=2)
    assert await ids(client) == [2]


@on_manual_time
async def test_commands_behind_a_page_that_waits_follow_it_in_order() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    node.redis.hold(PRESENCE_LIST)
    client.send(type="presence", id=1)
    client.send(type="history", id=2)
    client.send(type="message", content="behind")
    client.send(type="history", id=3)
    await turns()
    assert (client.received(), node.publisher.sent) == ([], [])
    node.redis.answer_held(PRESENCE_LIST)
    assert await ids(client) == [1, 2, 3]
    assert [frame["content"] for frame in client.published] == ["behind"]


@on_manual_time
async def test_a_recovery_waits_for_the_page_before_it() -> None:
    node = UnitNode()
    client = ClientDriver(node)
    client.send(type="join", room="lobby")
    await node.acknowledge()
    node.redis.hold(PRESENCE_LIST)
    client.send(type="presence", room="lobby", id=1)
    client.send(type="join", room="other", recover={"epoch": EPOCH, "offset": 1}, id=2)
    await node.acknowledge()
    client.received()
    assert node.history_redis.arguments_of(HISTORY_READ) == []
    node.redis.answer_held(PRESENCE_LIST)
    assert await ids(client) == [1]
    await node.acknowledge()
    assert await ids(client) == [2]
    assert len(node.history_redis.arguments_of(HISTORY_READ)) == 1


@on_manual_time
async def test_a_page_that_waits_is_not_read_before_the_client_has_read_its_answers() -> None:
    node = UnitNode(outbox_max_bytes=1_000_000)
    users = [part for number in range(500) for part in (b"user-%d" % number, b"1|1795000000000|" + b"x" * 100)]
    node.redis.reply_with(PRESENCE_LIST, [VERSION, 500, 500, users])
    client = await connect_to_room(node, high_water=1000)
    client.send(type="presence", id=1)
    client.send(type="presence", id=2)
    assert await ids(client) == [1]
    assert asked(node) == 1
    client.transport.drain()
    await turns()
    assert asked(node) == 2


@on_manual_time
async def test_a_page_that_waits_is_not_read_for_a_client_that_has_gone() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    node.redis.hold(PRESENCE_LIST)
    client.send(type="presence", id=1)
    client.send(type="presence", id=2)
    await turns()
    client.connection.on_closed()
    node.redis.answer_held(PRESENCE_LIST)
    await turns()
    assert asked(node) == 1


# ---- of a node


async def connect_many(node: UnitNode, count: int) -> list[ClientDriver]:
    clients = [ClientDriver(node, Endpoint.ROOM, session_id=f"s{number}") for number in range(count)]
    await node.acknowledge()
    for client in clients:
        assert next(frame["type"] for frame in client.received()) == "welcome"
    return clients


@on_manual_time
async def test_few_pages_of_a_node_are_read_at_once_and_each_session_has_its_turn() -> None:
    node = UnitNode()
    at_once = PAGES_AT_ONCE // LIST_WEIGHT
    clients = await connect_many(node, 2 * at_once)
    node.redis.hold(PRESENCE_LIST)
    for number in range(3):
        for client in clients:
            client.send(type="presence", id=number)
    await turns()
    assert asked(node) == at_once
    node.redis.answer_held(PRESENCE_LIST, at_once)
    assert [await ids(client) for client in clients] == [[0]] * at_once + [[]] * at_once
    node.redis.answer_held(PRESENCE_LIST, at_once)
    assert [await ids(client) for client in clients] == [[]] * at_once + [[0]] * at_once


@on_manual_time
async def test_a_page_whose_turn_does_not_come_is_unavailable() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    assert node.page_turns.begin(PAGES_AT_ONCE) is None
    client.send(type="history", id=1)
    await asyncio.sleep(PAGE_WAIT_MAX)
    await turns()
    assert [(frame["id"], frame["code"]) for frame in client.received()] == [(1, "unavailable")]
    assert node.history_redis.arguments_of(HISTORY_READ)[1:] == []


@pytest.mark.parametrize("by", ["connect", "command"])
@on_manual_time
async def test_a_recovery_takes_its_turn(by: str) -> None:
    node = UnitNode()
    position = Position(EPOCH, 39)
    client = ClientDriver(node, *([Endpoint.ROOM] if by == "connect" else []), recover=position)
    if by == "command":
        client.send(type="join", room="lobby", recover=position.as_fields(), id=1)
    client.received()
    assert node.page_turns.begin(PAGES_AT_ONCE) is None
    await node.acknowledge()
    assert (client.received(), node.history_redis.arguments_of(HISTORY_READ)) == ([], [])
    node.page_turns.end(PAGES_AT_ONCE)
    await turns()
    assert [frame["type"] for frame in client.received()] == ["welcome" if by == "connect" else "ok"]
