"""The pipeline, seen by a publisher: one write per loop turn, one deadline, no retry, never a false success."""

import asyncio

import pytest
from tannoy.fanout.redis.errors import CommandFailed
from tannoy.fanout.redis.in_flight import COMMAND_TIMEOUT, MAX_BYTES
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.errors import Unavailable

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.memory_publisher import LOBBY, packed, publication, running_publisher
from tests.support.memory_redis import NOWHERE, MemoryRedis


@on_manual_time
async def test_a_publish_completes_with_the_reply_of_redis(redis: MemoryRedis) -> None:
    redis.replies[b"PUBLISH"] = b":3\r\n"
    async with running_publisher() as publisher:
        assert await publisher.send(LOBBY.address, b"hi") == 3
    assert redis.arguments_of("PUBLISH") == [[LOBBY.address, b"hi"]]


@on_manual_time
async def test_all_publishes_of_one_loop_turn_are_one_write_in_order(redis: MemoryRedis) -> None:
    async with running_publisher() as publisher:
        redis.reads.clear()
        confirmed = [publisher.publish(LOBBY, publication(b"%d" % number)) for number in range(50)]
        await asyncio.gather(*confirmed)
    assert redis.reads == [50]
    assert [payload for _, payload in redis.arguments_of("PUBLISH")] == [packed(b"%d" % number) for number in range(50)]


@on_manual_time
async def test_a_refused_publish_raises_unavailable_with_the_reason_and_without_the_words_of_redis(
    redis: MemoryRedis,
) -> None:
    redis.replies[b"PUBLISH"] = b"-NOPERM User tannoy has no permissions to run 'publish'\r\n"
    async with running_publisher() as publisher:
        with pytest.raises(CommandFailed) as failed:
            await publisher.publish(LOBBY, publication(b"hi"))
    assert failed.value.message == "the bus did not confirm: Redis does not allow it to the user of the node"
    assert failed.value.refusal is not None
    assert failed.value.refusal.code == "NOPERM"


@on_manual_time
async def test_an_unanswered_publish_raises_unavailable_within_half_a_second(redis: MemoryRedis) -> None:
    async with running_publisher() as publisher:
        redis.mute = True
        before = manual_clock().monotonic()
        with pytest.raises(Unavailable):
            await publisher.publish(LOBBY, publication(b"hi"))
        assert manual_clock().monotonic() - before <= 0.5


@on_manual_time
async def test_each_publish_has_a_deadline_of_its_own(redis: MemoryRedis) -> None:
    async with running_publisher(connected=False) as publisher:
        redis.refuses_connections = True
        early = publisher.publish(LOBBY, publication(b"1"))
        await asyncio.sleep(COMMAND_TIMEOUT / 2)
        late = publisher.publish(LOBBY, publication(b"2"))
        await asyncio.sleep(COMMAND_TIMEOUT * 0.6)
        assert (early.done(), late.done()) == (True, False)
        await asyncio.sleep(COMMAND_TIMEOUT / 2)
        assert late.done()
        assert isinstance(early.exception(), Unavailable)
        assert isinstance(late.exception(), Unavailable)


@on_manual_time
async def test_a_pipeline_with_another_command_timeout_fails_its_commands_after_that(redis: MemoryRedis) -> None:
    pipeline = Pipeline(NOWHERE, name="test", scripts=(), command_timeout=7.0)
    before = manual_clock().monotonic()
    with pytest.raises(Unavailable):
        await pipeline.send("PING")
    assert manual_clock().monotonic() - before == pytest.approx(7.0)


@on_manual_time
async def test_a_missed_deadline_replaces_the_connection(redis: MemoryRedis) -> None:
    async with running_publisher() as publisher:
        redis.mute = True
        with pytest.raises(Unavailable):
            await publisher.publish(LOBBY, publication(b"lost"))
        redis.mute = False
        await turns()
        await publisher.publish(LOBBY, publication(b"next"))
    assert redis.connection_attempts == 2


@on_manual_time
async def test_a_publish_in_flight_on_a_lost_connection_fails_and_is_not_repeated(redis: MemoryRedis) -> None:
    async with running_publisher() as publisher:
        redis.mute = True
        confirmed = publisher.publish(LOBBY, publication(b"maybe"))
        await turns(2)
        redis.break_connection()
        redis.mute = False
        with pytest.raises(Unavailable):
            await confirmed
        await asyncio.sleep(COMMAND_TIMEOUT)
    assert len(redis.arguments_of("PUBLISH")) == 1


@on_manual_time
async def test_a_publish_before_the_connection_is_sent_once_it_is_open(redis: MemoryRedis) -> None:
    async with running_publisher(connected=False) as publisher:
        await publisher.publish(LOBBY, publication(b"hi"))


@on_manual_time
async def test_a_publish_that_missed_its_deadline_is_not_sent_on_a_later_connection(redis: MemoryRedis) -> None:
    redis.refuses_connections = True
    async with running_publisher(connected=False) as publisher:
        with pytest.raises(Unavailable):
            await publisher.publish(LOBBY, publication(b"too late"))
        redis.refuses_connections = False
        await publisher.pipeline.connected.wait()
        await publisher.publish(LOBBY, publication(b"in time"))
    assert [payload for _, payload in redis.arguments_of("PUBLISH")] == [packed(b"in time")]


@on_manual_time
async def test_a_publish_at_the_moment_of_the_loss_is_answered_within_the_deadline(redis: MemoryRedis) -> None:
    # The connection is lost and the pipeline has not noticed yet.
    async with running_publisher() as publisher:
        redis.break_connection()
        confirmed = publisher.publish(LOBBY, publication(b"hi"))
        await asyncio.sleep(COMMAND_TIMEOUT * 1.1)
        assert confirmed.done()
        confirmed.exception()


@on_manual_time
async def test_connected_is_cleared_when_the_connection_is_lost(redis: MemoryRedis) -> None:
    async with running_publisher() as publisher:
        assert publisher.pipeline.connected.is_set()
        redis.refuses_connections = True
        redis.break_connection()
        await turns()
        assert not publisher.pipeline.connected.is_set()


@on_manual_time
async def test_a_publish_beyond_the_byte_bound_fails_at_once(redis: MemoryRedis) -> None:
    half = b"x" * (MAX_BYTES // 2 - 1000)
    async with running_publisher(connected=False) as publisher:
        redis.refuses_connections = True
        fits = [publisher.send(LOBBY.address, half) for _ in range(2)]
        refused = publisher.send(LOBBY.address, b"x" * 2000)
        assert [future.done() for future in (*fits, refused)] == [False, False, True]
        with pytest.raises(Unavailable, match="overloaded"):
            await refused
        await asyncio.gather(*fits, return_exceptions=True)
        await turns()
        assert publisher.pipeline.statistics().in_flight_bytes == 0


@on_manual_time
async def test_an_answered_publish_is_no_longer_counted_as_in_flight(redis: MemoryRedis) -> None:
    async with running_publisher() as publisher:
        await asyncio.gather(*(publisher.publish(LOBBY, publication(b"x" * 100)) for _ in range(20)))
        await turns()
        statistics = publisher.pipeline.statistics()
    assert (statistics.in_flight, statistics.in_flight_bytes) == (0, 0)
    assert (statistics.answered, statistics.failed) == (20, 0)


@on_manual_time
async def test_a_cancelled_publish_does_not_shift_the_replies_of_the_others(redis: MemoryRedis) -> None:
    async with running_publisher() as publisher:
        redis.replies[b"PUBLISH"] = b":1\r\n"
        given_up = publisher.send(LOBBY.address, b"1")
        await turns(1)
        redis.replies[b"PUBLISH"] = b":2\r\n"
        second = publisher.send(LOBBY.address, b"2")
        given_up.cancel()
        assert await second == 2


@on_manual_time
async def test_a_large_reply_that_is_late_costs_no_connection(redis: MemoryRedis) -> None:
    async with running_publisher() as publisher:
        redis.replies[b"GET"] = b"$10\r\nhalf "
        large = publisher.pipeline.send("GET", "large")
        with pytest.raises(Unavailable):
            await large
        redis.replies[b"GET"] = b"later\r\n$5\r\nsmall\r\n"
        assert await publisher.pipeline.send("GET", "small") == b"small"
    assert redis.connection_attempts == 1


@on_manual_time
async def test_a_command_that_is_late_behind_others_that_were_answered_fails_alone(redis: MemoryRedis) -> None:
    async with running_publisher() as publisher:
        redis.mute = True
        first = publisher.send(LOBBY.address, b"first")
        late = publisher.send(LOBBY.address, b"late")
        await asyncio.sleep(COMMAND_TIMEOUT * 0.9)
        redis.deliver(b":1\r\n")
        behind = publisher.send(LOBBY.address, b"behind")
        assert await first == 1
        with pytest.raises(Unavailable):
            await late
        redis.deliver(b":2\r\n:3\r\n")
        assert await behind == 3
    assert redis.connection_attempts == 1
