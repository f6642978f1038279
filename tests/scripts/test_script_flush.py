"""SCRIPT FLUSH on a real Valkey while messages are published: their order stays, and each is published once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tannoy.fanout.history.reader import HistoryRules
from tannoy.fanout.scripts import PUBLISH, PUBLISH_MANY
from tannoy.shared.errors import Unavailable
from tannoy.shared.publication import Position

from tests.support.history_room import HISTORY_SCRIPTS, HistoryRoom
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey

BURSTS, BURST = 150, 40
RULES = HistoryRules(BURSTS * BURST, 300)


@pytest.fixture
async def room(anyio_backend: str) -> AsyncGenerator[HistoryRoom]:
    async with Valkey() as valkey, open_pipeline(valkey, HISTORY_SCRIPTS) as pipeline:
        async with HistoryRoom.open(valkey, pipeline) as room:
            yield room


@asynccontextmanager
async def flushing(valkey: Valkey, *, load_again: bool) -> AsyncGenerator[None]:
    """Again and again; `load_again`: as another node does it, which can come between two commands of the pipeline."""

    stop = asyncio.Event()

    async def flush() -> None:
        while not stop.is_set():
            await valkey.run("SCRIPT", "FLUSH")
            if load_again:
                for script in (PUBLISH, PUBLISH_MANY):
                    await valkey.run("SCRIPT", "LOAD", script.source.decode())

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(flush())
        try:
            yield
        finally:
            stop.set()


async def publish_bursts(room: HistoryRoom) -> set[int]:
    """The numbers of the messages that were confirmed."""
    answers: list[asyncio.Future[Position | None]] = []
    for burst in range(BURSTS):
        answers += [
            asyncio.ensure_future(room.publish(number, rules=RULES))
            for number in range(burst * BURST, (burst + 1) * BURST)
        ]
        await asyncio.sleep(0)
        if burst % 2:
            await asyncio.wait(answers[-1:])
    results = await asyncio.gather(*answers, return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in results if isinstance(each, BaseException))
    return {number for number, each in enumerate(results) if not isinstance(each, BaseException)}


async def test_messages_keep_their_order_when_redis_loses_its_scripts(room: HistoryRoom) -> None:
    async with flushing(room.valkey, load_again=False):
        confirmed = await publish_bursts(room)

    published = [content for _, content in await room.log_entries()]
    assert published == sorted(confirmed) == list(range(BURSTS * BURST))


async def test_messages_keep_their_order_when_another_node_loads_the_scripts(room: HistoryRoom) -> None:
    async with flushing(room.valkey, load_again=True):
        confirmed = await publish_bursts(room)

    published = [content for _, content in await room.log_entries()]
    assert published == sorted(confirmed)
