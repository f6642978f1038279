"""Holes that no later message shows: the heads are compared, and nothing counts before the link has proven itself."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tannoy.fanout.history import tracker as cursors_module
from tannoy.fanout.history.tracker import BARRIER_PERIOD
from tannoy.fanout.scripts import HISTORY_READ
from tannoy.shared.names import RoomName
from tannoy.shared.publication import Position

from tests.support.clock import on_manual_time, turns
from tests.support.scripted_history import EPOCH, KEYSPACE, TrackerDriver

LOBBY = KEYSPACE.room(RoomName("lobby"))


@asynccontextmanager
async def comparing(node: TrackerDriver) -> AsyncGenerator[None]:
    """The barrier runs, and has read the heads for the first time: what comes of it is up to the proof."""
    task = asyncio.create_task(node.tracker.run())
    await next_barrier()
    try:
        yield
    finally:
        assert not task.done(), "the barrier has ended by itself"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def next_barrier() -> None:
    await asyncio.sleep(BARRIER_PERIOD)
    await turns()


def behind() -> TrackerDriver:
    """Its cursor is at 10, and the head at 12: the link has not brought 11 and 12."""
    node = TrackerDriver()
    node.history_redis.log_of(LOBBY).append(11, 12)
    node.follow(LOBBY, at=10)
    return node


async def prove(node: TrackerDriver, heard: bool = True) -> None:
    for proof in node.proofs:
        if not proof.done():
            proof.set_result(heard)
    await turns()


# ---- proven


@on_manual_time
async def test_a_cursor_behind_its_head_is_no_hole_before_the_proof() -> None:
    node = behind()
    async with comparing(node):
        await asyncio.sleep(5 * BARRIER_PERIOD)
        assert (node.delivered(), node.reads, len(node.proofs)) == ([], [], 1)


@on_manual_time
async def test_a_cursor_behind_its_head_is_a_hole_after_the_proof_and_filled() -> None:
    node = behind()
    async with comparing(node):
        await prove(node)
        assert (node.delivered(), node.statistic("proven")) == ([11, 12], 1)


@on_manual_time
async def test_what_the_link_brings_before_the_proof_is_no_hole() -> None:
    node = behind()
    async with comparing(node):
        node.deliver_batch(LOBBY, 11, 12)
        await prove(node)
        assert (node.delivered(), node.reads, node.statistic("proven")) == ([11, 12], [], 0)


@on_manual_time
async def test_where_the_link_was_lost_nothing_is_proven() -> None:
    node = behind()
    async with comparing(node):
        await prove(node, heard=False)
        assert (node.delivered(), node.reads) == ([], [])


@on_manual_time
async def test_a_hole_that_is_being_filled_is_not_found_again() -> None:
    node = behind()
    node.history_redis.hold(HISTORY_READ)
    node.deliver_batch(LOBBY, 12)
    async with comparing(node):
        await prove(node)
        await next_barrier()
        await prove(node)
        assert node.reads == [11]


@on_manual_time
async def test_heads_are_compared_again_and_again() -> None:
    node = behind()
    async with comparing(node):
        await prove(node)
        node.delivered()
        node.history_redis.log_of(LOBBY).append(13)
        await next_barrier()
        await prove(node)
        assert (node.delivered(), node.statistic("barriers")) == ([13], 2)


@on_manual_time
async def test_after_the_link_was_away_heads_are_compared_at_once() -> None:
    node = behind()
    async with comparing(node):
        await prove(node)
        node.history_redis.log_of(LOBBY).append(13)
        node.delivered()
        node.tracker.hurry()
        await turns()
        await prove(node)
        assert (node.delivered(), len(node.proofs)) == ([13], 2)


@on_manual_time
async def test_each_partition_is_read_and_proven_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursors_module, "PIECE", 3)
    rooms = [KEYSPACE.room(RoomName(f"room-{number}")) for number in range(200)]
    node = TrackerDriver()
    for room in rooms:
        node.history_redis.log_of(room).append(11)
        node.follow(room, at=10)
    partitions = {room.partition for room in rooms}
    async with comparing(node):
        assert sorted(node.proof_partitions) == sorted(partitions)
        assert max(len(words) for words in node.history_redis.arguments_of("MGET")) == 3
        lost = rooms[0].partition
        for partition, proof in zip(node.proof_partitions, node.proofs, strict=True):
            proof.set_result(partition != lost)
        await turns(60)
        assert sorted(node.delivered_with_channel()) == sorted(
            (room.name, 11) for room in rooms if room.partition != lost
        )


# ---- what a head does not say


@on_manual_time
async def test_a_head_of_an_epoch_that_the_cursor_has_left_says_nothing() -> None:
    node = behind()
    async with comparing(node):
        node.deliver_batch(LOBBY, 5, epoch="life-2")
        node.delivered()
        await prove(node)
        assert (node.delivered(), node.reads) == ([], [])
        assert node.tracker.position(LOBBY) == Position("life-2", 5)


@on_manual_time
async def test_a_head_of_a_channel_that_was_dropped_says_nothing_to_who_follows_it_now() -> None:
    node = behind()
    async with comparing(node):
        node.tracker.drop(LOBBY.address)
        node.follow(LOBBY, at=11)
        await prove(node)
        assert (node.delivered(), node.reads) == ([], [])


@on_manual_time
async def test_a_head_of_another_epoch_is_told() -> None:
    node = behind()
    node.history_redis.log_of(LOBBY).head = Position("life-2", 3)
    async with comparing(node):
        await prove(node)
        assert node.delivered() == ["life-2/3"]
        assert node.tracker.position(LOBBY) == Position("life-2", 3)


@on_manual_time
async def test_where_the_head_is_gone_a_new_epoch_begins_and_is_told() -> None:
    node = behind()
    node.history_redis.log_of(LOBBY).head = None
    async with comparing(node):
        await prove(node)
        assert node.delivered() == [f"{node.history_redis.next_epoch}/0"]
        node.deliver_batch(LOBBY, 1, epoch=node.history_redis.next_epoch)
        assert node.delivered() == [1]


@on_manual_time
async def test_where_the_server_has_another_life_a_new_epoch_begins_and_is_told() -> None:
    node = behind()
    node.deliver_batch(LOBBY, 11, 12)
    node.delivered()
    node.history_redis.life, node.history_redis.next_epoch = "other", "other-1"
    async with comparing(node):
        await prove(node)
        assert node.delivered() == ["other-1/12"]


@on_manual_time
async def test_where_the_server_has_no_life_yet_the_head_is_asked_for() -> None:
    node = behind()
    node.history_redis.life = None
    async with comparing(node):
        await prove(node)
        assert node.delivered() == [11, 12]


@on_manual_time
async def test_while_no_position_is_known_a_missing_head_is_left_to_those_who_enter() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=None)
    async with comparing(node):
        await prove(node)
        assert (node.reads, node.tracker.position(LOBBY)) == ([], None)


@on_manual_time
async def test_whoever_was_let_in_without_a_position_gets_it_from_the_barrier() -> None:
    node = TrackerDriver()
    node.history_redis.log_of(LOBBY).head = Position(EPOCH, 10)
    node.follow(LOBBY, at=None)
    node.tracker.unplaced(LOBBY)
    async with comparing(node):
        await prove(node)
        assert node.delivered() == [f"{EPOCH}/10"]


@on_manual_time
async def test_whoever_was_let_in_without_a_position_where_there_is_no_head_gets_one_too() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=None)
    node.tracker.unplaced(LOBBY)
    async with comparing(node):
        await prove(node)
        assert node.delivered() == [f"{node.history_redis.next_epoch}/0"]


# ---- Redis is away


@pytest.mark.parametrize("what", ["HGET", "MGET"])
@on_manual_time
async def test_heads_that_can_not_be_read_are_read_the_next_time(what: str) -> None:
    node = behind()
    node.history_redis.leave_unconfirmed(what)
    async with comparing(node):
        assert node.proofs == []
        node.history_redis.confirm_again(what)
        await next_barrier()
        await prove(node)
        assert node.delivered() == [11, 12]


@on_manual_time
async def test_a_new_epoch_that_can_not_be_begun_is_begun_the_next_time() -> None:
    node = behind()
    node.history_redis.log_of(LOBBY).head = None
    node.history_redis.leave_unconfirmed(HISTORY_READ)
    async with comparing(node):
        await prove(node)
        assert node.delivered() == []
        node.history_redis.confirm_again(HISTORY_READ)
        await next_barrier()
        await prove(node)
        assert node.delivered() == [f"{node.history_redis.next_epoch}/0"]
