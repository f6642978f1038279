"""The bounds of a session: queued commands, publishes in flight, bad frames."""

import pytest
from tannoy.fanout.scripts import PRESENCE_LIST
from tannoy.node.connections.command_loop import IN_FLIGHT_MAX, IN_FLIGHT_MAX_BYTES
from tannoy.node.connections.inbound import BAD_FRAMES_MAX, BAD_FRAMES_WINDOW, WAITING_MAX
from tannoy.node.operations.publishing import OWN_BYTES, TURNS_BYTES
from tannoy.shared.errors import Unavailable
from tannoy.shared.policy import SlowPolicy

from tests.support.client_driver import ClientDriver, connect_to_room
from tests.support.clock import on_manual_time, turns
from tests.support.unit_node import MESSAGE_MAX_BYTES, ROOM, VERSION, UnitNode

# ---- queued commands


@on_manual_time
async def test_commands_behind_a_join_are_handled_after_it_in_order() -> None:
    node = UnitNode()
    client = ClientDriver(node)
    client.received()
    client.send(type="join", room="lobby", id=1)
    client.send(type="message", room="lobby", content="in")
    client.send(type="leave", room="lobby", id=2)
    client.send(type="message", room="lobby", content="out", id=3)
    assert client.received() == []
    await node.acknowledge()
    assert [(frame["type"], frame["id"]) for frame in client.received()] == [("ok", 1), ("ok", 2), ("error", 3)]
    assert [frame["content"] for frame in client.published] == ["in"]


@on_manual_time
async def test_reading_is_paused_while_too_many_commands_are_queued() -> None:
    node = UnitNode()
    client = ClientDriver(node)
    client.received()
    client.send(type="join", room="lobby")
    for number in range(WAITING_MAX - 1):
        client.send(type="ping", id=number)
    assert client.transport.reading
    client.send(type="ping", id="last")
    assert not client.transport.reading
    await node.acknowledge()
    assert client.transport.reading
    assert [frame["id"] for frame in client.received()] == [*range(WAITING_MAX - 1), "last"]


@on_manual_time
async def test_publishes_in_flight_are_bounded_and_the_others_follow_in_order() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    for number in range(IN_FLIGHT_MAX + 10):
        client.send(type="message", content=number)
    assert len(node.publisher.sent) == IN_FLIGHT_MAX
    for confirmed in range(10):
        node.publisher.confirmations[confirmed].set_result(1)
    await turns()
    assert [frame["content"] for frame in client.published] == list(range(IN_FLIGHT_MAX + 10))


@on_manual_time
async def test_bytes_in_flight_are_bounded_and_the_others_follow_in_order() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    fits = IN_FLIGHT_MAX_BYTES // MESSAGE_MAX_BYTES
    for number in range(fits + 4):
        client.send(type="message", content=[number, "x" * (MESSAGE_MAX_BYTES - 100)])
    assert len(node.publisher.sent) == fits + 1  # the last of them may exceed the bound
    assert not client.transport.reading
    for confirmed in range(3):
        node.publisher.confirmations[confirmed].set_result(1)
    await turns()
    assert client.transport.reading
    assert [frame["content"][0] for frame in client.published] == list(range(fits + 4))


def crowded(node: UnitNode) -> int:
    """Let others have all turns of the node; the weight with which these end."""
    node.publisher.pipeline.connected.set()
    assert node.context.commands.publishing.turns.begin(TURNS_BYTES) is None
    return TURNS_BYTES


@on_manual_time
async def test_a_large_message_waits_for_its_turn_and_the_commands_behind_it_follow_in_order() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    others = crowded(node)
    client.send(type="message", content="x" * OWN_BYTES)
    client.send(type="message", content="behind")
    assert node.publisher.sent == []
    node.context.commands.publishing.turns.end(others)
    await turns()
    assert [frame["content"] for frame in client.published] == ["x" * OWN_BYTES, "behind"]


@on_manual_time
async def test_a_client_with_little_in_flight_waits_for_no_turn() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    crowded(node)
    for number in range(IN_FLIGHT_MAX):
        client.send(type="message", content=number)
    assert len(node.publisher.sent) == IN_FLIGHT_MAX


@on_manual_time
async def test_small_messages_take_turns_once_many_bytes_of_their_client_are_in_flight() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    crowded(node)
    for number in range(10):
        client.send(type="message", content=[number, "x" * (OWN_BYTES // 4)])
    assert len(node.publisher.sent) == 3
    node.publisher.confirmations[0].set_result(1)
    await turns()
    assert len(node.publisher.sent) == 3  # it waits in the order in which all came


@on_manual_time
async def test_the_turn_of_a_large_message_ends_with_its_answer() -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    node.publisher.pipeline.connected.set()
    client.send(type="message", content="x" * OWN_BYTES)
    assert node.context.commands.publishing.turns.statistics().under_way > OWN_BYTES
    node.publisher.confirmations[0].set_exception(Unavailable("in time"))
    await turns()
    assert node.context.commands.publishing.turns.statistics().under_way == 0


@pytest.mark.parametrize("order", ["first the end", "first the turn"])
@on_manual_time
async def test_a_message_whose_client_ends_takes_no_turn(order: str) -> None:
    node = UnitNode()
    client = await connect_to_room(node)
    others = crowded(node)
    client.send(type="message", content="x" * OWN_BYTES)
    if order == "first the turn":
        node.context.commands.publishing.turns.end(others)
    client.connection.on_closed()
    if order == "first the end":
        node.context.commands.publishing.turns.end(others)
    await turns()
    assert node.publisher.sent == []
    assert node.context.commands.publishing.turns.statistics().under_way == 0


@on_manual_time
async def test_queued_commands_are_dropped_when_the_connection_ends() -> None:
    node = UnitNode()
    client = ClientDriver(node)
    client.send(type="join", room="lobby")
    client.send(type="private", to="bob", content=1)
    client.connection.on_closed()
    await node.acknowledge()
    assert node.publisher.sent == []


# ---- answers


def large_room(node: UnitNode) -> UnitNode:
    """Let `presence` be answered with some 100 kB."""
    users = [part for number in range(500) for part in (b"user-%d" % number, b"1|1795000000000|" + b"x" * 100)]
    node.redis.reply_with(PRESENCE_LIST, [VERSION, 500, 500, users])
    return node


@on_manual_time
async def test_commands_wait_until_the_client_has_read_its_answers() -> None:
    client = await connect_to_room(large_room(UnitNode(outbox_max_bytes=1_000_000)), high_water=1000)
    client.send(type="presence", id=1)
    await turns()
    client.send(type="ping", id=2)
    assert [frame["id"] for frame in client.received()] == [1]
    client.transport.drain()
    assert [frame["id"] for frame in client.received()] == [2]


@on_manual_time
async def test_reading_is_paused_while_a_client_does_not_read_its_answers() -> None:
    client = await connect_to_room(large_room(UnitNode(outbox_max_bytes=1_000_000)), high_water=5000)
    client.send(type="presence", id=1)
    await turns()
    for number in range(WAITING_MAX):
        client.send(type="ping", id=number)
    assert not client.transport.reading
    client.transport.drain()
    assert client.transport.reading
    assert [frame["type"] for frame in client.received()] == ["ok", *["pong"] * WAITING_MAX]


@pytest.mark.parametrize("policy", SlowPolicy)
@on_manual_time
async def test_an_answer_larger_than_the_outbox_is_sent_with_the_messages_behind_it(policy: SlowPolicy) -> None:
    node = large_room(UnitNode(outbox_max_bytes=1_000_000, policy=policy))
    client = await connect_to_room(node, high_water=1000)
    node.outbox_limits.max_bytes = 10_000
    client.send(type="presence", id=1)
    await turns()
    node.deliver_batch(ROOM, 41)
    client.transport.drain()
    assert [frame["type"] for frame in client.received()] == ["ok", "message"]
    assert node.outbox_limits.overflowed == 0


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
async def test_tenth_bad_frame_closes_the_connection(payload: bytes) -> None:
    client = ClientDriver(UnitNode())
    client.received()
    for _ in range(BAD_FRAMES_MAX - 1):
        client.send_raw(payload)
    assert [frame["type"] for frame in client.received()] == ["error"] * 9
    assert client.transport.closed_with is None
    client.send_raw(payload)
    assert [frame["type"] for frame in client.received()] == ["error", "bye"]
    assert client.transport.closed_with == (4505, "too many bad frames")


@on_manual_time
async def test_bad_frames_count_for_one_minute() -> None:
    node = UnitNode()
    client = ClientDriver(node)
    for _ in range(5):
        for _ in range(BAD_FRAMES_MAX - 1):
            client.send_raw(b"{")
        node.clock.advance(BAD_FRAMES_WINDOW)
    assert client.transport.closed_with is None


@on_manual_time
async def test_refused_command_is_no_bad_frame() -> None:
    client = ClientDriver(UnitNode())
    for _ in range(3 * BAD_FRAMES_MAX):
        client.send(type="leave", room="lobby")
        client.send(type="history", room="lobby", id=1)
    assert client.transport.closed_with is None


@on_manual_time
async def test_commands_that_the_state_of_the_session_or_of_redis_forbids_are_no_bad_frames() -> None:
    node = UnitNode()
    client = ClientDriver(node)
    client.send(type="join", room="lobby", observe=True)
    await node.acknowledge()
    client.received()
    for _ in range(3 * BAD_FRAMES_MAX):
        client.send(type="join", room="lobby")
        client.send(type="message", room="lobby", content=1)
        client.send(type="private", to="bob", content=1)
        node.publisher.confirmations[-1].set_exception(Unavailable("in time"))
        await turns()
    codes = [frame["code"] for frame in client.received()]
    assert codes == ["already_joined", "forbidden", "unavailable"] * 3 * BAD_FRAMES_MAX
    assert client.transport.closed_with is None


@on_manual_time
async def test_binary_frame_on_a_json_connection_is_answered_with_bad_request() -> None:
    client = ClientDriver(UnitNode())
    client.received()
    client.send_raw(b'{"type":"ping"}', binary=True)
    assert [frame["code"] for frame in client.received()] == ["bad_request"]
