"""Anti-entropy of leases: Redis and this process agree again on what it holds, whatever was lost on the way."""

import asyncio
from collections.abc import Callable, Collection

from ...shared.channels import Owner
from ..batches import batched
from ..redis.pipeline import CommandSender
from .calls import LeaseCalls
from .lease import Lease
from .limits import Limits
from .registry import LeaseRegistry
from .releases import ReleaseQueue

OWNERS_AT_ONCE = 512
"""Owners whose leases are stated together: few round trips, and no burst that holds up a heartbeat."""


class LeaseRestating:
    """`on_missing` is called for each lease of this process that Redis does not have, and that was not added."""

    def __init__(
        self,
        calls: LeaseCalls,
        registry: LeaseRegistry,
        limits: Limits,
        releases: ReleaseQueue,
        on_missing: Callable[[Lease], None],
    ) -> None:
        self._calls = calls
        self._registry = registry
        self._limits = limits
        self._releases = releases
        self._on_missing = on_missing

    async def restate(self, commands: CommandSender, partitions: Collection[int], *, add_missing: bool) -> None:
        """State to Redis the leases of this process in these partitions.

        Leases that Redis counts as this process's without reason are freed. Those that it lacks are added with
        `add_missing` (it may have forgotten them), else they are lost. Raises Unavailable, or what `commands` raises.
        """
        # Not one partition after the other: how long it takes must not grow with the distance to Redis.
        listed = await asyncio.gather(*(self._calls.list_owners(commands, part) for part in partitions))
        owners = set[Owner]().union(*listed, *map(self._registry.owners_in, partitions))
        for group in batched(list(owners), OWNERS_AT_ONCE):
            await asyncio.gather(*(self._restate_owner(commands, owner, add_missing) for owner in group))

    async def _restate_owner(self, commands: CommandSender, owner: Owner, add_missing: bool) -> None:
        # A copy: sessions may come and go before the answer. Leases numbered above `newest` are not part of this.
        leases = dict(self._registry.leases_of(owner))
        repaired = await self._calls.repair(
            commands,
            owner,
            leases.values(),
            self._limits.default(owner.kind),
            newest=self._registry.newest,
            add_missing=add_missing,
        )
        for name in repaired.missing:
            self._on_missing(leases[name])
        for name in repaired.granted:
            self._releases.notify_granted(owner, name)
        self._limits.close_surplus(owner, repaired.surplus)
