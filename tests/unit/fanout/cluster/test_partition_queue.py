"""The lane to one partition: nothing overtakes, whatever came back."""

import asyncio

import pytest
from tannoy.fanout.cluster.partition_queue import PartitionQueue, QueuedCommand
from tannoy.fanout.redis.address import RedisAddress

W, X = (RedisAddress(host, 6379, None, None, 0, None) for host in "wx")


@pytest.fixture
async def queue(anyio_backend: str) -> PartitionQueue:
    queue = PartitionQueue(0)
    queue.owner = W
    return queue


def command(
    queue: PartitionQueue, name: str, *, greets: bool = False, asks: RedisAddress | None = None
) -> QueuedCommand:
    made = QueuedCommand(queue, (name,), None, greets)
    made.asks = asks
    return made


def taken(queue: PartitionQueue) -> list[tuple[str, RedisAddress]]:
    return [(str(command.words[0]), goes_to) for command, goes_to in queue.take(W)]


async def test_what_came_back_goes_before_what_waits(queue: PartitionQueue) -> None:
    queue.waiting = [command(queue, "3")]
    queue.returned = [command(queue, "1"), command(queue, "2")]
    assert taken(queue) == [("1", W), ("2", W), ("3", W)]
    assert queue.is_open


async def test_nothing_goes_while_something_is_under_way(queue: PartitionQueue) -> None:
    queue.returned = [command(queue, "1")]
    queue.under_way = 1
    assert taken(queue) == []
    queue.under_way = 0
    assert taken(queue) == [("1", W)]


async def test_nothing_goes_while_it_has_to_wait(queue: PartitionQueue) -> None:
    queue.has_to_wait = True
    queue.returned = [command(queue, "1")]
    assert (taken(queue), queue.is_open) == ([], False)


async def test_what_has_to_ask_elsewhere_does(queue: PartitionQueue) -> None:
    queue.returned = [command(queue, "1", asks=X), command(queue, "2", asks=X)]
    queue.waiting = [command(queue, "3")]
    assert taken(queue) == [("1", X), ("2", X), ("3", W)]


async def test_what_has_to_ask_elsewhere_does_not_overtake(queue: PartitionQueue) -> None:
    # The first one's keys were half-way: it is tried again at the owner, and so is all that came behind it.
    queue.returned = [command(queue, "1"), command(queue, "2", asks=X)]
    assert taken(queue) == [("1", W), ("2", W)]


async def test_it_asks_once_and_then_goes_where_all_go(queue: PartitionQueue) -> None:
    (again,) = queue.returned = [command(queue, "1", asks=X)]
    assert taken(queue) == [("1", X)]
    queue.returned = [again]
    assert taken(queue) == [("1", W)]


async def test_until_the_owner_is_greeted_only_the_greeting_goes(queue: PartitionQueue) -> None:
    queue.owner = None
    queue.returned = [command(queue, "1")]
    queue.waiting = [command(queue, "2"), command(queue, "hello", greets=True)]
    assert (taken(queue), queue.is_open) == ([("hello", W)], False)
    queue.owner = W
    assert taken(queue) == [("1", W), ("2", W)]


async def test_what_was_answered_meanwhile_is_forgotten(queue: PartitionQueue) -> None:
    queue.returned, queue.waiting = [command(queue, "1")], [command(queue, "2"), command(queue, "3")]
    for overdue in (queue.returned[0], queue.waiting[0]):
        overdue.answer.set_result(None)
    queue.forget_done()
    assert (len(queue.returned), len(queue.waiting)) == (0, 1)
    queue.waiting[0].answer.cancel()
    await asyncio.sleep(0)
    assert taken(queue) == []
