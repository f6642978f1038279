"""Reference counts per channel over the link: the first one in subscribes, the last one out unsubscribes.

Counts change synchronously, before any await. An acquire that Redis does not acknowledge in time is rolled back. An
unsubscribe waits `LINGER` and looks again, so that a page reload costs Redis nothing.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable

from ...shared.errors import Unavailable
from .link import AnyLink

ACKNOWLEDGE_TIMEOUT = 1.0
LINGER = 1.0
GRAIN = 0.1
"""Seconds between two sweeps over what is due: many channels then go out in one UNSUBSCRIBE."""


class _Subscription:
    __slots__ = ("holders", "waiters")

    def __init__(self) -> None:
        self.holders = 0
        self.waiters: list[asyncio.Future[None]] = []


class ChannelSubscriptions:
    """Who on this node wants to hear which channel. `confirmed` has to be wired to the link.

    `on_dropped` is told of each channel that is not heard any more.
    """

    def __init__(self, link: AnyLink, *, on_dropped: Callable[[bytes], None] = lambda address: None) -> None:
        self._link = link
        self._on_dropped = on_dropped
        self._subscriptions: dict[bytes, _Subscription] = {}
        # Both oldest first, since all wait equally long. One timer serves them all: one each would cost a join more
        # than all the rest of it.
        self._lingering: dict[bytes, float] = {}  # channels without a holder, and until when
        self._unacknowledged: deque[tuple[float, bytes, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._rolled_back = 0

    def acquire(self, channel: bytes) -> asyncio.Future[None] | None:
        """Count one more holder of `channel`.

        None: it is being heard already. Otherwise a future, done once Redis has acknowledged; it raises Unavailable,
        with the count rolled back, where that takes longer than ACKNOWLEDGE_TIMEOUT. Whoever got one of the two
        without an error owes one `release`.
        """
        self.hold(channel)
        if self._link.is_confirmed(channel):
            return None
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        if self._link.down_for > ACKNOWLEDGE_TIMEOUT:
            # It would have to wait for nothing, and everything behind it too.
            self.release(channel)
            waiter.set_exception(Unavailable("this node does not hear the bus"))
            return waiter
        self._subscriptions[channel].waiters.append(waiter)
        self._unacknowledged.append((loop.time() + ACKNOWLEDGE_TIMEOUT, channel, waiter))
        self._sweep_at(loop.time() + ACKNOWLEDGE_TIMEOUT)
        return waiter

    def hold(self, channel: bytes) -> None:
        """Count one more holder, heard or not: for those who are let in while Redis is away. It owes one `release`."""
        subscription = self._subscriptions.get(channel)
        if subscription is None:
            subscription = self._subscriptions[channel] = _Subscription()
            self._link.want(channel)
        subscription.holders += 1
        self._lingering.pop(channel, None)

    def release(self, channel: bytes) -> None:
        """Count one holder less."""
        subscription = self._subscriptions[channel]
        subscription.holders -= 1
        if subscription.holders == 0:
            until = asyncio.get_running_loop().time() + LINGER
            self._lingering[channel] = until
            self._sweep_at(until)

    def confirmed(self, channels: list[bytes]) -> None:
        """The link tells which subscriptions Redis has acknowledged."""
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
        """See that a sweep comes at `when`, or before."""
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
            self._link.unwant(channel)
            self._on_dropped(channel)
        first = min(
            next(iter(self._lingering.values()), math.inf),
            self._unacknowledged[0][0] if self._unacknowledged else math.inf,
        )
        if first < math.inf:
            self._sweep_at(max(first, now + GRAIN))

    def holders(self, channel: bytes) -> int:
        subscription = self._subscriptions.get(channel)
        return subscription.holders if subscription else 0

    def statistics(self) -> dict[str, int]:
        return {
            "channels": len(self._subscriptions),
            "waiting": sum(len(subscription.waiters) for subscription in self._subscriptions.values()),
            "rolled_back": self._rolled_back,
        }
