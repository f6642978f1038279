"""Reference counts per channel over the link: the first holder subscribes, and the last one unsubscribes.

Counts change synchronously, before any await. An acquire that Redis does not acknowledge in time is rolled back. A
channel without holders stays subscribed for LINGER seconds, so that the reload of a page costs Redis nothing.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ...shared.errors import Unavailable
from .any_link import AnyLink

ACKNOWLEDGE_TIMEOUT = 1.0
"""Seconds that a join waits until Redis has acknowledged its subscription."""
LINGER = 1.0
"""Seconds for which a channel without holders stays subscribed."""
SWEEP_GRAIN = 0.1
"""Seconds between two sweeps over what is due: many channels then go out in one UNSUBSCRIBE."""


@dataclass(frozen=True, slots=True)
class ChannelSubscriptionsStatistics:
    channels: int
    """Channels with holders, or lingering."""
    waiting: int
    """Acquires that wait until Redis acknowledges them."""
    rolled_back: int
    """Acquires that Redis did not acknowledge in time."""


class _Subscription:
    __slots__ = ("holders", "waiters")

    def __init__(self) -> None:
        self.holders = 0
        self.waiters: list[asyncio.Future[None]] = []


class ChannelSubscriptions:
    """How many holders each channel has on this node. The link's `on_subscribed` has to call `confirm`.

    `on_dropped` is called with each channel when it is unsubscribed.
    """

    def __init__(
        self,
        link: AnyLink,
        *,
        on_dropped: Callable[[bytes], None] = lambda channel: None,
        acknowledge_timeout: float = ACKNOWLEDGE_TIMEOUT,
    ) -> None:
        self._acknowledge_timeout = acknowledge_timeout
        self._link = link
        self._on_dropped = on_dropped
        self._subscriptions: dict[bytes, _Subscription] = {}
        # Both in the order of their times, since all wait equally long. One timer serves them all: a timer for each
        # would cost a join more than all the rest of it.
        self._lingering: dict[bytes, float] = {}  # channels without a holder: the loop time until which they stay
        self._unacknowledged: deque[tuple[float, bytes, asyncio.Future[None]]] = deque()  # deadline, channel, waiter
        self._timer: asyncio.TimerHandle | None = None
        self._rolled_back = 0

    def acquire(self, channel: bytes) -> asyncio.Future[None] | None:
        """Add a holder of `channel`.

        None: the channel is subscribed already. Otherwise a future that is done once Redis has acknowledged; it raises
        Unavailable, with the count rolled back, if that takes longer than `acknowledge_timeout` seconds. Without an
        error the caller has to call `release` once.
        """
        self.hold(channel)
        if self._link.is_subscribed(channel):
            return None
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        if self._link.down_for > self._acknowledge_timeout:
            # It would wait in vain, and so would all that is queued behind it.
            self.release(channel)
            waiter.set_exception(Unavailable("this node has no link to the bus"))
            return waiter
        self._subscriptions[channel].waiters.append(waiter)
        self._unacknowledged.append((loop.time() + self._acknowledge_timeout, channel, waiter))
        self._sweep_at(loop.time() + self._acknowledge_timeout)
        return waiter

    def hold(self, channel: bytes) -> None:
        """Add a holder, subscribed or not: for sessions that are admitted while Redis is away. Needs one `release`."""
        subscription = self._subscriptions.get(channel)
        if subscription is None:
            subscription = self._subscriptions[channel] = _Subscription()
            self._link.subscribe(channel)
        subscription.holders += 1
        self._lingering.pop(channel, None)

    def release(self, channel: bytes) -> None:
        """Remove a holder."""
        subscription = self._subscriptions[channel]
        subscription.holders -= 1
        if subscription.holders == 0:
            until = asyncio.get_running_loop().time() + LINGER
            self._lingering[channel] = until
            self._sweep_at(until)

    def confirm(self, channels: list[bytes]) -> None:
        """Redis has acknowledged the subscriptions to these channels."""
        for channel in channels:
            subscription = self._subscriptions.get(channel)
            if subscription is None:
                continue
            waiters, subscription.waiters = subscription.waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _roll_back(self, channel: bytes, waiter: asyncio.Future[None]) -> None:
        if waiter.done():
            return
        self._subscriptions[channel].waiters.remove(waiter)
        self._rolled_back += 1
        self.release(channel)
        waiter.set_exception(Unavailable("the bus did not confirm the subscription in time"))

    def _sweep_at(self, when: float) -> None:
        """Make sure that a sweep comes at `when`, or earlier."""
        if self._timer is not None and self._timer.when() > when:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(when, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._unacknowledged and (self._unacknowledged[0][0] <= now or self._unacknowledged[0][2].done()):
            _, channel, waiter = self._unacknowledged.popleft()
            self._roll_back(channel, waiter)
        due: list[bytes] = []
        for channel, until in self._lingering.items():
            if until > now:
                break
            due.append(channel)
        for channel in due:
            del self._lingering[channel]
            del self._subscriptions[channel]
            self._link.unsubscribe(channel)
            self._on_dropped(channel)
        first = min(
            next(iter(self._lingering.values()), math.inf),
            self._unacknowledged[0][0] if self._unacknowledged else math.inf,
        )
        if first < math.inf:
            self._sweep_at(max(first, now + SWEEP_GRAIN))

    def holders(self, channel: bytes) -> int:
        """How many holders the channel has."""
        subscription = self._subscriptions.get(channel)
        return subscription.holders if subscription else 0

    def statistics(self) -> ChannelSubscriptionsStatistics:
        return ChannelSubscriptionsStatistics(
            channels=len(self._subscriptions),
            waiting=sum(len(subscription.waiters) for subscription in self._subscriptions.values()),
            rolled_back=self._rolled_back,
        )
