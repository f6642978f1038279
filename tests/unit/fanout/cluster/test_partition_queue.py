"""The queue of one partition: no command overtakes another, whatever was redirected."""

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
    queue: PartitionQueue, name: str, *, is_check: bool = False, ask_server: RedisAddress | None = None
) -> QueuedCommand:
    made = QueuedCommand(queue, (name,), None, is_check)
    made.ask_server = ask_server
    return made


def taken(queue: PartitionQueue) -> list[tuple[str, RedisAddress]]:
    return [(str(command.words[0]), goes_to) for command, goes_to in queue.take(W)]


async def test_redirected_commands_go_before_those_that_wait(queue: PartitionQueue) -> None:
    queue.waiting = [command(queue, "3")]
    queue.returned = [command(queue, "1"), command(queue, "2")]
    assert taken(queue) == [("1", W), ("2", W), ("3", W)]
    assert queue.is_open


async def test_nothing_is_sent_while_a_command_is_in_flight(queue: PartitionQueue) -> None:
    queue.returned = [command(queue, "1")]
    queue.in_flight = 1
    assert taken(queue) == []
    queue.in_flight = 0
    assert taken(queue) == [("1", W)]


async def test_nothing_is_sent_while_the_queue_is_paused(queue: PartitionQueue) -> None:
    queue.is_paused = True
    queue.returned = [command(queue, "1")]
    assert (taken(queue), queue.is_open) == ([], False)


async def test_a_command_of_a_migrating_key_goes_to_the_target(queue: PartitionQueue) -> None:
    queue.returned = [command(queue, "1", ask_server=X), command(queue, "2", ask_server=X)]
    queue.waiting = [command(queue, "3")]
    assert taken(queue) == [("1", X), ("2", X), ("3", W)]


async def test_a_command_for_the_target_does_not_overtake_one_for_the_owner(queue: PartitionQueue) -> None:
    # The first one's keys were half-way: it is tried again at the owner, and so is all that came behind it.
    queue.returned = [command(queue, "1"), command(queue, "2", ask_server=X)]
    assert taken(queue) == [("1", W), ("2", W)]


async def test_a_command_goes_to_the_target_once_and_then_to_the_owner(queue: PartitionQueue) -> None:
    (again,) = queue.returned = [command(queue, "1", ask_server=X)]
    assert taken(queue) == [("1", X)]
    queue.returned = [again]
    assert taken(queue) == [("1", W)]


async def test_only_checks_are_sent_until_the_master_has_been_checked(queue: PartitionQueue) -> None:
    queue.owner = None
    queue.returned = [command(queue, "1")]
    queue.waiting = [command(queue, "2"), command(queue, "hello", is_check=True)]
    assert (taken(queue), queue.is_open) == ([("hello", W)], False)
    queue.owner = W
    assert taken(queue) == [("1", W), ("2", W)]


async def test_commands_that_failed_while_they_waited_are_dropped(queue: PartitionQueue) -> None:
    queue.returned, queue.waiting = [command(queue, "1")], [command(queue, "2"), command(queue, "3")]
    for overdue in (queue.returned[0], queue.waiting[0]):
        overdue.answer.set_result(None)
    queue.forget_done()
    assert (len(queue.returned), len(queue.waiting)) == (0, 1)
    queue.waiting[0].answer.cancel()
    await asyncio.sleep(0)
    assert taken(queue) == []
