"""A join of a channel with history: the position at which the session begins."""

import asyncio
from collections.abc import Callable

import pytest
from tannoy.fanout.presence.calls import NO_HEAD
from tannoy.fanout.scripts import HISTORY_READ, PRESENCE_JOIN, PRESENCE_LEAVE
from tannoy.node.delivery import roster as roster_module
from tannoy.node.delivery.hub import HubStatistics
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.codes import CloseCode
from tannoy.shared.policy import LimitMode
from tannoy.shared.publication import Position

from tests.support.client_driver import JOINS, ClientDriver, connect_to_room, position_of
from tests.support.clock import on_manual_time, turns
from tests.support.scripted_history import EPOCH, message_envelope, message_frame
from tests.support.unit_node import AGENT, HEAD, HEAD_FIELDS, ROOM, UnitNode, join_reply

# ---- the position


def asked_for_heads(node: UnitNode) -> list[bool]:
    """Of each join of presence whether it was to tell the head of the room's history too."""
    return [words[-1] == b"1" for words in node.redis.arguments_of(PRESENCE_JOIN)]


@pytest.mark.parametrize("endpoint", [Endpoint.ROOM, Endpoint.AGENT])
@on_manual_time
async def test_welcome_has_the_head_and_later_messages_are_delivered(endpoint: Endpoint) -> None:
    node = UnitNode()
    client = ClientDriver(node, endpoint)
    (welcome,) = await client.receive_after_acknowledge()
    assert position_of(welcome) == HEAD_FIELDS
    node.deliver_batch(ROOM if endpoint is Endpoint.ROOM else AGENT, 41, 42)
    assert client.received() == [message_frame(41), message_frame(42)]


@on_manual_time
async def test_head_is_read_after_the_subscription_is_acknowledged() -> None:
    node = UnitNode()
    ClientDriver(node, Endpoint.AGENT)
    await turns()
    assert node.history_redis.calls == []
    await node.acknowledge()
    assert len(node.history_redis.arguments_of(HISTORY_READ)) == 1


@on_manual_time
async def test_presence_is_joined_after_missed_messages_are_read() -> None:
    node = UnitNode()
    node.history_redis.hold(HISTORY_READ)
    ClientDriver(node, Endpoint.ROOM, recover=Position(EPOCH, 39))
    await node.acknowledge()
    assert node.presence_numbers(PRESENCE_JOIN) == []
    node.history_redis.answer_held(HISTORY_READ)
    await turns()
    assert len(node.presence_numbers(PRESENCE_JOIN)) == 1


@on_manual_time
async def test_head_that_the_join_of_presence_does_not_find_is_read_before_a_second_one() -> None:
    node = UnitNode()
    node.redis.reply_with(PRESENCE_JOIN, NO_HEAD, join_reply)
    client = ClientDriver(node, Endpoint.ROOM)
    (welcome,) = await client.receive_after_acknowledge()
    assert position_of(welcome) == HEAD_FIELDS
    assert len(node.history_redis.arguments_of(HISTORY_READ)) == 1
    assert asked_for_heads(node) == [True, False]
    assert node.presence_numbers(PRESENCE_LEAVE) == []


@on_manual_time
async def test_second_session_gets_the_position_of_the_node_without_a_read() -> None:
    node = UnitNode()
    await connect_to_room(node)
    node.deliver_batch(ROOM, 41, 42)
    (welcome,) = await ClientDriver(node, Endpoint.ROOM, session_id="s2").receive_after_acknowledge()
    assert position_of(welcome) == {"epoch": EPOCH, "offset": 42}
    assert asked_for_heads(node) == [True, False]
    assert node.history_redis.arguments_of(HISTORY_READ) == []


@on_manual_time
async def test_two_sessions_that_join_at_once_begin_at_the_same_position() -> None:
    node = UnitNode()
    first, second = ClientDriver(node, Endpoint.ROOM), ClientDriver(node, Endpoint.ROOM, session_id="s2")
    (welcome,) = await first.receive_after_acknowledge()
    assert position_of(welcome) == position_of(second.received()[0]) == HEAD_FIELDS
    node.deliver_batch(ROOM, 41)
    assert first.received() == second.received() == [message_frame(41)]


@on_manual_time
async def test_messages_delivered_before_the_head_is_read_are_sent_only_if_behind_it() -> None:
    node = UnitNode()
    node.redis.hold(PRESENCE_JOIN)
    client = ClientDriver(node, Endpoint.ROOM)
    await node.acknowledge()
    node.deliver_batch(ROOM, 39, 40, 41)
    node.deliver_batch(ROOM, 42)
    node.redis.answer_held(PRESENCE_JOIN)
    await turns()
    welcome, *received = client.received()
    assert (position_of(welcome), received) == (HEAD_FIELDS, [message_frame(41), message_frame(42)])


@on_manual_time
async def test_position_in_a_channel_without_messages_is_offset_0() -> None:
    node = UnitNode()
    node.history_redis.log_of(AGENT).head = None
    client = ClientDriver(node, Endpoint.AGENT)
    (welcome,) = await client.receive_after_acknowledge()
    assert position_of(welcome) == {"epoch": node.history_redis.next_epoch, "offset": 0}
    node.deliver_batch(AGENT, 1, epoch=node.history_redis.next_epoch)
    assert client.received() == [message_frame(1)]


@pytest.mark.parametrize("recover", [None, HEAD])
@on_manual_time
async def test_welcome_has_no_position_if_no_history_is_kept(recover: Position | None) -> None:
    node = UnitNode(history_size=0)
    client = ClientDriver(node, Endpoint.ROOM, recover=recover)
    (welcome,) = await client.receive_after_acknowledge()
    assert position_of(welcome) == ({} if recover is None else {"recovered": False})
    assert node.history_redis.calls == []
    node.tracker.deliver_batch([(ROOM.address, message_envelope())])
    assert client.received() == [{"type": "message"}]


# ---- refusals and ends during a join

ALL_JOINS: dict[str, Callable[[UnitNode], ClientDriver]] = {
    **JOINS,
    "with recover": lambda node: ClientDriver(node, Endpoint.ROOM, recover=Position(EPOCH, 39)),
}


@on_manual_time
async def test_join_without_a_position_is_unavailable_and_the_session_stays_open() -> None:
    node = UnitNode()
    node.history_redis.leave_unconfirmed(HISTORY_READ)
    client = ClientDriver(node)
    client.received()
    client.send(type="join", room="lobby", id=1, recover=Position(EPOCH, 39).as_fields())
    assert [(frame["id"], frame["code"]) for frame in await client.receive_after_acknowledge()] == [(1, "unavailable")]
    assert (node.subscriptions.holders(ROOM.address), node.hub.rosters) == (0, {})
    assert node.presence_numbers(PRESENCE_JOIN) == []
    client.send(type="ping", id=2)
    assert client.received() == [{"type": "pong", "id": 2}]


@on_manual_time
async def test_connection_to_a_room_without_a_position_is_closed_with_try_again_later() -> None:
    node = UnitNode()
    node.history_redis.leave_unconfirmed(HISTORY_READ)
    client = ClientDriver(node, Endpoint.ROOM, recover=Position(EPOCH, 39))
    received = await client.receive_after_acknowledge()
    assert [(frame["type"], frame["code"]) for frame in received] == [("bye", 1013)]


@pytest.mark.parametrize("answered", [0, 1, 2, 3, 4], ids="{} turns after the answer".format)
@pytest.mark.parametrize("start", ALL_JOINS.values(), ids=ALL_JOINS)
@on_manual_time
async def test_session_that_ends_while_its_position_is_read_leaves_nothing(
    start: Callable[[UnitNode], ClientDriver], answered: int
) -> None:
    node = UnitNode()
    node.history_redis.hold(HISTORY_READ)
    client = start(node)
    await node.acknowledge()
    if answered:
        node.history_redis.answer_held(HISTORY_READ)
        await turns(answered)
    client.connection.close(CloseCode.DRAINING)
    await turns()
    if not answered:
        node.history_redis.answer_held(HISTORY_READ)
    await turns()
    assert node.subscriptions.holders(ROOM.address) == 0
    assert node.hub.statistics() == HubStatistics(sessions=0, users=0, channels=0, rooms=0)
    assert node.presence_numbers(PRESENCE_JOIN) == node.presence_numbers(PRESENCE_LEAVE)


@on_manual_time
async def test_channel_without_sessions_is_not_followed() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    client.connection.close(CloseCode.DRAINING)
    await asyncio.sleep(2)
    assert node.tracker.position(ROOM) is None


# ---- overflow of the join buffer


@on_manual_time
async def test_resync_before_an_overflowed_join_buffer_has_the_position_where_it_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roster_module, "JOIN_BUFFER_MAX_PUBLICATIONS", 2)
    node = UnitNode()
    await connect_to_room(node)
    node.redis.hold(PRESENCE_JOIN)
    client = ClientDriver(node, Endpoint.ROOM, session_id="s2")
    await turns()
    node.deliver_batch(ROOM, 41, 42, 43, 44)
    node.redis.answer_held(PRESENCE_JOIN)
    await turns()
    welcome, resync, *rest = client.received()
    assert position_of(welcome) == HEAD_FIELDS
    assert (resync["type"], position_of(resync)) == ("resync", {"epoch": EPOCH, "offset": 42})
    assert rest == [message_frame(43), message_frame(44)]


# ---- while Redis is away


@pytest.mark.parametrize(("recover", "fields"), [(None, {}), (HEAD, {"recovered": False})])
@on_manual_time
async def test_session_of_an_agent_that_joined_without_a_subscription_is_sent_resync_later(
    recover: Position | None, fields: dict[str, object]
) -> None:
    node = UnitNode(mode=LimitMode.AVAILABLE)
    client = ClientDriver(node, Endpoint.AGENT, recover=recover)
    await asyncio.sleep(1.1)
    (welcome,) = client.received()
    assert position_of(welcome) == fields
    node.tracker.start_at(AGENT, HEAD)
    assert [(frame["type"], position_of(frame)) for frame in client.received()] == [("resync", HEAD_FIELDS)]
    node.deliver_batch(AGENT, 41)
    assert client.received() == [message_frame(41)]
