"""The link on which everything arrives that other nodes say: carries a `LinkState` over real connections."""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from ..shared.clock import Clock
from .link_state import ECHO_PERIOD, Batch, LinkState
from .reconnect import keep_connected
from .wire import Pushes, RedisAddress, ServerRefused, Wire, dial

CONNECT_TIMEOUT = 2.0
BACKOFF_BASE = 0.1
BACKOFF_CAP = 2.0

_log = structlog.get_logger("tannoy.link")


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
        self._down_since: float | None = clock.monotonic()
        self._deaf = 0
        self._deliveries = 0

    @property
    def down_for(self) -> float:
        """Seconds since the link last heard what it should; 0 while it does."""
        return 0.0 if self._down_since is None else self._clock.monotonic() - self._down_since

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
        await keep_connected(
            self._one_connection, address=self._address, what="no link to Redis", base=BACKOFF_BASE, cap=BACKOFF_CAP
        )

    async def _one_connection(self) -> bool:
        """Until it is lost; whether it was live before."""
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
            return self.live.is_set()
        finally:
            self._wire = None
            if self.live.is_set():
                self._down_since = self._clock.monotonic()
                reason = wire.lost.result() if wire.lost.done() else None
                _log.warning("link to Redis was lost", redis=str(self._address), error=str(reason or "closed"))
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
        if self.state.is_live and not self.live.is_set():
            self.live.set()
            self._down_since = None

    def _flush_soon(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._wire is None:
            return
        for verb, channels in self.state.commands_to_send():
            self._wire.subscribe((verb, *channels), partial(self._refused, channels))

    def _refused(self, channels: list[bytes], error: ServerRefused) -> None:
        if len(channels) == 1:
            _log.error("Redis refused a subscription", channel=channels[0].decode(), error=str(error))
        self.state.refused(channels)
        self._flush_soon()

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
