"""How many handshakes each client address may make: a token bucket each, in a bounded table.

Clients on this machine are no strangers, and may connect as fast as they like, unless they are a trusted proxy: then
the address that it has forwarded counts. Peers of a Unix socket have no address that could count.

Who goes on beyond the rate is answered late: each refusal costs a node about as much as a handshake, and a client that
tries again at once would keep it as busy as one that is admitted.

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

REFUSED_AT_ONCE = 20
"""Refusals of one address that are answered at once, less its handshakes that were admitted meanwhile."""
ANSWER_DELAY = 1.0
"""Seconds after which those beyond are answered."""

_log = structlog.get_logger("tannoy.admission")


class _Address(TokenBucket):
    """Of one address, with the refusals that it went on after."""

    __slots__ = ("_refused",)

    def __init__(self, rate: Rate) -> None:
        super().__init__(rate)
        self._refused = 0

    def find_delay(self) -> float:
        """Count a refusal; return the seconds after which it is answered."""
        self._refused = min(self._refused + 1, 2 * REFUSED_AT_ONCE)
        return ANSWER_DELAY if self._refused > REFUSED_AT_ONCE else 0.0

    def forgive(self) -> None:
        """One that was admitted makes up for one that was refused."""
        self._refused = max(0, self._refused - 1)


class ConnectRates:
    """`rate`: of each address. `maximum`: addresses that are counted."""

    def __init__(self, rate: Rate, proxies: TrustedProxies, clock: Clock, *, maximum: int = ADDRESSES_MAX) -> None:
        self.proxies = proxies
        self._rate = rate
        self._clock = clock
        self._maximum = maximum
        self._buckets: OrderedDict[bytes, _Address] = OrderedDict()  # the one that is silent longest is in front
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
        now = self._clock.monotonic()
        address = self._find_address(key, now)
        if not (wait := address.take(1, now)):
            address.forgive()
            return None
        refusal = rate_limited("handshakes from this address", self._rate, wait)
        return Rejected(429, refusal, Reason.RATE_LIMITED, {"Retry-After": str(math.ceil(wait))}, address.find_delay())

    def charge(self, client_host: str | None) -> None:
        """A session of this client was closed for sending too much: its address makes no handshake for a while.

        An address that is not counted is not charged.
        """
        if (client := parse_peer(client_host)) is not None and (bucket := self._buckets.get(counted_address(client))):
            bucket.drain(self._clock.monotonic())

    def _find_address(self, key: bytes, now: float) -> _Address:
        buckets = self._buckets
        bucket = buckets.get(key)
        if bucket is None:
            while buckets and (len(buckets) >= self._maximum or next(iter(buckets.values())).full_at <= now):
                buckets.popitem(last=False)
            bucket = buckets[key] = _Address(self._rate)
        else:
            buckets.move_to_end(key)
        return bucket

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
