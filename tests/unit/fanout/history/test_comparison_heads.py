"""What a head does to a cursor after a barrier: ignored, of another epoch, or missing."""

import pytest
from tannoy.fanout.history.reader import StoredHead, read_head
from tannoy.shared.publication import Position

from tests.support.barriers import LOBBY, behind, comparing, end_barriers, next_barrier
from tests.support.clock import on_manual_time, turns
from tests.support.scripted_history import EPOCH, TrackerDriver


@on_manual_time
async def test_a_head_of_an_epoch_that_the_cursor_has_left_is_ignored() -> None:
    node = behind()
    async with comparing(node):
        node.deliver_batch(LOBBY, 5, epoch="life-2")
        node.delivered()
        await end_barriers(node)
        assert (node.delivered(), node.reads) == ([], [])
        assert node.tracker.position(LOBBY) == Position("life-2", 5)


@on_manual_time
async def test_a_head_read_before_a_channel_was_dropped_is_ignored_when_it_is_followed_again() -> None:
    node = behind()
    async with comparing(node):
        node.tracker.drop(LOBBY.address)
        node.follow(LOBBY, at=11)
        await end_barriers(node)
        assert (node.delivered(), node.reads) == ([], [])


@on_manual_time
async def test_a_head_of_another_epoch_gives_a_resync() -> None:
    node = behind()
    node.history_redis.log_of(LOBBY).head = Position("life-2", 3)
    async with comparing(node):
        await end_barriers(node)
        assert node.delivered() == ["life-2/3"]
        assert node.tracker.position(LOBBY) == Position("life-2", 3)


@on_manual_time
async def test_a_log_of_another_epoch_gives_a_resync_only_after_a_barrier() -> None:
    node = behind()
    async with comparing(node):
        await end_barriers(node, succeeded=False)
        node.history_redis.log_of(LOBBY).head = Position("life-2", 20)
        node.deliver_batch(LOBBY, 13)
        await turns()
        assert (node.delivered(), len(node.proofs)) == ([], 2)
        await end_barriers(node)
        assert node.delivered() == ["life-2/20"]


@on_manual_time
async def test_a_session_that_began_in_an_epoch_of_a_former_server_gets_a_resync_after_a_barrier() -> None:
    node = behind()
    node.deliver_batch(LOBBY, 11, 12)
    node.tracker.start_at(LOBBY, Position("former", 30))
    async with comparing(node):
        assert node.delivered() == [11, 12]
        await end_barriers(node)
        assert node.delivered() == [f"{EPOCH}/12"]
        await next_barrier()
        await end_barriers(node)
        assert node.delivered() == []


@pytest.mark.parametrize("comes_over_the_link", [True, False])
@on_manual_time
async def test_a_session_that_began_in_the_next_epoch_gets_one_resync(comes_over_the_link: bool) -> None:
    node = behind()
    node.deliver_batch(LOBBY, 11, 12)
    node.tracker.start_at(LOBBY, Position("life-2", 12))
    node.delivered()
    if comes_over_the_link:
        node.deliver_batch(LOBBY, 13, epoch="life-2")
    node.history_redis.log_of(LOBBY).head = Position("life-2", 13)
    async with comparing(node):
        await end_barriers(node)
        await next_barrier()
        await end_barriers(node)
        assert node.delivered() == (["life-2/12", 13] if comes_over_the_link else ["life-2/13"])


@on_manual_time
async def test_a_missing_head_begins_a_new_epoch_with_a_resync() -> None:
    node = behind()
    node.history_redis.log_of(LOBBY).head = None
    async with comparing(node):
        await end_barriers(node)
        assert node.delivered() == [f"{node.history_redis.next_epoch}/0"]
        node.deliver_batch(LOBBY, 1, epoch=node.history_redis.next_epoch)
        assert node.delivered() == [1]


@on_manual_time
async def test_another_life_of_the_server_begins_a_new_epoch_with_a_resync() -> None:
    node = behind()
    node.deliver_batch(LOBBY, 11, 12)
    node.delivered()
    node.history_redis.life, node.history_redis.next_epoch = "other", "other-1"
    async with comparing(node):
        await end_barriers(node)
        assert node.delivered() == ["other-1/12"]


@on_manual_time
async def test_a_server_without_a_life_is_asked_for_the_head() -> None:
    node = behind()
    node.history_redis.life = None
    async with comparing(node):
        await end_barriers(node)
        assert node.delivered() == [11, 12]


@on_manual_time
async def test_a_missing_head_is_left_to_joins_while_no_position_is_known() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=None)
    async with comparing(node):
        await end_barriers(node)
        assert (node.reads, node.tracker.position(LOBBY)) == ([], None)


@on_manual_time
async def test_a_session_without_a_position_gets_it_from_the_barrier() -> None:
    node = TrackerDriver()
    node.history_redis.log_of(LOBBY).head = Position(EPOCH, 10)
    node.follow(LOBBY, at=None)
    node.tracker.reset_on_start(LOBBY)
    async with comparing(node):
        await end_barriers(node)
        assert node.delivered() == [f"{EPOCH}/10"]


@on_manual_time
async def test_a_session_without_a_position_gets_one_even_without_a_head() -> None:
    node = TrackerDriver()
    node.follow(LOBBY, at=None)
    node.tracker.reset_on_start(LOBBY)
    async with comparing(node):
        await end_barriers(node)
        assert node.delivered() == [f"{node.history_redis.next_epoch}/0"]


NO_OFFSETS = [b"-1", b"%d" % 2**53, b"9" * 30, b"9" * 400, b"9" * 5000, b"1e5", b""]


@pytest.mark.parametrize("offset", NO_OFFSETS, ids=lambda offset: f"{len(offset)} bytes: {offset[:20].decode()}")
def test_a_head_with_an_offset_that_redis_assigns_to_no_message_counts_as_missing(offset: bytes) -> None:
    """Beyond 64 bits it could not be told to a client."""
    assert read_head(StoredHead(b"life", b"life-1 " + offset)) is None


def test_the_last_offset_of_an_epoch_is_read() -> None:
    assert read_head(StoredHead(b"life", b"life-1 %d" % (2**53 - 1))) == Position("life-1", 2**53 - 1)
