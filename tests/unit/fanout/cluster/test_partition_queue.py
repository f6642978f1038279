"""The lane to one partition: nothing overtakes, whatever came back."""

import asyncio

import pytest
from tannoy.fanout.cluster.partition_queue import Lane, LaneCommand
from tannoy.fanout.redis.address import RedisAddress

W, X = (RedisAddress(host, 6379, None, None, 0, None) for host in "wx")


@pytest.fixture
async def lane(anyio_backend: str) -> Lane:
    lane = Lane(0)
    lane.owner = W
    return lane


def command(lane: Lane, name: str, *, greets: bool = False, asks: RedisAddress | None = None) -> LaneCommand:
    made = LaneCommand(lane, (name,), None, greets)
    made.asks = asks
    return made


def taken(lane: Lane) -> list[tuple[str, RedisAddress]]:
    return [(str(command.words[0]), goes_to) for command, goes_to in lane.take(W)]


async def test_what_came_back_goes_before_what_waits(lane: Lane) -> None:
    lane.waiting = [command(lane, "3")]
    lane.returned = [command(lane, "1"), command(lane, "2")]
    assert taken(lane) == [("1", W), ("2", W), ("3", W)]
    assert lane.is_open


async def test_nothing_goes_while_something_is_under_way(lane: Lane) -> None:
    lane.returned = [command(lane, "1")]
    lane.under_way = 1
    assert taken(lane) == []
    lane.under_way = 0
    assert taken(lane) == [("1", W)]


async def test_nothing_goes_while_it_has_to_wait(lane: Lane) -> None:
    lane.has_to_wait = True
    lane.returned = [command(lane, "1")]
    assert (taken(lane), lane.is_open) == ([], False)


async def test_what_has_to_ask_elsewhere_does(lane: Lane) -> None:
    lane.returned = [command(lane, "1", asks=X), command(lane, "2", asks=X)]
    lane.waiting = [command(lane, "3")]
    assert taken(lane) == [("1", X), ("2", X), ("3", W)]


async def test_what_has_to_ask_elsewhere_does_not_overtake(lane: Lane) -> None:
    # The first one's keys were half-way: it is tried again at the owner, and so is all that came behind it.
    lane.returned = [command(lane, "1"), command(lane, "2", asks=X)]
    assert taken(lane) == [("1", W), ("2", W)]


async def test_it_asks_once_and_then_goes_where_all_go(lane: Lane) -> None:
    (again,) = lane.returned = [command(lane, "1", asks=X)]
    assert taken(lane) == [("1", X)]
    lane.returned = [again]
    assert taken(lane) == [("1", W)]


async def test_until_the_owner_is_greeted_only_the_greeting_goes(lane: Lane) -> None:
    lane.owner = None
    lane.returned = [command(lane, "1")]
    lane.waiting = [command(lane, "2"), command(lane, "hello", greets=True)]
    assert (taken(lane), lane.is_open) == ([("hello", W)], False)
    lane.owner = W
    assert taken(lane) == [("1", W), ("2", W)]


async def test_what_was_answered_meanwhile_is_forgotten(lane: Lane) -> None:
    lane.returned, lane.waiting = [command(lane, "1")], [command(lane, "2"), command(lane, "3")]
    for overdue in (lane.returned[0], lane.waiting[0]):
        overdue.answer.set_result(None)
    lane.forget_done()
    assert (len(lane.returned), len(lane.waiting)) == (0, 1)
    lane.waiting[0].answer.cancel()
    await asyncio.sleep(0)
    assert taken(lane) == []
