"""What a missed deadline says about the connection: something only if Redis had the time to answer. And which commands
overtake others."""

import asyncio

import pytest
from tannoy.fanout.redis.connection import RedisConnection
from tannoy.fanout.redis.in_flight import COMMAND_TIMEOUT, RedisCommand, overtaken
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.scripts import PUBLISH, PUBLISH_MANY
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.support.clock import on_manual_time
from tests.support.memory_redis import NOWHERE, MemoryRedis

KEYSPACE = Keyspace("tannoy")


@on_manual_time
async def test_a_command_that_waited_for_a_connection_does_not_cost_it_at_its_deadline(redis: MemoryRedis) -> None:
    async def prepare(connection: RedisConnection) -> None:
        await asyncio.sleep(COMMAND_TIMEOUT * 0.8)

    redis.replies[b"ECHO"] = b""  # no answer
    pipeline = Pipeline(NOWHERE, name="test", scripts=(), on_connected=prepare)
    task = asyncio.create_task(pipeline.run())
    with pytest.raises(Unavailable):
        await pipeline.send("ECHO", "late")
    assert redis.arguments_of("ECHO") == [[b"late"]]
    await asyncio.sleep(COMMAND_TIMEOUT)
    assert redis.connection_attempts == 1
    task.cancel()


@pytest.mark.parametrize(("channel", "is_overtaken"), [("a", True), ("b", True), ("c", False)])
@on_manual_time
async def test_messages_of_a_call_are_overtaken_by_one_of_any_of_their_channels(
    channel: str, is_overtaken: bool
) -> None:
    first, second, other = (tuple(KEYSPACE.history(KEYSPACE.room(RoomName(name)))) for name in ("a", "b", channel))
    refused = RedisCommand(PUBLISH_MANY.call((*first, *second), ()), PUBLISH_MANY)
    executed = RedisCommand(PUBLISH.call(other, ()), PUBLISH)
    assert overtaken([refused], executed) == ([refused] if is_overtaken else [])
