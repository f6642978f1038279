"""Heads of channels without messages are released once this node follows the channel no longer."""

import asyncio

import pytest
from tannoy.fanout.history import silent_heads as silent_heads_module
from tannoy.fanout.history.comparison import BARRIER_PERIOD
from tannoy.fanout.scripts import HEAD_RELEASE
from tannoy.shared.names import RoomName
from tannoy.shared.publication import Position

from tests.support.barriers import LOBBY, comparing, end_barriers, next_barrier
from tests.support.clock import on_manual_time, turns
from tests.support.scripted_history import EPOCH, KEYSPACE, TrackerDriver


def released(node: TrackerDriver) -> list[bytes]:
    """The channels whose heads were released."""
    return [words[0] for words in node.history_redis.arguments_of(HEAD_RELEASE)]


async def periods(node: TrackerDriver, count: int) -> None:
    for _ in range(count):
        await end_barriers(node)
        await next_barrier()
        await end_barriers(node)


@on_manual_time
async def test_the_head_of_a_silent_channel_is_released_a_period_after_it_was_dropped() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=0)
    async with comparing(node):
        await end_barriers(node)
        node.tracker.drop(LOBBY.address)
        await periods(node, 1)
        assert released(node) == []
        await periods(node, 2)
        assert released(node) == [LOBBY.address]


@pytest.mark.parametrize("at", [None, 10], ids=["no position", "messages"])
@on_manual_time
async def test_the_head_of_a_channel_that_is_not_known_to_be_silent_is_not_released(at: int | None) -> None:
    node = TrackerDriver()
    node.history_redis.log_of(LOBBY).head = Position(EPOCH, 10)
    node.follow(LOBBY, at=at)
    async with comparing(node):
        await end_barriers(node)
        node.tracker.drop(LOBBY.address)
        await periods(node, 3)
        assert released(node) == []


@on_manual_time
async def test_the_head_of_a_channel_that_is_followed_again_is_not_released() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=0)
    async with comparing(node):
        await end_barriers(node)
        node.tracker.drop(LOBBY.address)
        node.follow(LOBBY, at=0)
        await periods(node, 3)
        assert released(node) == []


@on_manual_time
async def test_heads_that_wait_to_be_released_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silent_heads_module, "PENDING_MAX", 5)
    node = TrackerDriver()
    rooms = [KEYSPACE.room(RoomName(f"room-{number}")) for number in range(9)]
    async with comparing(node):
        for room in rooms:
            node.follow(room, at=0)
            node.tracker.drop(room.address)
        await periods(node, 3)
        assert len(released(node)) == 5


@on_manual_time
async def test_a_release_that_redis_does_not_confirm_stops_no_comparison() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=0)
    node.history_redis.leave_unconfirmed(HEAD_RELEASE)
    async with comparing(node):
        await end_barriers(node)
        node.tracker.drop(LOBBY.address)
        await periods(node, 3)
        before = node.statistic("barriers")
        await asyncio.sleep(BARRIER_PERIOD)
        await turns()
        assert node.statistic("barriers") == before + 1
