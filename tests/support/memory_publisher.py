"""A publisher on a pipeline to a MemoryRedis."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tannoy.fanout.history.publisher import Publisher
from tannoy.fanout.history.reader import HistoryRules
from tannoy.fanout.pubsub.envelope import pack_publication
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.scripts import PUBLISH_ONCE
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.publication import EncodedMessage, Publication

from tests.support.clock import turns
from tests.support.memory_redis import NOWHERE

KEYSPACE = Keyspace("tannoy")
LOBBY = KEYSPACE.room(RoomName("lobby"))
NO_HISTORY = HistoryRules(0, 300)


@asynccontextmanager
async def running_publisher(*, connected: bool = True) -> AsyncGenerator[Publisher]:
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
