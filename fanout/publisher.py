"""Publishes: one pipeline per loop turn, one deadline, no retries.

A publish that Redis has not confirmed within `DEADLINE` fails with `Unavailable`, never with a false ok: it may have
happened, and whoever repeats it does so with an idempotency key. What is queued for a connection that does not come
fails at the same deadline, and certainly has not happened.
"""

import asyncio
import random
from collections import deque
from functools import partial

import structlog

from ..shared.channels import Channel, Channels
from ..shared.errors import TannoyError, Unavailable
from ..shared.policy import full_jitter
from .scripts import PUBLISH_ONCE
from .wire import RedisAddress, Reply, ServerRefused, Wire, WireLost, Word, dial, pack

DEADLINE = 0.45
"""Seconds; the contract promises an answer within 0.5."""
CONNECT_TIMEOUT = 1.0
BACKOFF_BASE = 0.05
BACKOFF_CAP = 1.0
UNCONFIRMED_MAX_BYTES = 32 * 1024 * 1024
"""Of publishes under way at once. More than this is refused at the door."""
REMEMBER_KEY_SECONDS = 300

_log = structlog.get_logger("tannoy.publisher")
_NO_SCRIPT = "NOSCRIPT"


class _Publish:
    """One publish from the door to its confirmation."""

    __slots__ = ("confirmed", "deadline", "size", "words")

    def __init__(self, words: tuple[Word, ...], size: int, deadline: float) -> None:
        self.words = words
        self.size = size
        self.deadline = deadline
        self.confirmed: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()


class Publisher:
    """All publishes of a node. Needs `run` running."""

    def __init__(self, address: RedisAddress, channels: Channels, *, name: str) -> None:
        self._address = address
        self._channels = channels
        self._name = name
        self._wire: Wire | None = None
        self.connected = asyncio.Event()
        """Set while Redis takes publishes."""
        self._unsent: list[_Publish] = []
        self._under_way: deque[_Publish] = deque()  # in the order of their deadlines
        self._under_way_bytes = 0
        self._flush_is_due = False
        self._watch: asyncio.TimerHandle | None = None
        self._published = 0
        self._failed = 0

    def publish(self, channel: Channel, payload: bytes, key: str | None = None) -> asyncio.Future[Reply]:
        """Say `payload` on a room's or an agent's channel; with `key`, at most once per key.

        The future is done when Redis has confirmed, and raises Unavailable where it has not in time.
        """
        if key is None:
            return self.send(channel.address, payload)
        once = self._channels.once(channel, key)
        return self._submit(PUBLISH_ONCE.call((once,), (channel.address, payload, REMEMBER_KEY_SECONDS)), len(payload))

    def send(self, address: bytes, payload: bytes) -> asyncio.Future[Reply]:
        """PUBLISH on any channel; the result is the number of links that got it, at the most."""
        return self._submit((b"PUBLISH", address, payload), len(payload))

    def _submit(self, words: tuple[Word, ...], size: int) -> asyncio.Future[Reply]:
        loop = asyncio.get_running_loop()
        publish = _Publish(words, size, loop.time() + DEADLINE)
        if self._under_way_bytes + size > UNCONFIRMED_MAX_BYTES:
            self._failed += 1
            publish.confirmed.set_exception(Unavailable("the bus is overloaded: too much is still unconfirmed"))
            return publish.confirmed
        self._under_way.append(publish)
        self._under_way_bytes += size
        self._unsent.append(publish)
        if not self._flush_is_due:
            self._flush_is_due = True
            loop.call_soon(self._flush)
        if self._watch is None:
            self._watch = loop.call_at(publish.deadline, self._check_deadlines)
        return publish.confirmed

    def _flush(self) -> None:
        self._flush_is_due = False
        wire = self._wire
        if wire is None:
            return
        unsent, self._unsent = self._unsent, []
        packed: list[bytes] = []
        for publish in unsent:
            if not publish.confirmed.done():
                wire.expect(partial(self._answered, wire, publish))
                packed.append(pack(publish.words))
        if packed:
            wire.write(b"".join(packed))

    def _answered(self, wire: Wire, publish: _Publish, reply: Reply) -> None:
        if publish.confirmed.done():
            return
        if not isinstance(reply, TannoyError):
            self._published += 1
            publish.confirmed.set_result(reply)
        elif isinstance(reply, ServerRefused) and str(reply).startswith(_NO_SCRIPT):
            # It has not run, so running it now is no retry.
            wire.command("SCRIPT", "LOAD", PUBLISH_ONCE.source).add_done_callback(_look_at)
            self._unsent.insert(0, publish)
            self._flush()
        else:
            self._fail(publish, f"the bus did not take it: {reply}")
        self._forget_done()

    def _fail(self, publish: _Publish, message: str) -> None:
        if not publish.confirmed.done():
            self._failed += 1
            publish.confirmed.set_exception(Unavailable(message))

    def _forget_done(self) -> None:
        under_way = self._under_way
        while under_way and under_way[0].confirmed.done():
            self._under_way_bytes -= under_way.popleft().size
        if not under_way and self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _check_deadlines(self) -> None:
        self._watch = None
        loop = asyncio.get_running_loop()
        overdue = False
        for publish in self._under_way:
            if publish.deadline > loop.time():
                break
            if not publish.confirmed.done():
                overdue = True
                self._fail(publish, "the bus did not confirm in time: repeat with the same key")
        self._forget_done()
        self._unsent = [publish for publish in self._unsent if not publish.confirmed.done()]
        if overdue and self._wire is not None:
            self._wire.abort()  # its answers would come too late to tell whose they are
        if self._under_way:
            self._watch = loop.call_at(self._under_way[0].deadline, self._check_deadlines)

    async def run(self) -> None:
        """Keep a connection for ever. Only what no retry can mend gets out of here."""
        attempt = 0
        while True:
            try:
                await self._one_connection()
                attempt = 0
            except (OSError, TimeoutError, WireLost, ServerRefused) as error:
                _log.warning("can't publish", redis=str(self._address), error=str(error) or type(error).__name__)
                attempt += 1
            await asyncio.sleep(full_jitter(attempt, base=BACKOFF_BASE, cap=BACKOFF_CAP, uniform=random.uniform))

    async def _one_connection(self) -> None:
        wire = await dial(self._address, name=self._name, on_pushes=lambda pushes: None, timeout=CONNECT_TIMEOUT)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await wire.command("SCRIPT", "LOAD", PUBLISH_ONCE.source)
            self._wire = wire
            self.connected.set()
            self._flush()
            await wire.lost
        finally:
            self._wire = None
            self.connected.clear()
            wire.abort()

    def statistics(self) -> dict[str, int | bool]:
        return {
            "connected": self.connected.is_set(),
            "published": self._published,
            "failed": self._failed,
            "under_way": len(self._under_way),
            "under_way_bytes": self._under_way_bytes,
        }


def _look_at(done: "asyncio.Future[Reply]") -> None:
    """The publish that follows tells of any failure; this only marks the exception as seen."""
    if not done.cancelled():
        done.exception()
