"""The presence of one process on a real Valkey, and its room."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from tannoy.fanout.presence.calls import PRESENCE_SCRIPTS, PresenceRules
from tannoy.fanout.presence.presence import Presence
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.keyspace import Keyspace

from tests.support.presence_room import RULES, PresenceRoom
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE

_prefixes = itertools.count(1)


@asynccontextmanager
async def opened(
    valkey: Valkey, rules: PresenceRules = RULES, *, command_timeout: float = PATIENCE
) -> AsyncGenerator[tuple[Presence, PresenceRoom, Pipeline]]:
    """The presence of process n1, which is not sweeping, and its room."""
    keyspace = Keyspace(f"q{next(_prefixes)}")
    async with (
        open_pipeline(valkey, PRESENCE_SCRIPTS, command_timeout=command_timeout) as pipeline,
        PresenceRoom.open(valkey, pipeline, keyspace, rules) as room,
    ):
        yield Presence(pipeline, keyspace, incarnation="n1", rules=rules), room, pipeline


@asynccontextmanager
async def sweeping(*processes: Presence) -> AsyncGenerator[None]:
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(process.run()) for process in processes]
        yield
        for task in running:
            task.cancel()


def negated(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def negated() -> bool:
        return not condition()

    return negated
