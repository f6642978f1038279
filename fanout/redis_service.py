"""Redis as an external service among others: its link and pipelines stay as they are, and are asked here."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ..shared.errors import Unavailable
from ..shared.keyspace import Keyspace
from .external.service import WorkStatistics
from .external.window import WindowStatistics
from .redis.pipeline import AnyPipeline


class RedisService:
    """`prepare` checks at start that Redis can be used, and raises StartError; the caller runs the connections.

    `partitions` gives one partition of each server. `find_problem` says what else is wrong, None: nothing.
    """

    name = "redis"
    is_required = True

    def __init__(
        self,
        address: str,
        pipelines: Sequence[AnyPipeline],
        keyspace: Keyspace,
        *,
        partitions: Callable[[], Sequence[int]],
        prepare: Callable[[], Awaitable[None]],
        find_problem: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.address = address
        self._pipelines = pipelines
        self._keyspace = keyspace
        self._partitions = partitions
        self._prepare = prepare
        self._find_problem = find_problem

    async def open(self) -> None:
        await self._prepare()

    async def check(self) -> None:
        """A read of each server over each pipeline."""
        servers = [self._keyspace.server(partition) for partition in self._partitions()]
        await asyncio.gather(*(each.send("HGET", key, "life") for each in self._pipelines for key in servers))
        if (problem := self._find_problem()) is not None:
            raise Unavailable(problem)

    async def close(self) -> None:
        """The connections end with the tasks that keep them."""

    def statistics(self) -> WorkStatistics:
        found = [pipeline.statistics() for pipeline in self._pipelines]
        return WorkStatistics(
            connections=sum(each.connected for each in found),
            in_use=sum(each.in_flight for each in found),
            acquired=WindowStatistics(0, None, None),  # nobody waits: all commands share a connection
            breakers={},
        )
