"""Heads are kept for as long as a node follows their channels: the comparison renews them."""

from tannoy.fanout.history.comparison import BARRIER_PERIOD, RENEW_EVERY
from tannoy.shared.errors import Unavailable
from tannoy.shared.names import RoomName
from tannoy.shared.publication import Position

from tests.support.barriers import LOBBY, behind, comparing, end_barriers, next_barrier
from tests.support.clock import on_manual_time
from tests.support.scripted_history import EPOCH, KEYSPACE, TrackerDriver


async def renewing(node: TrackerDriver) -> None:
    """For so long that the heads have to be renewed once."""
    for _ in range(int(RENEW_EVERY / BARRIER_PERIOD) + 1):
        await end_barriers(node)
        await next_barrier()


@on_manual_time
async def test_the_heads_of_followed_channels_are_renewed() -> None:
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
async def test_a_failed_renewal_does_not_stop_the_barriers() -> None:
    node = behind()
    node.history_redis.reply_with("EXPIRE", Unavailable("away"))
    async with comparing(node):
        await renewing(node)
        node.history_redis.log_of(LOBBY).append(13)
        node.delivered()
        await end_barriers(node)
        await next_barrier()
        await end_barriers(node)
        assert node.delivered() == [13]
