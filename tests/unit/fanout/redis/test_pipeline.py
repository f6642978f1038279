"""The pipeline, seen by a publisher: one write per loop turn, one deadline, no retry, never a false success."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tannoy.fanout.history.publisher import REMEMBER_KEY_SECONDS, Publisher
from tannoy.fanout.history.reader import HistoryRules
from tannoy.fanout.pubsub.envelope import pack_publication
from tannoy.fanout.redis.errors import CommandFailed
from tannoy.fanout.redis.in_flight import COMMAND_TIMEOUT, MAX_BYTES
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.scripts import PUBLISH, PUBLISH_ONCE
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.publication import EncodedMessage, Publication

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.memory_redis import NOWHERE, MemoryRedis

KEYSPACE = Keyspace("tannoy")
LOBBY = KEYSPACE.room(RoomName("lobby"))
NO_HISTORY = HistoryRules(0, 300)


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> MemoryRedis:
    memory = MemoryRedis()
    monkeypatch.setattr("tannoy.fanout.redis.command_writer.connect", memory.connect)
    return memory


@asynccontextmanager
async def running(*, connected: bool = True) -> AsyncGenerator[Publisher]:
    publisher = Publisher(Pipeline(NOWHERE, name="test", scripts=(PUBLISH_ONCE,)), KEYSPACE, NO_HISTORY)
    task = asyncio.create_task(publisher.pipeline.run())
    if connected:
        await publisher.pipeline.connected.wait()
    try:
        yield publisher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await turns()


def publication(json: bytes) -> Publication:
    return Publication(EncodedMessage(json, b""))


def packed(json: bytes) -> bytes:
    """The envelope of `publication(json)`."""
    return pack_publication(publication(json))


@on_manual_time
async def test_a_publish_completes_with_the_reply_of_redis(redis: MemoryRedis) -> None:
    redis.replies[b"PUBLISH"] = b":3\r\n"
    async with running() as publisher:
        assert await publisher.send(LOBBY.address, b"hi") == 3
    assert redis.arguments_of("PUBLISH") == [[LOBBY.address, b"hi"]]


@on_manual_time
async def test_all_publishes_of_one_loop_turn_are_one_write_in_order(redis: MemoryRedis) -> None:
    async with running() as publisher:
        redis.reads.clear()
        confirmed = [publisher.publish(LOBBY, publication(b"%d" % number)) for number in range(50)]
        await asyncio.gather(*confirmed)
    assert redis.reads == [50]
    assert [payload for _, payload in redis.arguments_of("PUBLISH")] == [packed(b"%d" % number) for number in range(50)]


@on_manual_time
async def test_a_publish_with_a_key_calls_the_script_by_its_digest(redis: MemoryRedis) -> None:
    async with running() as publisher:
        await publisher.publish(LOBBY, publication(b"hi"), key="k")
    (call,) = redis.arguments_of("EVALSHA")
    once = KEYSPACE.idempotency(LOBBY, "", "k")
    assert call == [
        PUBLISH_ONCE.digest.encode(),
        b"1",
        once,
        LOBBY.address,
        packed(b"hi"),
        b"%d" % REMEMBER_KEY_SECONDS,
    ]


@on_manual_time
async def test_scripts_are_loaded_before_the_first_publish(redis: MemoryRedis) -> None:
    async with running(connected=False) as publisher:
        await publisher.publish(LOBBY, publication(b"hi"), key="k")
    assert [command[0] for command in redis.commands[:2]] == [b"SCRIPT", b"EVALSHA"]
    assert redis.arguments_of("SCRIPT") == [[b"LOAD", PUBLISH_ONCE.source]]


@on_manual_time
async def test_a_script_that_redis_has_lost_is_loaded_and_called_again(redis: MemoryRedis) -> None:
    redis.replies[b"EVALSHA"] = b"-NOSCRIPT No matching script.\r\n"
    async with running() as publisher:
        confirmed = publisher.publish(LOBBY, publication(b"hi"), key="k")
        await turns(2)
        redis.replies[b"EVALSHA"] = b":1\r\n"
        await confirmed
    assert len(redis.arguments_of("SCRIPT")) >= 2


@on_manual_time
async def test_what_redis_refused_without_the_script_goes_before_what_came_later(redis: MemoryRedis) -> None:
    redis.replies[b"EVALSHA"] = b"-NOSCRIPT No matching script.\r\n"
    async with running() as publisher:
        early = [publisher.publish(LOBBY, publication(b"early %d" % n), key=f"{n}") for n in range(3)]
        await turns(2)
        redis.replies[b"EVALSHA"] = b":1\r\n"
        redis.commands.clear()
        late = publisher.publish(LOBBY, publication(b"late"), key="late")
        await asyncio.gather(*early, late)
    assert [call[4] for call in redis.arguments_of("EVALSHA")] == [
        *(packed(b"early %d" % n) for n in range(3)),
        packed(b"late"),
    ]


@pytest.mark.parametrize(("later", "outcome"), [("same", CommandFailed), ("other", bytes)])
@on_manual_time
async def test_a_publish_that_a_later_one_of_its_channel_has_overtaken_fails(
    redis: MemoryRedis, monkeypatch: pytest.MonkeyPatch, later: str, outcome: type
) -> None:
    replies = iter([b"-NOSCRIPT No matching script.\r\n"])  # another node loads it before the second command
    async with running() as publisher:

        def reply(command: object) -> bytes:
            return next(replies, b"$2\r\nok\r\n")

        monkeypatch.setattr(redis, "reply", reply)
        first, second = (
            publisher.pipeline.run_script(PUBLISH, (b"server", head, b"log"), ()) for head in (b"same", later.encode())
        )
        results = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(result) for result in results] == [outcome, bytes]


@on_manual_time
async def test_a_script_that_redis_loses_each_time_fails_at_the_deadline(redis: MemoryRedis) -> None:
    redis.replies[b"EVALSHA"] = b"-NOSCRIPT No matching script.\r\n"
    async with running() as publisher:
        confirmed = publisher.publish(LOBBY, publication(b"hi"), key="k")
        while not confirmed.done():
            manual_clock().advance(COMMAND_TIMEOUT / 20)  # a Redis that answers at once would let no time pass
            await turns(1)
        with pytest.raises(Unavailable):
            await confirmed


@on_manual_time
async def test_a_refused_publish_raises_unavailable_with_the_reason_and_without_the_words_of_redis(
    redis: MemoryRedis,
) -> None:
    redis.replies[b"PUBLISH"] = b"-NOPERM User tannoy has no permissions to run 'publish'\r\n"
    async with running() as publisher:
        with pytest.raises(CommandFailed) as failed:
            await publisher.publish(LOBBY, publication(b"hi"))
    assert failed.value.message == "the bus did not confirm: Redis does not allow it to the user of the node"
    assert failed.value.refusal is not None
    assert failed.value.refusal.code == "NOPERM"


@on_manual_time
async def test_an_unanswered_publish_raises_unavailable_within_half_a_second(redis: MemoryRedis) -> None:
    async with running() as publisher:
        redis.mute = True
        before = manual_clock().monotonic()
        with pytest.raises(Unavailable):
            await publisher.publish(LOBBY, publication(b"hi"))
        assert manual_clock().monotonic() - before <= 0.5


@on_manual_time
async def test_each_publish_has_a_deadline_of_its_own(redis: MemoryRedis) -> None:
    async with running(connected=False) as publisher:
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
    async with running() as publisher:
        redis.mute = True
        with pytest.raises(Unavailable):
            await publisher.publish(LOBBY, publication(b"lost"))
        redis.mute = False
        await turns()
        await publisher.publish(LOBBY, publication(b"next"))
    assert redis.connection_attempts == 2


@on_manual_time
async def test_a_publish_in_flight_on_a_lost_connection_fails_and_is_not_repeated(redis: MemoryRedis) -> None:
    async with running() as publisher:
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
    async with running(connected=False) as publisher:
        await publisher.publish(LOBBY, publication(b"hi"))


@on_manual_time
async def test_a_publish_that_missed_its_deadline_is_not_sent_on_a_later_connection(redis: MemoryRedis) -> None:
    redis.refuses_connections = True
    async with running(connected=False) as publisher:
        with pytest.raises(Unavailable):
            await publisher.publish(LOBBY, publication(b"too late"))
        redis.refuses_connections = False
        await publisher.pipeline.connected.wait()
        await publisher.publish(LOBBY, publication(b"in time"))
    assert [payload for _, payload in redis.arguments_of("PUBLISH")] == [packed(b"in time")]


@on_manual_time
async def test_a_publish_at_the_moment_of_the_loss_is_answered_within_the_deadline(redis: MemoryRedis) -> None:
    # The connection is lost and the pipeline has not noticed yet.
    async with running() as publisher:
        redis.break_connection()
        confirmed = publisher.publish(LOBBY, publication(b"hi"))
        await asyncio.sleep(COMMAND_TIMEOUT * 1.1)
        assert confirmed.done()
        confirmed.exception()


@on_manual_time
async def test_connected_is_cleared_when_the_connection_is_lost(redis: MemoryRedis) -> None:
    async with running() as publisher:
        assert publisher.pipeline.connected.is_set()
        redis.refuses_connections = True
        redis.break_connection()
        await turns()
        assert not publisher.pipeline.connected.is_set()


@on_manual_time
async def test_a_publish_beyond_the_byte_bound_fails_at_once(redis: MemoryRedis) -> None:
    half = b"x" * (MAX_BYTES // 2 - 1000)
    async with running(connected=False) as publisher:
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
    async with running() as publisher:
        await asyncio.gather(*(publisher.publish(LOBBY, publication(b"x" * 100)) for _ in range(20)))
        await turns()
        statistics = publisher.pipeline.statistics()
    assert (statistics.in_flight, statistics.in_flight_bytes) == (0, 0)
    assert (statistics.answered, statistics.failed) == (20, 0)


@on_manual_time
async def test_a_cancelled_publish_does_not_shift_the_replies_of_the_others(redis: MemoryRedis) -> None:
    async with running() as publisher:
        redis.replies[b"PUBLISH"] = b":1\r\n"
        given_up = publisher.send(LOBBY.address, b"1")
        await turns(1)
        redis.replies[b"PUBLISH"] = b":2\r\n"
        second = publisher.send(LOBBY.address, b"2")
        given_up.cancel()
        assert await second == 2


@on_manual_time
async def test_a_large_reply_that_is_late_costs_no_connection(redis: MemoryRedis) -> None:
    async with running() as publisher:
        redis.replies[b"GET"] = b"$10\r\nhalf "
        large = publisher.pipeline.send("GET", "large")
        with pytest.raises(Unavailable):
            await large
        redis.replies[b"GET"] = b"later\r\n$5\r\nsmall\r\n"
        assert await publisher.pipeline.send("GET", "small") == b"small"
    assert redis.connection_attempts == 1
