"""How many handshakes each client address may make: a token bucket each, in a bounded table.

Clients on this machine are no strangers, and may connect as fast as they like, unless they are a trusted proxy: then
the address that it has forwarded counts. Peers of a Unix socket have no address that could count.

A session that is closed for sending too much empties the bucket of its address: each session may send a lot at once,
and whoever opens one after the other would go on at full speed.
"""

import math
from collections import OrderedDict

import structlog

from ...shared.clock import Clock
from ...shared.ip_addresses import IpAddress
from ...shared.rates import Rate
from ..auth.trusted_proxies import FORWARDED_FOR, TrustedProxies, parse_peer
from .counted_addresses import counted_address, counted_stranger
from .handshake import Handshake, Rejected
from .rate_limits import TokenBucket, rate_limited
from .refusals import Reason

ADDRESSES_MAX = 16_384
"""Addresses that are counted. One more takes the place of the one that has been silent longest."""

_log = structlog.get_logger("tannoy.admission")


class ConnectRates:
    """`rate`: of each address. `maximum`: addresses that are counted."""

    def __init__(self, rate: Rate, proxies: TrustedProxies, clock: Clock, *, maximum: int = ADDRESSES_MAX) -> None:
        self.proxies = proxies
        self._rate = rate
        self._clock = clock
        self._maximum = maximum
        self._buckets: OrderedDict[bytes, TokenBucket] = OrderedDict()  # the one that is silent longest is in front
        self._has_warned = False

    def find_refusal(self, handshake: Handshake) -> Rejected | None:
        """Count a handshake; None: its client may make it."""
        if not self._rate or (peer := parse_peer(handshake.client_host)) is None:
            return None
        if self.proxies.trust(peer):
            key = counted_address(self.proxies.read_forwarded(handshake.headers) or peer)
        elif (stranger := counted_stranger(peer)) is not None:
            key = stranger
            self._warn_of_proxy(peer, handshake)
        else:
            return None
        wait = self._take(key, self._clock.monotonic())
        if not wait:
            return None
        refusal = rate_limited("handshakes from this address", self._rate, wait)
        return Rejected(429, refusal, Reason.RATE_LIMITED, {"Retry-After": str(math.ceil(wait))})

    def charge(self, client_host: str | None) -> None:
        """A session of this client was closed for sending too much: its address makes no handshake for a while.

        An address that is not counted is not charged.
        """
        if (client := parse_peer(client_host)) is not None and (bucket := self._buckets.get(counted_address(client))):
            bucket.drain(self._clock.monotonic())

    def _take(self, key: bytes, now: float) -> float:
        buckets = self._buckets
        bucket = buckets.get(key)
        if bucket is None:
            while buckets and (len(buckets) >= self._maximum or next(iter(buckets.values())).full_at <= now):
                buckets.popitem(last=False)
            bucket = buckets[key] = TokenBucket(self._rate)
        else:
            buckets.move_to_end(key)
        return bucket.take(1, now)

    def _warn_of_proxy(self, peer: IpAddress, handshake: Handshake) -> None:
        """Warn once: the clients of a proxy that is not listed count as one."""
        if not self._has_warned and FORWARDED_FOR in handshake.headers:
            self._has_warned = True
            _log.warning(
                "a peer that TANNOY_TRUSTED_PROXIES does not list sends X-Forwarded-For: if it is your proxy, list it, "
                "or all of its clients count as one address for TANNOY_RATE_CONNECTS",
                peer=str(peer),
            )

    def __len__(self) -> int:
        """Return how many addresses are counted."""
        return len(self._buckets)
