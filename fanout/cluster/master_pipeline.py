"""The connection for commands to one master of a Redis Cluster, and the checks that come before all other commands."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from ..redis.address import RedisAddress
from ..redis.command_writer import CommandWriter
from ..redis.connection import Reply
from ..redis.errors import CommandFailed
from ..redis.script import Script
from .partition_queue import QueuedCommand
from .slot_migration import Identity


class MasterPipeline:
    """Needs `run` running. `on_answered` and `on_failed` are called for each command that `writer` is given.

    `on_state` is called with True for each new connection, and with False when it is lost. `check` is awaited after
    `check_due` has been set: it opens the queues of partitions that this master serves.
    """

    def __init__(
        self,
        server: RedisAddress,
        *,
        name: str,
        scripts: tuple[Script, ...],
        on_answered: Callable[[QueuedCommand, Reply], None],
        on_failed: Callable[[RedisAddress, QueuedCommand, CommandFailed], None],
        on_state: Callable[["MasterPipeline", bool], None],
        check: Callable[["MasterPipeline"], Awaitable[None]],
    ) -> None:
        self.server = server
        self.connection_number = 0
        """Rises with each change of the connection: what was begun under one number says nothing under another."""
        self.identity: Identity | None = None
        """The identity of the server on the present connection, once it is known."""
        self.check_due = asyncio.Event()
        self.writer: CommandWriter[QueuedCommand] = CommandWriter(
            server,
            name=name,
            scripts=scripts,
            on_answered=on_answered,
            on_failed=partial(on_failed, server),
            on_state=partial(on_state, self),
        )
        self._check = check

    @property
    def is_connected(self) -> bool:
        return self.writer.connected.is_set()

    async def run(self) -> None:
        """Never returns. When it is cancelled, the commands that were not sent are given back."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.writer.run())
                while True:
                    await self.check_due.wait()
                    self.check_due.clear()
                    await self._check(self)
        finally:
            self.writer.return_unsent()
