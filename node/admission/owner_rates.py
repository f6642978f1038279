"""What users, or agents, may send on all nodes together, as far as this node knows it.

A node decides by itself, with a bucket for each owner, and tells Redis now and then what it has let through; the answer
has what the other nodes have let through too. So no message waits for Redis. In the long run the rate is exact: what
all nodes have admitted beyond it is a debt. At once each node may admit what a full bucket holds, until it has been
told. While Redis is away each of them goes on at this rate.
"""

from collections import OrderedDict
from collections.abc import Mapping

from ...shared.channels import OwnerKind
from ...shared.rates import Rate
from .rate_limits import TokenBucket

OWNERS_MAX = 16_384
"""Owners that are counted. One more takes the place of the one that has been silent longest."""


class _OwnerBucket(TokenBucket):
    """`unsaid`: what was taken since Redis was told."""

    __slots__ = ("unsaid",)

    def __init__(self, rate: Rate) -> None:
        super().__init__(rate)
        self.unsaid = 0


class OwnerRates:
    """`rate`: of each owner of this kind. `maximum`: owners that are counted."""

    def __init__(self, kind: OwnerKind, rate: Rate, *, maximum: int = OWNERS_MAX) -> None:
        self.kind = kind
        self.rate = rate
        self._maximum = maximum
        self._buckets: OrderedDict[str, _OwnerBucket] = OrderedDict()  # the one that is silent longest is in front

    def take(self, name: str, now: float) -> float:
        """Take one message of this owner at `now`, in seconds. 0.0: it was taken; otherwise the seconds to wait."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._add(name)
        else:
            self._buckets.move_to_end(name)
        wait = bucket.take(1, now)
        if not wait:
            bucket.unsaid += 1
        return wait

    def _add(self, name: str) -> _OwnerBucket:
        if len(self._buckets) >= self._maximum:
            self._buckets.popitem(last=False)
        bucket = self._buckets[name] = _OwnerBucket(self.rate)
        return bucket

    def give_back(self, name: str) -> None:
        """Undo the last `take` of this owner."""
        bucket = self._buckets[name]
        bucket.give_back(1)
        bucket.unsaid -= 1

    def collect_unsaid(self, now: float) -> dict[str, int]:
        """Return how many each owner has taken since the last call, and forget the silent ones whose bucket is full.

        One that has taken some is kept until the next call: its bucket may be far from full on other nodes.
        """
        buckets = self._buckets
        while buckets and not (first := next(iter(buckets.values()))).unsaid and first.full_at <= now:
            buckets.popitem(last=False)
        unsaid = {name: bucket.unsaid for name, bucket in buckets.items() if bucket.unsaid}
        for name in unsaid:
            buckets[name].unsaid = 0
        return unsaid

    def restate(self, full_in: Mapping[str, float], now: float) -> None:
        """Take over in how many seconds, from `now` on, the buckets of all nodes are full; and what was taken since."""
        for name, seconds in full_in.items():
            bucket = self._buckets.get(name)
            if bucket is not None:
                bucket.full_at = now + seconds + bucket.unsaid * self.rate.interval

    def __len__(self) -> int:
        """Return how many owners are counted."""
        return len(self._buckets)
