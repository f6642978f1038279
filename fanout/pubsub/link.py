"""The link on which everything arrives that other nodes say: carries a `LinkState` over real connections."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

import structlog

from ...shared.clock import Clock
from ..redis.connection import Pushes, RedisConnection, connect
from ..redis.errors import RedisError
from ..redis.reconnect import keep_connected
from ..redis.sentinel import Target
from .link_state import ECHO_PERIOD, PLAIN, PROOF, Batch, LinkEvents, LinkState, Verbs

CONNECT_TIMEOUT = 2.0
BACKOFF_BASE = 0.1
BACKOFF_CAP = 2.0
_NOT_SERVED_CODES = frozenset(("MOVED", "CLUSTERDOWN"))
"""Codes of errors by which a server of a Redis Cluster says that it does not serve the slot, or not now."""

_log = structlog.get_logger("tannoy.link")


class AnyLink(Protocol):
    """To one server, or to all masters of a cluster: whoever uses it can't tell."""

    live: asyncio.Event

    @property
    def down_for(self) -> float: ...
    def want(self, channel: bytes) -> None: ...
    def unwant(self, channel: bytes) -> None: ...
    def is_confirmed(self, channel: bytes) -> bool: ...
    def proof(self, partition: int) -> asyncio.Future[bool]: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    async def run(self) -> None: ...
    def statistics(self) -> dict[str, int | bool]: ...


class LinkListener(Protocol):
    """Called by a link, always on the event loop, in the order in which Redis has sent what it is about."""

    def deliver_batch(self, batch: Batch) -> None:
        """Messages that came in one read of the socket, in order."""
        ...

    def on_subscribed(self, channels: list[bytes]) -> None:
        """Redis has acknowledged the subscriptions to these channels."""
        ...

    def on_live(self) -> None:
        """The link hears all its channels again, after a time in which messages may have been missed."""
        ...


class Link:
    """Carries a LinkState over one connection after another, for as long as `run` runs.

    `on_moved` is told what Redis took away because its slot has moved, and what nothing comes of any more that is not
    wanted any more; `on_lost`, that a connection is gone.
    """

    def __init__(
        self,
        target: Target,
        *,
        name: str,
        echo_channel: bytes,
        clock: Clock,
        listener: LinkListener,
        on_lost: Callable[[], None] = lambda: None,
        on_moved: Callable[[list[bytes], list[bytes]], None] = lambda taken, left: None,
        verbs: Verbs = PLAIN,
    ) -> None:
        self.state = LinkState(echo_channel, verbs)
        self.live = asyncio.Event()
        """Set while the link hears everything it should."""
        self._target = target
        self._name = name
        self._verbs = verbs
        self._clock = clock
        self._listener = listener
        self._on_lost = on_lost
        self._on_moved = on_moved
        self._proofs: dict[bytes, asyncio.Future[bool]] = {}  # by their nonces, which are out
        self._proof: asyncio.Future[bool] | None = None  # its nonce goes out at the end of this turn
        self._proof_number = 0
        self._connection: RedisConnection | None = None
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

    def is_confirmed(self, channel: bytes) -> bool:
        return self.state.is_confirmed(channel)

    def move_echo(self, channel: bytes) -> None:
        """Hear itself on another channel from now on. What was to be proven on the old one is not."""
        self.state.move_echo(channel)
        self._disprove()
        self._flush_soon()

    def proof(self, partition: int) -> asyncio.Future[bool]:
        """True once all has come that was published on a partition's channels before this was asked.

        One connection hears what Redis publishes in the order in which that happened, so whatever was published before
        the link's own nonce comes before it. False: the connection was lost, and nothing is proven.
        """
        del partition  # one link hears them all
        if self._proof is None:
            self._proof = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(self._send_proof)
        return asyncio.shield(self._proof)  # shared by all who ask in one turn: none may cancel it for the others

    def _send_proof(self) -> None:
        proof, self._proof = self._proof, None
        assert proof is not None
        if self._connection is None:
            proof.set_result(False)
            return
        self._proof_number += 1
        nonce = PROOF + b"%d" % self._proof_number
        self._proofs[nonce] = proof
        self._say_to_itself(self._connection, nonce)

    def _disprove(self) -> None:
        """The connection is lost, and with it the nonces that were out."""
        proofs, self._proofs = self._proofs, {}
        for proof in proofs.values():
            proof.set_result(False)

    def pause_reading(self) -> None:
        """Leave what comes in with Redis; its own output buffer limit bounds it."""
        self._reading_paused = True
        if self._connection:
            self._connection.pause_reading()

    def resume_reading(self) -> None:
        self._reading_paused = False
        if self._connection:
            self._connection.resume_reading()

    async def run(self) -> None:
        """Keep a connection for ever. Only what no retry can mend gets out of here."""
        await keep_connected(
            self._one_connection, target=self._target, what="no link to Redis", base=BACKOFF_BASE, cap=BACKOFF_CAP
        )

    async def _one_connection(self) -> bool:
        """Until it is lost; whether it was live before."""
        connection = await connect(self._target, name=self._name, on_pushes=self._received, timeout=CONNECT_TIMEOUT)
        try:
            await self._keep_buffer(connection)
            self._connection = connection
            if self._reading_paused:
                connection.pause_reading()
            self.state.opened(self._clock.monotonic())
            self._flush()
            _log.info("link to Redis is up", redis=str(self._target), incarnation=self.state.incarnation)
            while not connection.lost.done():
                if (nonce := self._next_nonce()) is None:
                    self._deaf += 1
                    _log.warning("link to Redis is deaf, dropping it", redis=str(self._target))
                    break
                if nonce:
                    self._say_to_itself(connection, nonce)
                await asyncio.wait((connection.lost,), timeout=ECHO_PERIOD)
            return self.live.is_set()
        finally:
            self._connection = None
            if self.live.is_set():
                self._down_since = self._clock.monotonic()
                reason = connection.lost.result() if connection.lost.done() else None
                _log.warning("link to Redis was lost", redis=str(self._target), error=str(reason or "closed"))
            self.live.clear()
            self._disprove()
            self._connections_lost += 1
            self.state.closed()
            connection.abort()
            self._on_lost()

    def _say_to_itself(self, connection: RedisConnection, nonce: bytes) -> None:
        connection.send(self._verbs.publish, self.state.echo, nonce).add_done_callback(_report_refusal)

    async def _keep_buffer(self, connection: RedisConnection) -> None:
        """Ask Redis not to evict this client when its memory runs short. An ACL may forbid it: then it may."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await connection.send("CLIENT", "NO-EVICT", "ON")
        except RedisError as error:
            _log.warning("Redis refused CLIENT NO-EVICT: under memory pressure it may drop this link", error=str(error))

    def _next_nonce(self) -> bytes | None:
        if self._reading_paused:
            return b""  # we do not listen, so silence proves nothing
        return self.state.tick(self._clock.monotonic())

    def _received(self, pushes: Pushes) -> None:
        events = self.state.received(pushes)
        if events.confirmed:
            self._listener.on_subscribed(events.confirmed)
        if events.deliveries:
            self._deliveries += len(events.deliveries)
            self._listener.deliver_batch(events.deliveries)
        for nonce in events.proofs:
            if proof := self._proofs.pop(nonce, None):
                proof.set_result(True)
        self._tell_what_moved(events)
        self._flush()
        if self.state.is_live and not self.live.is_set():
            self.live.set()
            self._down_since = None
            self._listener.on_live()

    def _tell_what_moved(self, events: LinkEvents) -> None:
        if events.taken or events.left:
            self._on_moved(events.taken, events.left)

    def _flush_soon(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._connection is None:
            return
        for verb, channels in self.state.commands_to_send():
            self._connection.subscribe((verb, *channels), partial(self._refused, channels))

    def _refused(self, channels: list[bytes], error: RedisError) -> None:
        if self._verbs.is_sharded and error.code in _NOT_SERVED_CODES:
            self._tell_what_moved(self.state.moved(channels))
            return
        self.state.refused(channels)
        if len(channels) == 1:
            _log.error("Redis refused a subscription", channel=channels[0].decode(), error=str(error))
            self._on_moved([], channels)
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
    if isinstance(error, RedisError) and error.code not in _NOT_SERVED_CODES:
        _log.error("Redis refused the echo, so this link can't prove that it hears", error=str(error))
