"""Heads live for as long as somebody hears their channels: the barrier renews them."""

from tannoy.fanout.history.tracker import BARRIER_PERIOD, RENEW_EVERY
from tannoy.shared.errors import Unavailable
from tannoy.shared.names import RoomName
from tannoy.shared.publication import Position

from tests.support.clock import on_manual_time
from tests.support.scripted_history import EPOCH, KEYSPACE, TrackerDriver
from tests.unit.fanout.history.test_tracker_barrier import LOBBY, behind, comparing, next_barrier, prove


async def renewing(node: TrackerDriver) -> None:
    """For so long that the heads have to be renewed once."""
    for _ in range(int(RENEW_EVERY / BARRIER_PERIOD) + 1):
        await prove(node)
        await next_barrier()


@on_manual_time
async def test_the_heads_of_channels_that_are_heard_are_kept() -> None:
    node = TrackerDriver()
    rooms = [KEYSPACE.room(RoomName(f"room-{number}")) for number in range(3)]
    for room in rooms:
        node.history_redis.log_of(room).head = Position(EPOCH, 10)
        node.follow(room, at=10)
    node.tracker.drop(rooms[2].address)
    async with comparing(node):
        await renewing(node)
        heads = [KEYSPACE.history(room).head for room in rooms[:2]]
        assert sorted(node.history_redis.arguments_of("EXPIRE")) == sorted([head, b"3600"] for head in heads)


@on_manual_time
async def test_heads_that_can_not_be_kept_now_do_not_end_the_barrier() -> None:
    node = behind()
    node.history_redis.reply_with("EXPIRE", Unavailable("away"))
    async with comparing(node):
        await renewing(node)
        node.history_redis.log_of(LOBBY).append(13)
        node.delivered()
        await prove(node)
        await next_barrier()
        await prove(node)
        assert node.delivered() == [13]
