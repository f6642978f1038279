"""The link: the connection on which a node receives the messages of its channels. Puts a `LinkState` on sockets."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from ...shared.clock import Clock
from ...shared.durations import Durations
from ...shared.logs import get_logger
from ..redis.connection import Pushes, RedisConnection
from ..redis.errors import RedisError
from ..redis.opening import connect
from ..redis.reconnect import keep_connected
from ..redis.sentinel import Target
from .any_link import LinkListener, LinkStatistics
from .barriers import Barriers, PublishNonce
from .link_state import ECHO_PERIOD, LinkEvents, LinkState
from .verbs import PLAIN, Verbs

CONNECT_TIMEOUT = 2.0
"""Seconds to connect and log in: more than a pipeline has, since no client waits for the link."""
BACKOFF_BASE = 0.1
BACKOFF_CAP = 1.0
"""Seconds between two attempts to connect, from about the base to the cap: no more than a pipeline waits, so that
deliveries do not stay away for longer than publishes."""
READ_MAX_BYTES = 1024 * 1024
"""What one read of the socket may bring in front of a message; asyncio and uvloop read 256 KiB at most."""
_NOT_SERVED_CODES = frozenset(("MOVED", "CLUSTERDOWN"))
"""Codes of errors by which a server of a Redis Cluster says that it does not serve the slot, or not now."""

_log = get_logger("tannoy.link")


class Link:
    """Carries a LinkState over one connection after another, for as long as `run` runs.

    `on_lost` is called when a connection has ended. For a link to one master of a Redis Cluster, `on_revoked` is called
    with wanted channels that Redis has unsubscribed because their slot has moved, and `on_unsubscribed` with channels
    that were unsubscribed as asked, or refused for good: none of their messages will come any more.

    `command_connections` gives the connections of pipelines that have to go to the same server as the link. Where they
    go elsewhere, those to the server that was reached earlier are closed: the newest one shows where the address leads.
    `publish_barrier` publishes over the one of them by which heads are read.

    A connection that brings a message of much more than `payload_max_bytes` is replaced before it has read all of it;
    None: any is read.
    """

    def __init__(
        self,
        target: Target,
        *,
        name: str,
        echo_channel: bytes,
        clock: Clock,
        listener: LinkListener,
        publish_barrier: PublishNonce,
        on_lost: Callable[[], None] = lambda: None,
        on_revoked: Callable[[list[bytes]], None] = lambda channels: None,
        on_unsubscribed: Callable[[list[bytes]], None] = lambda channels: None,
        command_connections: Callable[[], Iterable[RedisConnection]] = lambda: (),
        verbs: Verbs = PLAIN,
        payload_max_bytes: int | None = None,
    ) -> None:
        self._push_max_bytes = None if payload_max_bytes is None else payload_max_bytes + READ_MAX_BYTES
        self.state = LinkState(echo_channel, verbs)
        self.live = asyncio.Event()
        """Set while the link receives all that it should."""
        self._target = target
        self._name = name
        self._verbs = verbs
        self._clock = clock
        self._listener = listener
        self._on_lost = on_lost
        self._on_revoked = on_revoked
        self._on_unsubscribed = on_unsubscribed
        self._command_connections = command_connections
        self._publish_over_reader = publish_barrier
        self._barriers = Barriers(self._publish_barrier)
        self._connection: RedisConnection | None = None
        self._flush_is_due = False
        self._reading_paused = False
        self._connections_lost = 0
        self._down_since: float | None = clock.monotonic()
        self._echoes_missed = 0
        self._servers_parted = 0
        self._deliveries = 0
        self._delays = Durations()

    @property
    def down_for(self) -> float:
        """Seconds since the link last received all that it should; 0 while it does."""
        return 0.0 if self._down_since is None else self._clock.monotonic() - self._down_since

    def subscribe(self, channel: bytes) -> None:
        """Subscribe at the end of this loop turn, and again on each new connection. Never fails."""
        self.state.subscribe(channel)
        self._flush_soon()

    def unsubscribe(self, channel: bytes) -> None:
        self.state.unsubscribe(channel)
        self._flush_soon()

    def is_subscribed(self, channel: bytes) -> bool:
        return self.state.is_subscribed(channel)

    def move_echo(self, channel: bytes) -> None:
        """Use another echo channel from now on. Barriers whose nonces are still on the old one fail."""
        self.state.move_echo(channel)
        self._barriers.fail()
        self._flush_soon()

    def send_barrier(self, partition: int) -> asyncio.Future[bool]:
        """True once all messages have come that were published on a partition's channels before this call.

        Redis sends what it publishes to one connection in the order of publishing, so every message that was published
        before the nonce of this barrier comes before the nonce does. It comes only if heads are read on the server of
        this link. False: a connection was lost, or they go to different servers, and it is unknown.
        """
        del partition  # one connection receives the channels of all partitions
        return self._barriers.send()

    def _publish_barrier(self, nonce: bytes) -> "asyncio.Future[Any] | None":
        return self._publish_over_reader(self.state.echo, nonce) if self.state.is_subscribed(self.state.echo) else None

    def pause_reading(self) -> None:
        """Leave incoming messages with Redis, which bounds them by its client output buffer limit."""
        self._reading_paused = True
        if self._connection:
            self._connection.pause_reading()

    def resume_reading(self) -> None:
        self._reading_paused = False
        if self._connection:
            self._connection.resume_reading()

    async def run(self) -> None:
        """Keep a connection for ever. Raises only what no retry can mend."""
        await keep_connected(
            self._run_connection, target=self._target, what="no link to Redis", base=BACKOFF_BASE, cap=BACKOFF_CAP
        )

    async def _run_connection(self) -> bool:
        """Until the connection is lost. True if the link was live on it."""
        connection = await connect(
            self._target, name=self._name, on_pushes=self._handle_pushes, timeout=CONNECT_TIMEOUT
        )
        connection.push_max_bytes = self._push_max_bytes
        try:
            await self._forbid_eviction(connection)
            self._connection = connection
            if self._reading_paused:
                connection.pause_reading()
            self.state.on_connected(self._clock.monotonic())
            self._flush()
            _log.info("link to Redis is up", redis=str(self._target), connection=self.state.connections)
            while not connection.lost.done():
                if (nonce := self._next_nonce()) is None:
                    self._echoes_missed += 1
                    _log.warning("an echo did not come back: dropping the link to Redis", redis=str(self._target))
                    break
                if nonce:
                    self._barriers.begin_echo()
                    self._publish_echo(connection, nonce)
                    self._publish_proofs()
                await asyncio.wait((connection.lost,), timeout=ECHO_PERIOD)
            return self.live.is_set()
        finally:
            self._connection = None
            if self.live.is_set():
                self._down_since = self._clock.monotonic()
                # Otherwise this node has closed it, and has said why if that is news to anybody.
                if connection.lost.done():
                    reason = connection.lost.result()
                    _log.warning("link to Redis was lost", redis=str(self._target), error=str(reason or "closed"))
            self.live.clear()
            self._barriers.fail()
            self._connections_lost += 1
            self.state.on_disconnected()
            connection.abort()
            self._on_lost()

    def _publish_echo(self, connection: RedisConnection, nonce: bytes) -> None:
        connection.send(self._verbs.publish, self.state.echo, nonce).add_done_callback(_report_refused_echo)

    def _publish_proofs(self) -> None:
        """A nonce over each command connection. What it proves begins with the subscription to the echo channel."""
        echo = self.state.echo
        if self.state.is_subscribed(echo):
            now = asyncio.get_running_loop().time()
            for connection, nonce in self.state.proof.nonces_to_send(self._command_connections(), now):
                answer = connection.send(self._verbs.publish, echo, nonce)
                answer.add_done_callback(partial(self.state.proof.handle_answer, connection, nonce))

    def _leave_earlier_server(self, elsewhere: Sequence[RedisConnection]) -> None:
        """Command connections go `elsewhere`: close those to the server that is not the one of the newest connection.

        Only a new connection shows where the address leads now, and what is closed is connected anew.
        """
        self._servers_parted += 1
        here = [*self.state.proof.proven, *([self._connection] if self._connection else ())]
        newest = max((*here, *elsewhere), key=lambda connection: connection.opened_at)
        earlier = elsewhere if newest in here else here
        _log.warning("commands and link reach different Redis servers", redis=str(self._target), closed=len(earlier))
        for connection in earlier:
            connection.abort("newer connections to this address reach another server")

    async def _forbid_eviction(self, connection: RedisConnection) -> None:
        """Ask Redis not to evict this client when its memory runs short. An ACL may forbid the command."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await connection.send("CLIENT", "NO-EVICT", "ON")
        except RedisError as error:
            _log.warning("Redis refused CLIENT NO-EVICT: under memory pressure it may drop this link", error=str(error))

    def _next_nonce(self) -> bytes | None:
        if self._reading_paused:
            return b""  # nothing is read, so a missing echo proves nothing
        return self.state.tick(self._clock.monotonic())

    def _handle_pushes(self, pushes: Pushes) -> None:
        events = self.state.handle_pushes(pushes)
        if events.subscribed:
            self._listener.on_subscribed(events.subscribed)
        if events.deliveries:
            self._deliveries += len(events.deliveries)
            self._listener.deliver_batch(events.deliveries)
        for nonce in events.barriers:
            self._barriers.handle_nonce(nonce)
        if events.proven_since:
            now = asyncio.get_running_loop().time()
            for published_at in events.proven_since:
                self._delays.record(now - published_at)
        if events.echoed:
            self._barriers.end_echo()
        self._report_unsubscribed(events)
        self._flush()
        if self.state.is_live and not self.live.is_set():
            self.live.set()
            self._down_since = None
            self._listener.on_live()
        if events.elsewhere:
            self._leave_earlier_server(events.elsewhere)

    def _report_unsubscribed(self, events: LinkEvents) -> None:
        if events.revoked:
            self._on_revoked(events.revoked)
        if events.unsubscribed:
            self._on_unsubscribed(events.unsubscribed)

    def _flush_soon(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._connection is None:
            return
        for verb, channels in self.state.commands_to_send():
            self._connection.subscribe((verb, *channels), partial(self._handle_refusal, channels))

    def _handle_refusal(self, channels: list[bytes], error: RedisError) -> None:
        if self._verbs.is_sharded and error.code in _NOT_SERVED_CODES:
            self._report_unsubscribed(self.state.handle_redirection(channels))
            return
        self.state.handle_refusal(channels)
        if len(channels) == 1:
            _log.error("Redis refused a subscription", channel=channels[0].decode(), error=str(error))
            self._on_unsubscribed(channels)
        self._flush_soon()

    def statistics(self) -> LinkStatistics:
        return LinkStatistics(
            live=self.live.is_set(),
            connections=self.state.connections,
            channels=len(self.state.wanted) - 1,
            deliveries=self._deliveries,
            echoes_missed=self._echoes_missed,
            connections_lost=self._connections_lost,
            servers_parted=self._servers_parted,
            delays=self._delays.statistics(),
        )


def _report_refused_echo(echo: "asyncio.Future[object]") -> None:
    error = None if echo.cancelled() else echo.exception()
    if isinstance(error, RedisError) and error.code not in _NOT_SERVED_CODES:
        _log.error("Redis refused the echo: whether it still answers can't be seen", error=str(error))
