"""One object for each master of a Redis Cluster, run for as long as that master serves partitions."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from typing import Generic, Protocol, TypeVar

from ..redis.address import RedisAddress

RETIRE_AFTER = 1.0
"""Seconds for which the object of a master that serves no partition any more still runs, to get its last replies."""


class Runnable(Protocol):
    async def run(self) -> None: ...


T = TypeVar("T", bound=Runnable)


class PerMaster(Generic[T]):
    """The objects by their masters. They run while `run` does. `make` makes the object for a master."""

    def __init__(self, make: Callable[[RedisAddress], T]) -> None:
        self._make = make
        self._objects: dict[RedisAddress, T] = {}
        self._tasks: dict[RedisAddress, asyncio.Task[None]] = {}
        self._retiring: dict[RedisAddress, asyncio.TimerHandle] = {}
        self._group: asyncio.TaskGroup | None = None

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._objects.values()))

    def get(self, server: RedisAddress) -> T | None:
        return self._objects.get(server)

    def open(self, server: RedisAddress) -> T:
        """The object for this server; it is made, and begins to run, if there was none."""
        found = self._objects.get(server)
        if found is None:
            found = self._objects[server] = self._make(server)
            if self._group is not None:
                self._tasks[server] = self._group.create_task(found.run())
        return found

    def keep(self, servers: Collection[RedisAddress]) -> None:
        """Have an object for each of these servers, and end all others after RETIRE_AFTER."""
        for server in servers:
            self.open(server)
            if retiring := self._retiring.pop(server, None):
                retiring.cancel()
        for server in self._objects.keys() - servers - self._retiring.keys():
            self._retiring[server] = asyncio.get_running_loop().call_later(RETIRE_AFTER, self._retire, server)

    def _retire(self, server: RedisAddress) -> None:
        del self._retiring[server], self._objects[server]
        self._tasks.pop(server).cancel()

    async def run(self) -> None:
        """Run the objects for ever. Raises what one of them raises."""
        try:
            async with asyncio.TaskGroup() as self._group:
                for server, each in self._objects.items():
                    self._tasks[server] = self._group.create_task(each.run())
                await asyncio.Event().wait()
        finally:
            self._group = None
            for retiring in self._retiring.values():
                retiring.cancel()
