"""Tells Redis what this node has let through of users and agents, and learns what the other nodes have."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from ...shared.channels import OwnerKind
from ...shared.clock import Clock
from ...shared.rates import Rate
from ..admission.owner_rates import OwnerRates

SYNC_SECONDS = 0.25
"""Between two rounds: for so long each node may admit what others have admitted already."""


class SharedBuckets(Protocol):
    """What all nodes share (`fanout/rate_limits.py`)."""

    async def spend(self, kind: OwnerKind, rate: Rate, counts: Mapping[str, int]) -> dict[str, float]: ...


class RateSync:
    """Needs `run` running."""

    def __init__(self, all_rates: Sequence[OwnerRates], shared: SharedBuckets, clock: Clock) -> None:
        self._all_rates = all_rates
        self._shared = shared
        self._clock = clock

    async def run(self) -> None:
        """Tell and learn every SYNC_SECONDS, for ever."""
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            await asyncio.gather(*(self._sync(rates) for rates in self._all_rates))

    async def _sync(self, rates: OwnerRates) -> None:
        if unsaid := rates.collect_unsaid(self._clock.monotonic()):
            full_in = await self._shared.spend(rates.kind, rates.rate, unsaid)
            rates.restate(full_in, self._clock.monotonic())
