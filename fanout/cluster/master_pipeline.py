"""The pipeline to one master of a Redis Cluster, and what is said there before all else."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from ...shared.keyspace import partition_of
from ..redis.address import RedisAddress
from ..redis.connection import Reply, Word
from ..redis.in_flight import COMMAND_TIMEOUT
from ..redis.pipeline import Pipeline
from ..redis.script import Script
from .slot_migration import Identity


class MasterPipeline:
    """Needs `run` running. `connection` tells one connection from the next."""

    def __init__(
        self,
        server: RedisAddress,
        *,
        name: str,
        scripts: tuple[Script, ...],
        on_state: Callable[["MasterPipeline", bool], None],
        greet: Callable[["MasterPipeline"], Awaitable[None]],
        command_timeout: float = COMMAND_TIMEOUT,
    ) -> None:
        self.server = server
        self.connection = 0
        self.identity: Identity | None = None
        """Of the present connection, once it is known."""
        self.to_greet = asyncio.Event()
        """`greet` has something to do."""
        self.pipeline = Pipeline(
            server,
            name=name,
            scripts=scripts,
            on_state=partial(on_state, self),
            command_timeout=command_timeout,
        )
        self._greet = greet

    @property
    def is_connected(self) -> bool:
        return self.pipeline.connected.is_set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.pipeline.run())
            while True:
                await self.to_greet.wait()
                self.to_greet.clear()
                await self._greet(self)


Submit = Callable[[tuple[Word, ...], Script | None, int], asyncio.Future[Reply]]
"""(words, the script that they call, partition)"""


class PartitionRouter:
    """Commands that go where their partition is served: scripts by their first key, others by their second word."""

    def __init__(self, submit: Submit) -> None:
        self._submit = submit

    def run_script(self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> asyncio.Future[Reply]:
        """EVALSHA. The future raises Unavailable."""
        sharded = script.sharded
        return self._submit(sharded.call(keys, arguments), sharded, partition_of(keys[0]))

    def send(self, *words: Word) -> asyncio.Future[Reply]:
        """Any command with a key. The future raises Unavailable."""
        name = words[1]
        if not isinstance(name, bytes):
            raise TypeError(f"not a name out of Channels: {name!r:.80}")
        return self._submit(words, None, partition_of(name))
