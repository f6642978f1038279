"""The pipeline to one master of a Redis Cluster, and the checks that come before all other commands to it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from ..redis.address import RedisAddress
from ..redis.in_flight import COMMAND_TIMEOUT
from ..redis.pipeline import Pipeline
from ..redis.script import Script
from .slot_migration import Identity


class MasterPipeline:
    """Needs `run` running. `on_state` is called with True for each new connection, and with False when it is lost.

    `check` is awaited after `check_due` has been set: it opens the queues of partitions that this master serves.
    """

    def __init__(
        self,
        server: RedisAddress,
        *,
        name: str,
        scripts: tuple[Script, ...],
        on_state: Callable[["MasterPipeline", bool], None],
        check: Callable[["MasterPipeline"], Awaitable[None]],
        command_timeout: float = COMMAND_TIMEOUT,
    ) -> None:
        self.server = server
        self.connection_number = 0
        """Rises with each change of the connection: what was begun under one number says nothing under another."""
        self.identity: Identity | None = None
        """The identity of the server on the present connection, once it is known."""
        self.check_due = asyncio.Event()
        self.pipeline = Pipeline(
            server,
            name=name,
            scripts=scripts,
            on_state=partial(on_state, self),
            command_timeout=command_timeout,
        )
        self._check = check

    @property
    def is_connected(self) -> bool:
        return self.pipeline.connected.is_set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.pipeline.run())
            while True:
                await self.check_due.wait()
                self.check_due.clear()
                await self._check(self)
