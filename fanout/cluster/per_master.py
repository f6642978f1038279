"""One thing for each master of a Redis Cluster, kept running for as long as that master serves us."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from typing import Generic, Protocol, TypeVar

from ..redis.address import RedisAddress

RETIRE_AFTER = 1.0
"""Seconds for which what runs for a master goes on when it serves us no more: its last answers are still to come."""


class Runs(Protocol):
    async def run(self) -> None: ...


T = TypeVar("T", bound=Runs)


class PerMaster(Generic[T]):
    """Needs `run` running; only then those that `keep` asks for do. `make` gives the one for a master."""

    def __init__(self, make: Callable[[RedisAddress], T]) -> None:
        self._make = make
        self._shards: dict[RedisAddress, T] = {}
        self._tasks: dict[RedisAddress, asyncio.Task[None]] = {}
        self._retiring: dict[RedisAddress, asyncio.TimerHandle] = {}
        self._group: asyncio.TaskGroup | None = None

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._shards.values()))

    def get(self, server: RedisAddress) -> T | None:
        return self._shards.get(server)

    def open(self, server: RedisAddress) -> T:
        """The one for this server; made now if there was none."""
        shard = self._shards.get(server)
        if shard is None:
            shard = self._shards[server] = self._make(server)
            if self._group is not None:
                self._tasks[server] = self._group.create_task(shard.run())
        return shard

    def keep(self, servers: Collection[RedisAddress]) -> None:
        """These are the ones from now on."""
        for server in servers:
            self.open(server)
            if retiring := self._retiring.pop(server, None):
                retiring.cancel()
        for server in self._shards.keys() - servers - self._retiring.keys():
            self._retiring[server] = asyncio.get_running_loop().call_later(RETIRE_AFTER, self._retire, server)

    def _retire(self, server: RedisAddress) -> None:
        del self._retiring[server], self._shards[server]
        self._tasks.pop(server).cancel()

    async def run(self) -> None:
        """For ever. What one of them raises gets out of here."""
        try:
            async with asyncio.TaskGroup() as self._group:
                for server, shard in self._shards.items():
                    self._tasks[server] = self._group.create_task(shard.run())
                await asyncio.Event().wait()
        finally:
            self._group = None
            for retiring in self._retiring.values():
                retiring.cancel()
