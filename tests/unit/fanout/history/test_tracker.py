"""All cursors of a node: what the link brings, and holes filled from the log. The barrier has a file of its own."""

from tannoy.fanout.history.reader import READ_MAX
from tannoy.fanout.history.tracker import AT_ONCE
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

# ---- what the link brings


@on_manual_time
async def test_what_follows_goes_on_at_once_and_moves_the_position() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=10)
    node.deliver_batch(LOBBY, 11, 12)
    assert node.delivered() == [11, 12]
    assert node.tracker.position(LOBBY) == Position(EPOCH, 12)


@on_manual_time
async def test_what_has_no_offset_goes_on_even_while_messages_wait() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=10)
    node.deliver_batch(LOBBY, 12)
    node.tracker.received([(LOBBY.address, message_envelope())])
    assert node.delivered() == [0]


@on_manual_time
async def test_what_is_malformed_is_dropped_and_counted_and_the_rest_goes_on() -> None:
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
    node.tracker.received([(LOBBY.address, payload) for payload in batch])
    assert node.delivered() == [11, 12]
    assert node.statistic("malformed") == len(malformed)


@on_manual_time
async def test_channels_are_told_apart() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=10)
    node.follow(AGENT, at=20)
    node.deliver_batch(LOBBY, 11)
    node.deliver_batch(AGENT, 21)
    node.deliver_batch(LOBBY, 12)
    assert node.delivered_with_channel() == [("lobby", 11), ("42", 21), ("lobby", 12)]


@on_manual_time
async def test_no_position_is_known_before_one_was_told() -> None:
    node = TrackerDriver()
    assert node.tracker.position(LOBBY) is None
    node.follow(LOBBY, at=None)
    assert node.tracker.position(LOBBY) is None


@on_manual_time
async def test_following_again_changes_nothing() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=10)
    node.follow(LOBBY, at=99)
    assert node.tracker.position(LOBBY) == Position(EPOCH, 10)


@on_manual_time
async def test_a_channel_that_was_dropped_begins_anew() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=10)
    node.tracker.drop(LOBBY.address)
    assert node.tracker.position(LOBBY) is None
    node.follow(LOBBY, at=20)
    node.deliver_batch(LOBBY, 21)
    assert node.delivered() == [21]


@on_manual_time
async def test_where_nothing_is_kept_no_channel_has_a_position() -> None:
    node = TrackerDriver(history_size=0)
    node.follow(LOBBY, at=10)
    node.tracker.received([(LOBBY.address, message_envelope())])
    assert (node.tracker.position(LOBBY), node.delivered(), node.statistic("followed")) == (None, [0], 0)


# ---- a hole


@on_manual_time
async def test_a_hole_is_filled_before_what_came_behind_it_goes_on() -> None:
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
async def test_a_hole_is_read_once_however_much_comes_behind_it() -> None:
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
async def test_so_many_holes_are_filled_at_once_and_the_others_in_their_turn() -> None:
    node = TrackerDriver()
    rooms = [KEYSPACE.room(RoomName(f"room-{number}")) for number in range(AT_ONCE + 36)]
    node.history_redis.hold(HISTORY_READ)
    for room in rooms:
        node.history_redis.log_of(room).append(11, 12)
        node.follow(room, at=10)
        node.deliver_batch(room, 12)
    assert len(node.reads) == AT_ONCE
    assert node.statistic("filling") == len(rooms)
    node.history_redis.answer_held(HISTORY_READ, 10)
    await turns()
    assert len(node.reads) == AT_ONCE + 10
    node.history_redis.answer_held(HISTORY_READ)
    await turns()
    assert sorted(node.delivered_with_channel()) == sorted((room.name, offset) for room in rooms for offset in (11, 12))
    assert node.statistic("filling") == 0


@on_manual_time
async def test_a_hole_longer_than_one_read_is_read_on() -> None:
    node = TrackerDriver()
    last = READ_MAX * 2 + 5
    node.history_redis.log_of(LOBBY).append(*range(1, last + 1))
    node.follow(LOBBY, at=0)
    node.deliver_batch(LOBBY, last)
    await turns(30)
    assert node.reads == [1, READ_MAX + 1, 2 * READ_MAX + 1]
    assert node.delivered() == list(range(1, last + 1))


@on_manual_time
async def test_what_the_log_lacks_is_told_with_the_position_behind_it() -> None:
    node = TrackerDriver()
    node.history_redis.log_of(LOBBY).append(12, 13)
    node.follow(LOBBY, at=10)
    node.deliver_batch(LOBBY, 13)
    await turns()
    assert node.delivered() == [f"{EPOCH}/11", 12, 13]
    assert node.statistic("resyncs") == 1


@on_manual_time
async def test_an_epoch_that_began_while_the_log_was_read_makes_the_answer_void() -> None:
    node = TrackerDriver()
    node.history_redis.reply_with(HISTORY_READ, [b"life-1 13", []], node.history_redis.read)
    node.history_redis.hold(HISTORY_READ)
    node.follow(LOBBY, at=10)
    node.deliver_batch(LOBBY, 13)
    node.deliver_batch(LOBBY, 1, 3, epoch="life-2")
    assert node.delivered() == ["life-2/0", 1]
    node.history_redis.logs[KEYSPACE.history(LOBBY).head] = ScriptedLog(Position("life-2", 3), [1, 2, 3])
    node.history_redis.answer_held(HISTORY_READ)
    await turns()
    assert node.delivered() == [2, 3]


# ---- whoever was let in without a position


@on_manual_time
async def test_whoever_was_let_in_without_a_position_is_told_one_as_soon_as_it_is_known() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=None)
    node.tracker.unplaced(LOBBY)
    node.tracker.known(LOBBY, Position(EPOCH, 10))
    assert node.delivered() == [f"{EPOCH}/10"]


@on_manual_time
async def test_where_the_position_is_known_nobody_is_without_one() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=10)
    node.tracker.unplaced(LOBBY)
    node.history_redis.reply_with(HISTORY_READ, Unavailable("away"))
    node.deliver_batch(LOBBY, 11)
    assert node.delivered() == [11]
