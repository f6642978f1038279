"""Recovery on connect and on join: all missed messages, once, or none of them."""

import pytest
from tannoy.fanout.scripts import HISTORY_READ
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.protocol.codec import WireFormat, encode_frame
from tannoy.shared.protocol.commands import OFFSET_MAX
from tannoy.shared.protocol.frames import Resync
from tannoy.shared.publication import Position, Publication

from tests.support.client_driver import ClientDriver, both_wire_formats, connect_to_room, position_of
from tests.support.clock import on_manual_time, turns
from tests.support.scripted_history import EPOCH, message_frame
from tests.support.unit_node import HEAD, HEAD_FIELDS, ROOM, UnitNode


def keep_messages(node: UnitNode, *offsets: int) -> None:
    node.history_redis.log_of(ROOM).append(*offsets)


@both_wire_formats
@on_manual_time
async def test_missed_messages_follow_welcome_and_later_messages_follow_them(wire: WireFormat) -> None:
    node = UnitNode()
    keep_messages(node, *range(35, 43))
    client = ClientDriver(node, Endpoint.ROOM, wire=wire, recover=Position(EPOCH, 39))
    welcome, *missed = await client.receive_after_acknowledge()
    assert position_of(welcome) == {"epoch": EPOCH, "offset": 42, "recovered": True}
    node.deliver_batch(ROOM, 43)
    assert [*missed, *client.received()] == [message_frame(40), message_frame(41), message_frame(42), message_frame(43)]


@both_wire_formats
@on_manual_time
async def test_missed_messages_follow_ok_of_a_join(wire: WireFormat) -> None:
    node = UnitNode()
    keep_messages(node, 39, 40)
    client = ClientDriver(node, wire=wire)
    client.received()
    client.send(type="join", room="lobby", id=1, recover={"epoch": EPOCH, "offset": 38})
    ok, *missed = await client.receive_after_acknowledge()
    assert (ok["id"], position_of(ok)) == (1, {"epoch": EPOCH, "offset": 40, "recovered": True})
    assert missed == [message_frame(39), message_frame(40)]


@on_manual_time
async def test_missed_messages_are_sent_on_a_join_without_an_id() -> None:
    node = UnitNode()
    keep_messages(node, 39, 40)
    client = ClientDriver(node)
    client.received()
    client.send(type="join", room="lobby", recover={"epoch": EPOCH, "offset": 38})
    assert await client.receive_after_acknowledge() == [message_frame(39), message_frame(40)]


@on_manual_time
async def test_missed_messages_do_not_count_towards_the_limit_of_a_slow_reader() -> None:
    node = UnitNode()
    keep_messages(node, *range(1, 41))
    client = ClientDriver(node)
    client.received()
    client.transport.stall()
    client.send(type="join", room="lobby", id=1, recover={"epoch": EPOCH, "offset": 0})
    await client.receive_after_acknowledge()
    node.outbox_limits.max_bytes = 100
    node.deliver_batch(ROOM, 41)
    client.transport.drain()
    ok, *messages = client.received()
    assert (ok["id"], messages) == (1, [message_frame(offset) for offset in range(1, 42)])
    assert node.outbox_limits.overflowed == 0


@on_manual_time
async def test_session_that_has_missed_nothing_is_recovered() -> None:
    (welcome,) = await ClientDriver(UnitNode(), Endpoint.ROOM, recover=HEAD).receive_after_acknowledge()
    assert position_of(welcome) == HEAD_FIELDS | {"recovered": True}


REFUSED: dict[str, Position] = {
    "of another epoch": Position("life-0", 40),
    "beyond the head": Position(EPOCH, 43),
    "trimmed": Position(EPOCH, 33),
    "trimmed from the first one on": Position(EPOCH, 0),
    "beyond all offsets": Position(EPOCH, OFFSET_MAX + 1),
    "of an empty epoch": Position("", 40),
}


@pytest.mark.parametrize("recover", REFUSED.values(), ids=REFUSED)
@on_manual_time
async def test_position_that_can_not_be_recovered_gets_no_missed_messages(recover: Position) -> None:
    node = UnitNode()
    keep_messages(node, *range(35, 43))
    client = ClientDriver(node, Endpoint.ROOM, recover=recover)
    received = await client.receive_after_acknowledge()
    assert [position_of(frame) for frame in received] == [{"epoch": EPOCH, "offset": 42, "recovered": False}]
    node.deliver_batch(ROOM, 43)
    assert client.received() == [message_frame(43)]


@pytest.mark.parametrize(("max_bytes", "recovered"), [(18 * 8, True), (18 * 8 - 1, False)])
@on_manual_time
async def test_more_missed_bytes_than_an_outbox_holds_are_not_recovered(max_bytes: int, recovered: bool) -> None:
    assert len(b'{"type":"message"}') == 18
    node = UnitNode(outbox_max_bytes=max_bytes)
    keep_messages(node, *range(35, 43))
    received = await ClientDriver(node, Endpoint.ROOM, recover=Position(EPOCH, 34)).receive_after_acknowledge()
    assert (received[0]["recovered"], len(received) - 1) == (recovered, 8 if recovered else 0)


@pytest.mark.parametrize("left", [[], [39, 40], [39, 41, 42], [42]], ids=str)
@on_manual_time
async def test_history_with_a_hole_is_not_recovered(left: list[int]) -> None:
    node = UnitNode()
    node.history_redis.log_of(ROOM).head = Position(EPOCH, 42)
    node.history_redis.log_of(ROOM).kept = left
    received = await ClientDriver(node, Endpoint.ROOM, recover=Position(EPOCH, 38)).receive_after_acknowledge()
    assert [position_of(frame) for frame in received] == [{"epoch": EPOCH, "offset": 42, "recovered": False}]


@on_manual_time
async def test_messages_delivered_while_the_missed_ones_are_read_are_sent_once() -> None:
    node = UnitNode()
    await connect_to_room(node)
    keep_messages(node, 39, 40, 41, 42)
    node.history_redis.hold(HISTORY_READ)
    client = ClientDriver(node, Endpoint.ROOM, session_id="s2", recover=Position(EPOCH, 38))
    await turns()
    node.deliver_batch(ROOM, 41, 42)
    node.deliver_batch(ROOM, 43)
    node.history_redis.answer_held(HISTORY_READ)
    await turns()
    welcome, *received = client.received()
    assert position_of(welcome) == {"epoch": EPOCH, "offset": 42, "recovered": True}
    assert received == [message_frame(offset) for offset in range(39, 44)]


@on_manual_time
async def test_messages_in_the_history_before_the_link_brings_them_are_sent_once_to_each_session() -> None:
    node = UnitNode()
    old = await connect_to_room(node)
    keep_messages(node, 39, 40, 41, 42)
    client = ClientDriver(node, Endpoint.ROOM, session_id="s2", recover=Position(EPOCH, 38))
    welcome, *missed = await client.receive_after_acknowledge()
    node.deliver_batch(ROOM, 41)
    node.deliver_batch(ROOM, 42, 43)
    assert position_of(welcome)["offset"] == 42
    assert [*missed, *client.received()] == [
        message_frame(39),
        message_frame(40),
        message_frame(41),
        message_frame(42),
        message_frame(43),
    ]
    assert old.received() == [message_frame(41), message_frame(42), message_frame(43)]


@on_manual_time
async def test_first_recovery_sets_the_position_of_the_node() -> None:
    node = UnitNode()
    keep_messages(node, 39, 40)
    await ClientDriver(node, Endpoint.ROOM, recover=Position(EPOCH, 38)).receive_after_acknowledge()
    assert node.tracker.position(ROOM) == HEAD


@on_manual_time
async def test_session_that_recovers_while_its_epoch_ends_is_sent_resync_into_the_next() -> None:
    node = UnitNode()
    await connect_to_room(node)
    node.history_redis.reply_with(HISTORY_READ, [b"%b %d" % (EPOCH.encode(), HEAD.offset), [], 0])
    node.history_redis.hold(HISTORY_READ)
    client = ClientDriver(node, Endpoint.ROOM, session_id="s2", recover=HEAD)
    await turns()
    node.deliver_batch(ROOM, 1, epoch="life-2")  # before the reply, which is of the old epoch
    node.history_redis.answer_held(HISTORY_READ)
    await turns()
    welcome, resync, first = client.received()
    node.deliver_batch(ROOM, 2, 3, epoch="life-2")
    assert position_of(welcome) == HEAD_FIELDS | {"recovered": True}
    assert (resync["type"], position_of(resync)) == ("resync", {"epoch": "life-2", "offset": 0})
    assert [first, *client.received()] == [message_frame(1), message_frame(2), message_frame(3)]


@on_manual_time
async def test_session_that_was_recovered_from_a_former_server_is_delivered_to_after_a_resync() -> None:
    node = UnitNode()
    await connect_to_room(node)
    node.deliver_batch(ROOM, 1, epoch="life-2")
    client = ClientDriver(node, Endpoint.ROOM, session_id="s2", recover=HEAD)
    (welcome,) = await client.receive_after_acknowledge()
    assert position_of(welcome) == HEAD_FIELDS | {"recovered": True}

    resync = encode_frame(Resync(ROOM, "lost", Position("life-2", 1)))
    node.relay.deliver([(ROOM.address, Publication(resync, epoch="life-2", offset=1, resets=True))])
    node.deliver_batch(ROOM, 2, epoch="life-2")

    assert [(frame["type"], frame["offset"]) for frame in client.received()] == [("resync", 1), ("message", 2)]
