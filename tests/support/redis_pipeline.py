"""The product's pipeline to a real Redis, for tests of what it runs there."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.redis.script import Script

from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE


@asynccontextmanager
async def open_pipeline(
    valkey: Valkey, scripts: tuple[Script, ...], *, command_timeout: float = PATIENCE
) -> AsyncGenerator[Pipeline]:
    """Connected, with `scripts` loaded. `command_timeout`: seconds; short where a test is about it."""
    pipeline = Pipeline(valkey.address, name="test", scripts=scripts, command_timeout=command_timeout)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(pipeline.run())
        await pipeline.connected.wait()
        yield pipeline
        running.cancel()
