"""The tracker: live messages, and holes filled from history."""

from tannoy.fanout.history.reader import READ_MAX
from tannoy.fanout.history.tracker import FILLS_AT_ONCE
from tannoy.fanout.scripts import HISTORY_READ
from tannoy.shared.errors import Unavailable
from tannoy.shared.names import AgentId, RoomName
from tannoy.shared.publication import Position

from tests.support.clock import on_manual_time, turns
from tests.support.scripted_history import (
    EPOCH,
    KEYSPACE,
    ScriptedLog,
    TrackerDriver,
    message_envelope,
    message_payload,
)

LOBBY = KEYSPACE.room(RoomName("lobby"))
AGENT = KEYSPACE.agent(AgentId("42"))

# ---- live messages


@on_manual_time
async def test_the_next_message_is_delivered_at_once_and_moves_the_position() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=10)
    node.deliver_batch(LOBBY, 11, 12)
    assert node.delivered() == [11, 12]
    assert node.tracker.position(LOBBY) == Position(EPOCH, 12)


@on_manual_time
async def test_a_message_without_an_offset_is_delivered_even_while_others_wait() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=10)
    node.deliver_batch(LOBBY, 12)
    node.tracker.deliver_batch([(LOBBY.address, message_envelope())])
    assert node.delivered() == [0]


@on_manual_time
async def test_a_malformed_delivery_is_dropped_and_counted_and_the_rest_is_delivered() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=10)
    malformed = [
        b"garbage",
        b"",
        b"\x03",
        b"\x03life-1 12",
        b"\x03life-1 x " + message_envelope(),
        b"\x03life-1 12 garbage",
    ]
    batch = [message_payload(11), *malformed, message_payload(12)]
    node.tracker.deliver_batch([(LOBBY.address, payload) for payload in batch])
    assert node.delivered() == [11, 12]
    assert node.statistic("malformed") == len(malformed)


@on_manual_time
async def test_each_channel_has_a_cursor_of_its_own() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=10)
    node.follow(AGENT, at=20)
    node.deliver_batch(LOBBY, 11)
    node.deliver_batch(AGENT, 21)
    node.deliver_batch(LOBBY, 12)
    assert node.delivered_with_channel() == [("lobby", 11), ("42", 21), ("lobby", 12)]


@on_manual_time
async def test_a_channel_has_no_position_before_its_head_is_known() -> None:
    node = TrackerDriver()
    assert node.tracker.position(LOBBY) is None
    node.follow(LOBBY, at=None)
    assert node.tracker.position(LOBBY) is None


@on_manual_time
async def test_following_a_channel_again_changes_nothing() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=10)
    node.follow(LOBBY, at=99)
    assert node.tracker.position(LOBBY) == Position(EPOCH, 10)


@on_manual_time
async def test_a_dropped_channel_starts_again_without_a_position() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=10)
    node.tracker.drop(LOBBY.address)
    assert node.tracker.position(LOBBY) is None
    node.follow(LOBBY, at=20)
    node.deliver_batch(LOBBY, 21)
    assert node.delivered() == [21]


@on_manual_time
async def test_without_history_no_channel_has_a_position() -> None:
    node = TrackerDriver(history_size=0)
    node.follow(LOBBY, at=10)
    node.tracker.deliver_batch([(LOBBY.address, message_envelope())])
    assert (node.tracker.position(LOBBY), node.delivered(), node.statistic("followed")) == (None, [0], 0)


# ---- a hole


@on_manual_time
async def test_a_hole_is_filled_before_the_messages_behind_it_are_delivered() -> None:
    node = TrackerDriver()
    node.history_redis.log_of(LOBBY).append(11, 12, 13)
    node.follow(LOBBY, at=10)
    node.deliver_batch(LOBBY, 13)
    assert node.delivered() == []
    await turns()
    node.deliver_batch(LOBBY, 14)
    assert node.delivered() == [11, 12, 13, 14]
    assert (node.statistic("holes"), node.statistic("filled"), node.statistic("filling")) == (1, 3, 0)


@on_manual_time
async def test_a_hole_is_read_once_however_many_messages_come_behind_it() -> None:
    node = TrackerDriver()
    node.history_redis.hold(HISTORY_READ)
    node.history_redis.log_of(LOBBY).append(11, 12, 13, 14, 15)
    node.follow(LOBBY, at=10)
    for offset in (13, 14, 15):
        node.deliver_batch(LOBBY, offset)
        await turns()
    node.history_redis.answer_held(HISTORY_READ)
    await turns()
    assert node.reads == [11]
    assert node.delivered() == [11, 12, 13, 14, 15]


@on_manual_time
async def test_only_so_many_holes_are_read_at_once_and_the_others_later() -> None:
    node = TrackerDriver()
    rooms = [KEYSPACE.room(RoomName(f"room-{number}")) for number in range(FILLS_AT_ONCE + 36)]
    node.history_redis.hold(HISTORY_READ)
    for room in rooms:
        node.history_redis.log_of(room).append(11, 12)
        node.follow(room, at=10)
        node.deliver_batch(room, 12)
    assert len(node.reads) == FILLS_AT_ONCE
    assert node.statistic("filling") == len(rooms)
    node.history_redis.answer_held(HISTORY_READ, 10)
    await turns()
    assert len(node.reads) == FILLS_AT_ONCE + 10
    node.history_redis.answer_held(HISTORY_READ)
    await turns()
    assert sorted(node.delivered_with_channel()) == sorted((room.name, offset) for room in rooms for offset in (11, 12))
    assert node.statistic("filling") == 0


@on_manual_time
async def test_a_read_for_a_hole_is_bounded_in_bytes_so_that_many_may_be_read_at_once() -> None:
    node = TrackerDriver()
    node.history_redis.log_of(LOBBY).append(11, 12)
    node.follow(LOBBY, at=10)
    node.deliver_batch(LOBBY, 12)
    await turns()
    ((*_, max_bytes, _),) = node.history_redis.arguments_of(HISTORY_READ)
    assert FILLS_AT_ONCE * int(max_bytes) == 8 * 1024 * 1024


@on_manual_time
async def test_a_hole_longer_than_one_page_is_read_page_by_page() -> None:
    node = TrackerDriver()
    last = READ_MAX * 2 + 5
    node.history_redis.log_of(LOBBY).append(*range(1, last + 1))
    node.follow(LOBBY, at=0)
    node.deliver_batch(LOBBY, last)
    await turns(30)
    assert node.reads == [1, READ_MAX + 1, 2 * READ_MAX + 1]
    assert node.delivered() == list(range(1, last + 1))


@on_manual_time
async def test_messages_that_history_lacks_give_a_resync_with_the_position_behind_them() -> None:
    node = TrackerDriver()
    node.history_redis.log_of(LOBBY).append(12, 13)
    node.follow(LOBBY, at=10)
    node.deliver_batch(LOBBY, 13)
    await turns()
    assert node.delivered() == [f"{EPOCH}/11", 12, 13]
    assert node.statistic("resyncs") == 1


@on_manual_time
async def test_a_page_of_an_epoch_that_has_ended_meanwhile_is_ignored() -> None:
    node = TrackerDriver()
    node.history_redis.reply_with(HISTORY_READ, [b"life-1 13", [], 0], node.history_redis.read)
    node.history_redis.hold(HISTORY_READ)
    node.follow(LOBBY, at=10)
    node.deliver_batch(LOBBY, 13)
    node.deliver_batch(LOBBY, 1, 3, epoch="life-2")
    assert node.delivered() == ["life-2/0", 1]
    node.history_redis.logs[KEYSPACE.history(LOBBY).head] = ScriptedLog(Position("life-2", 3), [1, 2, 3])
    node.history_redis.answer_held(HISTORY_READ)
    await turns()
    assert node.delivered() == [2, 3]


# ---- sessions without a position


@on_manual_time
async def test_a_session_without_a_position_gets_a_resync_once_it_is_known() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=None)
    node.tracker.reset_on_start(LOBBY)
    node.tracker.start_at(LOBBY, Position(EPOCH, 10))
    assert node.delivered() == [f"{EPOCH}/10"]


@on_manual_time
async def test_a_known_position_needs_no_resync() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=10)
    node.tracker.reset_on_start(LOBBY)
    node.history_redis.reply_with(HISTORY_READ, Unavailable("away"))
    node.deliver_batch(LOBBY, 11)
    assert node.delivered() == [11]
