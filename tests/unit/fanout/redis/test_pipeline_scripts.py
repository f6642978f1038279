"""Scripts over the pipeline: loaded on each connection, called by their digest, and loaded again if Redis lost them."""

import asyncio

import pytest
from tannoy.fanout.history.publisher import REMEMBER_KEY_SECONDS
from tannoy.fanout.redis.errors import CommandFailed
from tannoy.fanout.redis.in_flight import COMMAND_TIMEOUT
from tannoy.fanout.scripts import PUBLISH, PUBLISH_ONCE
from tannoy.shared.errors import Unavailable

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.memory_publisher import KEYSPACE, LOBBY, packed, publication, running_publisher
from tests.support.memory_redis import MemoryRedis


@on_manual_time
async def test_a_publish_with_a_key_calls_the_script_by_its_digest(redis: MemoryRedis) -> None:
    async with running_publisher() as publisher:
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
    async with running_publisher(connected=False) as publisher:
        await publisher.publish(LOBBY, publication(b"hi"), key="k")
    assert [command[0] for command in redis.commands[:2]] == [b"SCRIPT", b"EVALSHA"]
    assert redis.arguments_of("SCRIPT") == [[b"LOAD", PUBLISH_ONCE.source]]


@on_manual_time
async def test_a_script_that_redis_has_lost_is_loaded_and_called_again(redis: MemoryRedis) -> None:
    redis.replies[b"EVALSHA"] = b"-NOSCRIPT No matching script.\r\n"
    async with running_publisher() as publisher:
        confirmed = publisher.publish(LOBBY, publication(b"hi"), key="k")
        await turns(2)
        redis.replies[b"EVALSHA"] = b":1\r\n"
        await confirmed
    assert len(redis.arguments_of("SCRIPT")) >= 2


@on_manual_time
async def test_what_redis_refused_without_the_script_goes_before_what_came_later(redis: MemoryRedis) -> None:
    redis.replies[b"EVALSHA"] = b"-NOSCRIPT No matching script.\r\n"
    async with running_publisher() as publisher:
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
    async with running_publisher() as publisher:

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
    async with running_publisher() as publisher:
        confirmed = publisher.publish(LOBBY, publication(b"hi"), key="k")
        while not confirmed.done():
            manual_clock().advance(COMMAND_TIMEOUT / 20)  # a Redis that answers at once would let no time pass
            await turns(1)
        with pytest.raises(Unavailable):
            await confirmed
