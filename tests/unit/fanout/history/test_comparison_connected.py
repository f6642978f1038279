"""Before a new connection is used: does the server have all messages that the node has delivered?"""

import pytest
from tannoy.fanout.scripts import SERVER_DOUBT
from tannoy.shared.errors import Unavailable
from tannoy.shared.publication import Position

from tests.support.barriers import LOBBY, comparing, end_barriers
from tests.support.clock import on_manual_time
from tests.support.scripted_history import EPOCH, TrackerDriver

PARTITIONS = (LOBBY.partition,)


def delivered_up_to(offset: int, head: Position | None) -> TrackerDriver:
    node = TrackerDriver()
    node.history_redis.log_of(LOBBY).head = head
    node.follow(LOBBY, at=offset)
    return node


def ended(node: TrackerDriver) -> int:
    """How many lives were ended."""
    return len(node.history_redis.arguments_of(SERVER_DOUBT))


@on_manual_time
async def test_an_epoch_ends_of_which_the_server_lacks_messages() -> None:
    node = delivered_up_to(12, head=Position(EPOCH, 11))
    await node.tracker.comparison.end_lost_epochs(node.history_redis, PARTITIONS)
    assert ended(node) == 1


@pytest.mark.parametrize("head", [Position(EPOCH, 12), Position(EPOCH, 13), Position("life-2", 3), None], ids=str)
@on_manual_time
async def test_an_epoch_goes_on_of_which_no_message_is_known_to_lack(head: Position | None) -> None:
    node = delivered_up_to(12, head)
    await node.tracker.comparison.end_lost_epochs(node.history_redis, PARTITIONS)
    assert ended(node) == 0


@on_manual_time
async def test_other_partitions_are_not_asked() -> None:
    node = delivered_up_to(12, head=Position(EPOCH, 11))
    await node.tracker.comparison.end_lost_epochs(node.history_redis, [LOBBY.partition + 1])
    assert node.history_redis.calls == []


@on_manual_time
async def test_what_the_server_does_not_answer_is_raised() -> None:
    node = delivered_up_to(12, head=Position(EPOCH, 11))
    node.history_redis.leave_unconfirmed("MGET")
    with pytest.raises(Unavailable):
        await node.tracker.comparison.end_lost_epochs(node.history_redis, PARTITIONS)


@on_manual_time
async def test_clients_are_told_of_the_new_epoch_by_a_barrier_at_once() -> None:
    node = delivered_up_to(12, head=Position(EPOCH, 12))
    async with comparing(node):
        await end_barriers(node)
        node.history_redis.log_of(LOBBY).head = Position(EPOCH, 11)
        await node.tracker.comparison.end_lost_epochs(node.history_redis, PARTITIONS)
        await end_barriers(node)
        await end_barriers(node)
        assert node.delivered() == ["after-1/11"]
