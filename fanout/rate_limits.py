"""The script of the rates that hold on all nodes, as a typed call."""

import asyncio
from collections.abc import Mapping

from ..shared.channels import Owner, OwnerKind
from ..shared.errors import Unavailable
from ..shared.keyspace import Keyspace
from ..shared.rates import Rate
from .batches import batched
from .redis.connection import Word
from .redis.pipeline import AnyPipeline
from .scripts import RATES_SPEND

RATE_SCRIPTS = (RATES_SPEND,)
"""The scripts that a pipeline has to load for this call."""
OWNERS_AT_ONCE = 100
"""Of one call: it takes Redis less than a millisecond."""
DEBT_FACTOR = 64
"""The longest debt of a bucket, in multiples of what it holds: nodes admit before they know what others have."""
_MICROSECONDS = 1_000_000


class RateCalls:
    """Takes from the buckets that all nodes share, and says how full they are."""

    def __init__(self, pipeline: AnyPipeline, keyspace: Keyspace) -> None:
        self._pipeline = pipeline
        self._keyspace = keyspace

    async def spend(self, kind: OwnerKind, rate: Rate, counts: Mapping[str, int]) -> dict[str, float]:
        """Take so many from the bucket of each owner; the seconds until it is full again.

        Owners are left out whose call Redis has not confirmed. It may have been carried out, so it is not repeated.
        """
        by_partition: dict[int, list[Owner]] = {}
        for name in counts:
            owner = Owner(kind, name)
            by_partition.setdefault(owner.partition, []).append(owner)
        batches = [batch for owners in by_partition.values() for batch in batched(owners, OWNERS_AT_ONCE)]
        calls = [self._spend(rate, batch, [counts[owner.name] for owner in batch]) for batch in batches]
        full_in: dict[str, float] = {}
        for answer in await asyncio.gather(*calls):
            full_in |= answer
        return full_in

    async def _spend(self, rate: Rate, owners: list[Owner], counts: list[int]) -> dict[str, float]:
        keys = tuple(self._keyspace.rate(owner) for owner in owners)
        longest = round(rate.fill_seconds * DEBT_FACTOR * _MICROSECONDS)
        words: tuple[Word, ...] = (f"{rate.interval * _MICROSECONDS:.9f}", longest, *counts)
        try:
            left = await self._pipeline.run_script(RATES_SPEND, keys, words)
        except Unavailable:
            return {}
        return {owner.name: int(each) / _MICROSECONDS for owner, each in zip(owners, left, strict=True)}
