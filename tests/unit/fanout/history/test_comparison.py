"""Holes that no later message shows: a head counts only after a barrier of the link."""

import asyncio

import pytest
from tannoy.fanout.history.comparison import BARRIER_PERIOD
from tannoy.fanout.scripts import HISTORY_READ, SERVER_DOUBT
from tannoy.shared.names import RoomName
from tannoy.shared.publication import Position

from tests.support.barriers import LOBBY, behind, comparing, end_barriers, next_barrier
from tests.support.clock import on_manual_time, turns
from tests.support.scripted_history import EPOCH, KEYSPACE, TrackerDriver

# ---- after a barrier


@on_manual_time
async def test_a_cursor_behind_its_head_is_no_hole_before_the_barrier_ends() -> None:
    node = behind()
    async with comparing(node):
        await asyncio.sleep(5 * BARRIER_PERIOD)
        assert (node.delivered(), node.reads, len(node.proofs)) == ([], [], 1)


@on_manual_time
async def test_a_cursor_behind_its_head_is_a_hole_after_the_barrier_and_filled() -> None:
    node = behind()
    async with comparing(node):
        await end_barriers(node)
        assert (node.delivered(), node.statistic("proven")) == ([11, 12], 1)


@on_manual_time
async def test_messages_that_come_before_the_barrier_ends_are_no_hole() -> None:
    node = behind()
    async with comparing(node):
        node.deliver_batch(LOBBY, 11, 12)
        await end_barriers(node)
        assert (node.delivered(), node.reads, node.statistic("proven")) == ([11, 12], [], 0)


@on_manual_time
async def test_a_failed_barrier_shows_no_hole() -> None:
    node = behind()
    async with comparing(node):
        await end_barriers(node, succeeded=False)
        assert (node.delivered(), node.reads) == ([], [])


@on_manual_time
async def test_a_hole_that_is_being_filled_is_not_counted_again() -> None:
    node = behind()
    node.history_redis.hold(HISTORY_READ)
    node.deliver_batch(LOBBY, 12)
    async with comparing(node):
        await end_barriers(node)
        await next_barrier()
        await end_barriers(node)
        assert node.reads == [11]


@on_manual_time
async def test_heads_are_compared_periodically() -> None:
    node = behind()
    async with comparing(node):
        await end_barriers(node)
        node.delivered()
        node.history_redis.log_of(LOBBY).append(13)
        await next_barrier()
        await end_barriers(node)
        assert (node.delivered(), node.statistic("barriers")) == ([13], 2)


@on_manual_time
async def test_heads_are_compared_at_once_after_the_link_was_away() -> None:
    node = behind()
    async with comparing(node):
        await end_barriers(node)
        node.history_redis.log_of(LOBBY).append(13)
        node.delivered()
        node.tracker.comparison.compare_partitions_soon()
        await turns()
        await end_barriers(node)
        assert (node.delivered(), len(node.proofs)) == ([13], 2)


@on_manual_time
async def test_each_partition_has_its_own_reads_and_barrier() -> None:
    rooms = [KEYSPACE.room(RoomName(f"room-{number}")) for number in range(200)]
    node = TrackerDriver()
    for room in rooms:
        node.history_redis.log_of(room).append(11)
        node.follow(room, at=10)
    partitions = {room.partition for room in rooms}
    async with comparing(node):
        assert sorted(node.proof_partitions) == sorted(partitions)
        lost = rooms[0].partition
        for partition, proof in zip(node.proof_partitions, node.proofs, strict=True):
            proof.set_result(partition != lost)
        await turns(60)
        assert sorted(node.delivered_with_channel()) == sorted(
            (room.name, 11) for room in rooms if room.partition != lost
        )


# ---- Redis is away


@pytest.mark.parametrize("what", ["HGET", "MGET"])
@on_manual_time
async def test_heads_that_can_not_be_read_are_read_by_the_next_barrier(what: str) -> None:
    node = behind()
    node.history_redis.leave_unconfirmed(what)
    async with comparing(node):
        assert node.proofs == []
        node.history_redis.confirm_again(what)
        await next_barrier()
        await end_barriers(node)
        assert node.delivered() == [11, 12]


@on_manual_time
async def test_a_new_epoch_that_can_not_begin_is_begun_by_the_next_barrier() -> None:
    node = behind()
    node.history_redis.log_of(LOBBY).head = None
    node.history_redis.leave_unconfirmed(HISTORY_READ)
    async with comparing(node):
        await end_barriers(node)
        assert node.delivered() == []
        node.history_redis.confirm_again(HISTORY_READ)
        await next_barrier()
        await end_barriers(node)
        assert node.delivered() == [f"{node.history_redis.next_epoch}/0"]


# ---- a server that has lost messages without a new epoch


@on_manual_time
async def test_a_head_below_the_cursor_in_its_epoch_ends_the_epochs_and_gives_a_resync() -> None:
    node = behind()
    node.history_redis.log_of(LOBBY).head = Position(EPOCH, 8)
    async with comparing(node):
        await end_barriers(node)
        assert node.delivered() == ["after-1/8"]
        node.deliver_batch(LOBBY, 9, epoch="after-1")
        assert node.delivered() == [9]


@on_manual_time
async def test_a_head_that_was_read_before_its_message_came_ends_no_epoch() -> None:
    node = behind()
    async with comparing(node):
        node.deliver_batch(LOBBY, 11, 12, 13)
        await end_barriers(node)
        assert node.delivered() == [11, 12, 13]
        assert node.history_redis.arguments_of(SERVER_DOUBT) == []


@on_manual_time
async def test_an_offset_that_comes_twice_ends_the_epochs_at_once() -> None:
    node = behind()
    async with comparing(node):
        await end_barriers(node)
        node.deliver_batch(LOBBY, 13)
        assert node.delivered() == [11, 12, 13]
        node.history_redis.log_of(LOBBY).head = Position(EPOCH, 13)
        node.deliver_batch(LOBBY, 13)
        await turns()
        await end_barriers(node)
        assert node.delivered() == ["after-1/13"]


@on_manual_time
async def test_epochs_that_could_not_be_ended_are_ended_after_the_next_barrier() -> None:
    node = behind()
    node.history_redis.log_of(LOBBY).head = Position(EPOCH, 8)
    node.history_redis.leave_unconfirmed(SERVER_DOUBT)
    async with comparing(node):
        await end_barriers(node)
        assert node.delivered() == []
        node.history_redis.confirm_again(SERVER_DOUBT)
        await next_barrier()
        await end_barriers(node)
        assert node.delivered() == ["after-1/8"]
