"""Holes that can not be filled: history does not answer, or the channel is dropped meanwhile."""

import asyncio

import pytest
from tannoy.fanout.history import tracker as tracker_module
from tannoy.fanout.history.tracker import FILL_AGAIN_AFTER, FILL_DEADLINE
from tannoy.fanout.scripts import HISTORY_READ
from tannoy.shared.channels import Channel
from tannoy.shared.names import RoomName

from tests.support.barriers import LOBBY
from tests.support.clock import on_manual_time, turns
from tests.support.scripted_history import EPOCH, KEYSPACE, TrackerDriver

# ---- history does not answer


@on_manual_time
async def test_a_read_that_failed_is_repeated() -> None:
    node = TrackerDriver()
    node.history_redis.log_of(LOBBY).append(11, 12)
    node.history_redis.leave_unconfirmed(HISTORY_READ)
    node.follow(LOBBY, at=10)
    node.deliver_batch(LOBBY, 12)
    await asyncio.sleep(2.5 * FILL_AGAIN_AFTER)
    assert (len(node.reads), node.delivered()) == (3, [])
    node.history_redis.confirm_again(HISTORY_READ)
    await asyncio.sleep(FILL_AGAIN_AFTER)
    assert node.delivered() == [11, 12]
    assert node.statistic("resyncs") == 0


@on_manual_time
async def test_a_hole_that_can_not_be_read_in_time_gives_a_resync_and_the_channel_goes_on() -> None:
    node = TrackerDriver()
    node.history_redis.leave_unconfirmed(HISTORY_READ)
    node.follow(LOBBY, at=10)
    node.deliver_batch(LOBBY, 13, 14)
    await asyncio.sleep(FILL_DEADLINE)
    assert node.delivered() == []
    await asyncio.sleep(2 * FILL_AGAIN_AFTER)
    node.deliver_batch(LOBBY, 15)
    assert node.delivered() == [f"{EPOCH}/12", 13, 14, 15]


@on_manual_time
async def test_each_hole_has_a_deadline_of_its_own() -> None:
    node = TrackerDriver()
    node.history_redis.log_of(LOBBY).append(11, 12)
    node.history_redis.leave_unconfirmed(HISTORY_READ)
    node.follow(LOBBY, at=10)
    node.deliver_batch(LOBBY, 12)
    await asyncio.sleep(FILL_DEADLINE * 0.75)
    node.history_redis.confirm_again(HISTORY_READ)
    await asyncio.sleep(2 * FILL_AGAIN_AFTER)
    assert node.delivered() == [11, 12]
    node.history_redis.leave_unconfirmed(HISTORY_READ)
    node.deliver_batch(LOBBY, 14)
    await asyncio.sleep(FILL_DEADLINE * 0.75)
    assert node.delivered() == []


# ---- dropped meanwhile


def hole(node: TrackerDriver, channel: Channel = LOBBY) -> None:
    node.history_redis.log_of(channel).append(11, 12)
    node.follow(channel, at=10)
    node.deliver_batch(channel, 12)


@on_manual_time
async def test_a_page_for_a_dropped_channel_is_ignored() -> None:
    node = TrackerDriver()
    node.history_redis.hold(HISTORY_READ)
    hole(node)
    node.tracker.drop(LOBBY.address)
    node.follow(LOBBY, at=12)
    node.history_redis.answer_held(HISTORY_READ)
    await turns()
    assert node.delivered() == []
    assert node.statistic("filling") == 0


@on_manual_time
async def test_giving_up_a_hole_of_a_dropped_channel_gives_no_resync() -> None:
    node = TrackerDriver()
    node.history_redis.leave_unconfirmed(HISTORY_READ)
    hole(node)
    await turns()
    node.tracker.drop(LOBBY.address)
    node.follow(LOBBY, at=12)
    await asyncio.sleep(FILL_DEADLINE + 2 * FILL_AGAIN_AFTER)
    assert node.delivered() == []


@on_manual_time
async def test_a_channel_dropped_while_its_read_waits_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracker_module, "FILLS_AT_ONCE", 1)
    node = TrackerDriver()
    rooms = [KEYSPACE.room(RoomName(f"room-{number}")) for number in range(3)]
    for room in rooms:
        hole(node, room)
    node.tracker.drop(rooms[1].address)
    await turns(30)
    assert node.delivered_with_channel() == [("room-0", 11), ("room-0", 12), ("room-2", 11), ("room-2", 12)]


@on_manual_time
async def test_a_reply_that_can_not_be_read_counts_as_a_failed_read() -> None:
    node = TrackerDriver()
    node.history_redis.reply_with(HISTORY_READ, [b"life-1", []])
    node.follow(LOBBY, at=10)
    node.deliver_batch(LOBBY, 12)
    await asyncio.sleep(FILL_DEADLINE + 2 * FILL_AGAIN_AFTER)
    assert node.delivered() == [f"{EPOCH}/11", 12]
