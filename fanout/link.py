"""The link on which everything arrives that other nodes say: a sans-I/O state machine, and the task that carries it.

Intent (what we want to hear) and acknowledgement (what Redis has confirmed) are kept apart. A connection that breaks
takes the acknowledgements with it; intent stays and is restored on the next one. Each connection is a new
*incarnation*: whatever arrived before may have been followed by a hole.

Redis can freeze without breaking any connection. So the link hears itself: each `ECHO_PERIOD` it publishes a nonce on
its own echo channel, and one that does not come back within `ECHO_DEADLINE` proves the link deaf.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from ..shared.clock import Clock
from ..shared.policy import full_jitter
from .wire import Pushes, RedisAddress, ServerRefused, Wire, WireLost, dial, pack

ECHO_PERIOD = 0.5
ECHO_DEADLINE = 1.5
CONNECT_TIMEOUT = 2.0
BACKOFF_BASE = 0.1
BACKOFF_CAP = 2.0
BATCH = 512
"""Channels in one SUBSCRIBE: long enough to be cheap, short enough not to stall Redis."""

Batch = list[tuple[bytes, bytes]]
"""Deliveries in the order of the bus: (channel, payload)."""

_log = structlog.get_logger("tannoy.link")


@dataclass(slots=True)
class LinkEvents:
    """What one call of the state machine brought about."""

    deliveries: Batch = field(default_factory=list[tuple[bytes, bytes]])
    confirmed: list[bytes] = field(default_factory=list[bytes])


class LinkState:
    """The subscriber link without I/O: pushes in, events and bytes out."""

    def __init__(self, echo_channel: bytes) -> None:
        self._echo = echo_channel
        self._wanted: set[bytes] = {echo_channel}
        self._dirty: set[bytes] = set()  # intent changed since the last `data_to_send`
        self._unanswered: dict[bytes, int] = {}  # commands per channel that Redis has not acknowledged
        self._confirmed: set[bytes] = set()
        self._nonce = 0
        self._asked_at: float | None = None  # when the oldest nonce still out was sent
        self._ticked_at: float | None = None
        self._heard_itself = False
        self._is_restoring = False
        self.incarnation = 0
        self.connected = False

    # ---- intent

    def want(self, channel: bytes) -> None:
        self._wanted.add(channel)
        self._dirty.add(channel)

    def unwant(self, channel: bytes) -> None:
        self._wanted.discard(channel)
        self._dirty.add(channel)

    def is_confirmed(self, channel: bytes) -> bool:
        """Redis has acknowledged the subscription, on this incarnation, and nothing contrary is under way."""
        return channel in self._confirmed and channel in self._wanted and channel not in self._unanswered

    @property
    def is_live(self) -> bool:
        """All that was wanted when this incarnation began is confirmed, and the link has heard its own echo."""
        return self.connected and self._heard_itself and not self._is_restoring

    @property
    def wanted(self) -> frozenset[bytes]:
        return frozenset(self._wanted)

    # ---- life of the connection

    def opened(self, now: float) -> None:
        self.incarnation += 1
        self.connected = True
        self._confirmed.clear()
        self._unanswered.clear()
        self._dirty = set(self._wanted)
        self._asked_at = None
        self._ticked_at = now
        self._heard_itself = False
        self._is_restoring = True

    def closed(self) -> None:
        self.connected = False
        self._confirmed.clear()
        self._unanswered.clear()
        self._dirty.clear()

    # ---- bytes

    def data_to_send(self) -> bytes:
        """SUBSCRIBE and UNSUBSCRIBE for all that changed; empty while there is no connection."""
        if not self.connected or not self._dirty:
            return b""
        dirty, self._dirty = self._dirty, set()
        # Redis answers in order, so a channel's last acknowledgement tells its final state.
        joins = [c for c in dirty if c in self._wanted and not self.is_confirmed(c)]
        leaves = [c for c in dirty if c not in self._wanted and (c in self._confirmed or c in self._unanswered)]
        joins.sort(key=lambda channel: channel != self._echo)
        return b"".join((*self._batches("SUBSCRIBE", joins), *self._batches("UNSUBSCRIBE", leaves)))

    def _batches(self, verb: str, channels: list[bytes]) -> Iterable[bytes]:
        for channel in channels:
            self._unanswered[channel] = self._unanswered.get(channel, 0) + 1
        for start in range(0, len(channels), BATCH):
            yield pack((verb, *channels[start : start + BATCH]))

    def received(self, pushes: Pushes) -> LinkEvents:
        events = LinkEvents()
        for kind, channel, payload in pushes:
            if kind == b"message":
                if channel == self._echo:
                    if payload == b"%d" % self._nonce:
                        self._asked_at = None
                        self._heard_itself = True
                else:
                    events.deliveries.append((channel, payload))
            elif kind == b"subscribe":
                self._confirmed.add(channel)
                self._acknowledged(channel, events)
            elif kind == b"unsubscribe":
                self._confirmed.discard(channel)
                self._acknowledged(channel, events)
        self._is_restoring = self._is_restoring and bool(self._unanswered or self._dirty)
        return events

    def _acknowledged(self, channel: bytes, events: LinkEvents) -> None:
        left = self._unanswered.get(channel, 0) - 1
        if left > 0:
            self._unanswered[channel] = left
            return
        self._unanswered.pop(channel, None)
        if self.is_confirmed(channel):
            events.confirmed.append(channel)
        elif channel in self._wanted:
            self._dirty.add(channel)  # Redis took away, unasked, what we still want

    # ---- echo

    def tick(self, now: float) -> bytes | None:
        """Called each ECHO_PERIOD: the nonce to publish on the echo channel, if any. None: the link is deaf."""
        late = self._ticked_at is not None and now - self._ticked_at > 2 * ECHO_PERIOD
        self._ticked_at = now
        if self._asked_at is not None:
            # A node that was frozen itself must not judge by a clock that ran on without it.
            if late:
                self._asked_at = now
            return None if now - self._asked_at > ECHO_DEADLINE else b""
        self._asked_at = now
        self._nonce += 1
        return b"%d" % self._nonce


class Link:
    """Carries a LinkState over one connection after another, for as long as `run` runs."""

    def __init__(
        self,
        address: RedisAddress,
        *,
        name: str,
        echo_channel: bytes,
        clock: Clock,
        on_deliveries: Callable[[Batch], None],
        on_confirmed: Callable[[list[bytes]], None],
    ) -> None:
        self.state = LinkState(echo_channel)
        self.live = asyncio.Event()
        """Set while the link hears everything it should."""
        self._address = address
        self._name = name
        self._echo_channel = echo_channel
        self._clock = clock
        self._on_deliveries = on_deliveries
        self._on_confirmed = on_confirmed
        self._wire: Wire | None = None
        self._flush_is_due = False
        self._reading_paused = False
        self._connections_lost = 0
        self._deaf = 0
        self._deliveries = 0

    def want(self, channel: bytes) -> None:
        self.state.want(channel)
        self._flush_soon()

    def unwant(self, channel: bytes) -> None:
        self.state.unwant(channel)
        self._flush_soon()

    def pause_reading(self) -> None:
        """Leave what comes in with Redis; its own output buffer limit bounds it."""
        self._reading_paused = True
        if self._wire:
            self._wire.pause_reading()

    def resume_reading(self) -> None:
        self._reading_paused = False
        if self._wire:
            self._wire.resume_reading()

    async def run(self) -> None:
        """Keep a connection for ever. Only what no retry can mend gets out of here."""
        attempt = 0
        while True:
            try:
                await self._one_connection()
                attempt = 0
            except (OSError, TimeoutError, WireLost, ServerRefused) as error:
                _log.warning("no link to Redis", redis=str(self._address), error=str(error) or type(error).__name__)
                attempt += 1
            await asyncio.sleep(full_jitter(attempt, base=BACKOFF_BASE, cap=BACKOFF_CAP, uniform=random.uniform))

    async def _one_connection(self) -> None:
        wire = await dial(self._address, name=self._name, on_pushes=self._received, timeout=CONNECT_TIMEOUT)
        try:
            await self._keep_buffer(wire)
            self._wire = wire
            if self._reading_paused:
                wire.pause_reading()
            self.state.opened(self._clock.monotonic())
            self._flush()
            _log.info("link to Redis is up", redis=str(self._address), incarnation=self.state.incarnation)
            while not wire.lost.done():
                if (nonce := self._next_nonce()) is None:
                    self._deaf += 1
                    _log.warning("link to Redis is deaf, dropping it", redis=str(self._address))
                    break
                if nonce:
                    wire.command("PUBLISH", self._echo_channel, nonce).add_done_callback(_report_refusal)
                await asyncio.wait((wire.lost,), timeout=ECHO_PERIOD)
        finally:
            self._wire = None
            self.live.clear()
            self._connections_lost += 1
            self.state.closed()
            wire.abort()

    async def _keep_buffer(self, wire: Wire) -> None:
        """Ask Redis not to evict this client when its memory runs short. An ACL may forbid it: then it may."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await wire.command("CLIENT", "NO-EVICT", "ON")
        except ServerRefused as error:
            _log.warning("Redis refused CLIENT NO-EVICT: under memory pressure it may drop this link", error=str(error))

    def _next_nonce(self) -> bytes | None:
        if self._reading_paused:
            return b""  # we do not listen, so silence proves nothing
        return self.state.tick(self._clock.monotonic())

    def _received(self, pushes: Pushes) -> None:
        events = self.state.received(pushes)
        if events.confirmed:
            self._on_confirmed(events.confirmed)
        if events.deliveries:
            self._deliveries += len(events.deliveries)
            self._on_deliveries(events.deliveries)
        self._flush()
        if self.state.is_live:
            self.live.set()

    def _flush_soon(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._wire and (data := self.state.data_to_send()):
            self._wire.write(data)

    def statistics(self) -> dict[str, int | bool]:
        return {
            "live": self.live.is_set(),
            "incarnation": self.state.incarnation,
            "channels": len(self.state.wanted) - 1,
            "deliveries": self._deliveries,
            "deaf": self._deaf,
            "connections_lost": self._connections_lost,
        }


def _report_refusal(echo: "asyncio.Future[object]") -> None:
    error = None if echo.cancelled() else echo.exception()
    if isinstance(error, ServerRefused):
        _log.error("Redis refused the echo, so this link can't prove that it hears", error=str(error))
