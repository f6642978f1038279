"""A node with many silent channels: what is compared in one period, and in one turn of the event loop."""

import asyncio

import pytest
from tannoy.fanout.history import comparison as comparison_module
from tannoy.fanout.history import tracked as tracked_module
from tannoy.fanout.history.comparison import BARRIER_PERIOD, HeadVerdict, judge_head
from tannoy.fanout.history.cursor import Cursor
from tannoy.shared.channels import Channel
from tannoy.shared.names import RoomName
from tannoy.shared.publication import Position

from tests.support.barriers import comparing, end_barriers, next_barrier
from tests.support.clock import on_manual_time, turns
from tests.support.scripted_history import EPOCH, KEYSPACE, TrackerDriver

ROOMS = [KEYSPACE.room(RoomName(f"room-{number}")) for number in range(100)]


@pytest.fixture(autouse=True)
def _few_in_a_period(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten heads in a period, two of them at least for the rotation."""
    monkeypatch.setattr(tracked_module, "HEADS_PER_PERIOD", 10)
    monkeypatch.setattr(tracked_module, "HEADS_IN_ROTATION", 2)


def following(*rooms: Channel) -> TrackerDriver:
    node = TrackerDriver()
    for room in rooms:
        node.history_redis.log_of(room).head = Position(EPOCH, 10)
        node.follow(room, at=10)
    return node


def heads_read(node: TrackerDriver) -> list[bytes]:
    """Each head that was read since the last call, in order."""
    read = [key for keys in node.history_redis.arguments_of("MGET") for key in keys]
    node.history_redis.calls.clear()
    return read


def suspect_recent(node: TrackerDriver) -> bytes:
    """A delivery of a channel was dropped whose next turn in the rotation comes last; returns its head."""
    recent = heads_read(node)[0]
    node.tracker.suspect(next(room.address for room in ROOMS if KEYSPACE.history(room).head == recent))
    return recent


async def all_barriers_end(node: TrackerDriver) -> None:
    """Until no piece is left to be read."""
    while any(not proof.done() for proof in node.proofs):
        await end_barriers(node)


@on_manual_time
async def test_silent_channels_are_compared_in_rotation_so_many_in_a_period() -> None:
    node = following(*ROOMS)
    async with comparing(node):
        read: list[bytes] = []
        for _ in range(10):
            await all_barriers_end(node)
            read += (part := heads_read(node))
            assert len(part) == 10
            await next_barrier()
        assert len(set(read)) == 100


@on_manual_time
async def test_the_lost_end_of_an_active_channel_is_found_with_the_next_period() -> None:
    node = following(*ROOMS)
    async with comparing(node):
        await all_barriers_end(node)
        node.deliver_batch(ROOMS[99], 11)
        node.history_redis.log_of(ROOMS[99]).append(11, 12)
        await next_barrier()
        await all_barriers_end(node)
        assert node.delivered() == [11, 12]


@on_manual_time
async def test_the_lost_message_of_a_silent_channel_is_found_with_its_turn() -> None:
    node = following(*ROOMS)
    async with comparing(node):
        node.history_redis.log_of(ROOMS[99]).append(11)
        for _ in range(10):
            await all_barriers_end(node)
            await next_barrier()
        assert node.delivered() == [11]


@on_manual_time
async def test_a_channel_of_which_a_delivery_was_dropped_is_compared_with_the_next_period() -> None:
    node = following(*ROOMS)
    async with comparing(node):
        await all_barriers_end(node)
        recent = suspect_recent(node)
        await next_barrier()
        assert recent in heads_read(node)


@on_manual_time
async def test_what_is_due_and_could_not_be_compared_stays_due() -> None:
    node = following(*ROOMS)
    async with comparing(node):
        await all_barriers_end(node)
        recent = suspect_recent(node)
        await next_barrier()
        assert recent in heads_read(node)
        await end_barriers(node, succeeded=False)
        await next_barrier()
        assert recent in heads_read(node)


@on_manual_time
async def test_all_channels_are_compared_at_once_after_the_link_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison_module, "HEADS_AT_ONCE", 30)
    node = following(*ROOMS)
    async with comparing(node):
        await all_barriers_end(node)
        heads_read(node)
        node.tracker.comparison.compare_partitions_soon()
        await turns()
        assert len(heads_read(node)) == 30
        await end_barriers(node)
        assert len(heads_read(node)) == 30
        await all_barriers_end(node)
        assert len(heads_read(node)) == 40


@on_manual_time
async def test_partitions_that_could_not_be_compared_after_the_link_was_away_are_compared_again() -> None:
    node = following(*ROOMS)
    async with comparing(node):
        await all_barriers_end(node)
        node.tracker.comparison.compare_partitions_soon()
        await turns()
        lost = {room.partition for room in ROOMS[:30]}
        first = len(node.proofs) - len({room.partition for room in ROOMS})
        for partition, proof in list(zip(node.proof_partitions, node.proofs, strict=True))[first:]:
            proof.set_result(partition not in lost)
        await turns()
        await all_barriers_end(node)
        heads_read(node)
        await next_barrier()
        again = {KEYSPACE.history(room).head for room in ROOMS if room.partition in lost}
        assert again <= set(heads_read(node))
        await all_barriers_end(node)


@on_manual_time
async def test_the_rotation_goes_on_while_one_channel_is_marked_all_the_time() -> None:
    node = following(*ROOMS)
    async with comparing(node):
        read: set[bytes] = set()
        for _ in range(40 * 14):
            await all_barriers_end(node)
            read.update(heads_read(node))
            node.tracker.suspect(ROOMS[0].address)
            node.tracker.comparison.compare_partitions_soon((ROOMS[0].partition,))
            await asyncio.sleep(BARRIER_PERIOD / 40)
        assert len(read) == 100


@on_manual_time
async def test_a_channel_that_is_where_its_head_is_is_not_looked_at_further(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[Cursor] = []

    def judge(cursor: Cursor, before: Position, head: Position | None) -> HeadVerdict:
        looked_at.append(cursor)
        return judge_head(cursor, before, head)

    monkeypatch.setattr(comparison_module, "judge_head", judge)
    node = following(*ROOMS[:5])
    node.history_redis.log_of(ROOMS[3]).head = Position(EPOCH, 11)
    async with comparing(node):
        await all_barriers_end(node)

    assert len(looked_at) == 1
