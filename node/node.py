"""One node: the bus of `fanout` and the sockets of this process, composed, and the tasks that keep them running.

The transports find it in the lifespan's state: it decides over handshakes and makes connections.
"""

import asyncio
import os
import secrets
import signal
import socket
import time
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog

from ..fanout.backend import backend_of
from ..fanout.bus import Bus, BusEvents, BusRules
from ..fanout.history.reader import HistoryRules
from ..fanout.lease_times import DEFAULT_TIMES, LeaseTimes
from ..fanout.presence.calls import PresenceRules
from ..fanout.presence.presence import Present
from ..fanout.redis.address import AnyAddress, parse_address
from ..fanout.redis.credentials import load_credentials
from ..fanout.timeouts import DEFAULT_TIMEOUTS, Timeouts
from ..shared.channels import ChannelKind, OwnerKind
from ..shared.clock import Clock, SystemClock, rfc3339
from ..shared.errors import MalformedBytes, StartError, Unavailable
from ..shared.keyspace import Keyspace
from ..shared.names import NodeId
from ..shared.nodes import NodeInfo
from ..shared.policy import Limit, LimitPolicy
from ..shared.settings import Settings
from .admission.handshake import AcceptedThenClosed, Admission, Admitted, Handshake, Rejected
from .auth.hosts import is_loopback
from .connections.bus_status import BusStatus, StatusBroadcast
from .connections.connection import Connection
from .connections.context import CommandContext, ConnectionContext, ConnectionCounters, JoinContext
from .connections.control_handler import ControlHandler
from .connections.rejected import RejectedConnection
from .connections.session_limits import SessionLeases
from .connections.timers import TimerWheel
from .delivery.hub import Hub
from .delivery.outbox import OutboxLimits
from .delivery.relay import Relay
from .lifecycle.drain import drain_sessions
from .operations.history import HistoryQueries
from .operations.pages import page_bytes
from .operations.presence import PresenceQueries
from .operations.publishing import Publishing
from .protocols.encoding import encoding_of
from .protocols.session import NodeTerms
from .statistics import NodeStatistics
from .transports.base import ClientTransport, TransportListener

WRITE_HIGH_WATER = 65_536
"""Bytes written to a socket that the kernel has not taken, from which on it counts as slow."""

_log = structlog.get_logger("tannoy.node")


def _terminate() -> None:
    """End this process as an operator would."""
    signal.raise_signal(signal.SIGTERM)


class Node:
    """Composed once per process. Run it with `running()`.

    `on_failure` is called when a background task of the node has ended by an error, and `has_failed` is set: the node
    is not ready any more, and its process or its host application should end. By default SIGTERM is raised.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        *,
        lease_times: LeaseTimes = DEFAULT_TIMES,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        on_failure: Callable[[], None] = _terminate,
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.incarnation = secrets.token_hex(8)
        self.node_id = NodeId(settings.node_id or f"{_host_name()}-{self.incarnation[:6]}")
        self.message_max_bytes = settings.message_max_bytes
        self.write_high_water = min(WRITE_HIGH_WATER, settings.outbox_max_bytes)
        self.is_draining = False
        self.has_failed = False
        self._on_failure = on_failure
        self._lease_times = lease_times
        self._started_at = rfc3339(self.clock.now())
        self._last_load = (time.process_time(), time.monotonic())

        self.hub = Hub()
        self.wheel = TimerWheel(self.clock)
        events = BusEvents(
            deliver=lambda batch: self.relay.deliver(batch),
            answer_request=lambda request: self.control_handler.handle_request(request),
            describe=self.describe,
            list_present=self._present,
        )
        address = _address(settings)
        self.keyspace = Keyspace(settings.redis_prefix, address.database)
        backend = backend_of(address, self.keyspace, command_timeout=timeouts.command)
        rules = _bus_rules(settings, lease_times, timeouts)
        bus = self.bus = Bus(
            backend, self.keyspace, rules, events, incarnation=self.incarnation, name=self.node_id, clock=self.clock
        )
        self.relay = Relay(
            self.hub,
            pause_link=bus.link.pause_reading,
            resume_link=bus.link.resume_reading,
            fence_if_expired=bus.leases.fence_if_expired,
        )
        self.publishing = Publishing(bus.publisher, bus.control, self.clock)
        session_leases = SessionLeases(bus.leases, bus.limits, bus.disconnects, node_id=self.node_id, clock=self.clock)
        listed_max = max(settings.presence_events_max, settings.presence_inline_max)
        self._counters = ConnectionCounters()
        outbox_limits = OutboxLimits(settings.outbox_max_bytes, settings.slow_policy)
        page_max_bytes = page_bytes(settings.outbox_max_bytes)
        self.history_queries = HistoryQueries(bus.history, page_max_bytes=page_max_bytes)
        self.presence_queries = PresenceQueries(
            bus.presence, bus.limits, listed_max=listed_max, page_max_bytes=page_max_bytes
        )
        bus_status = BusStatus()
        self._status_broadcast = StatusBroadcast(
            bus_status,
            self.hub,
            is_usable=lambda: bus.not_ready_reason is None,
            fence_if_expired=bus.leases.fence_if_expired,
            clock=self.clock,
        )
        self.context = ConnectionContext(
            terms=NodeTerms(self.node_id, _whole_if_possible(settings.ping_interval), settings.message_max_bytes),
            hub=self.hub,
            tracker=bus.tracker,
            session_leases=session_leases,
            bus_status=bus_status,
            wheel=self.wheel,
            clock=self.clock,
            outbox_limits=outbox_limits,
            joins=JoinContext(
                hub=self.hub,
                subscriptions=bus.subscriptions,
                tracker=bus.tracker,
                history=bus.history,
                presence=bus.presence,
                inline_max=settings.presence_inline_max,
                recover_max_bytes=outbox_limits.max_bytes,
                admits_without_bus=bus.leases.admits_without_bus,
            ),
            commands=CommandContext(
                publishing=self.publishing,
                history_queries=self.history_queries,
                presence_queries=self.presence_queries,
                clock=self.clock,
                counters=self._counters,
            ),
            counters=self._counters,
        )
        self.control_handler = ControlHandler(self.hub, self.keyspace, session_leases)
        self._admission = Admission(self.keyspace, settings.allowed_origins, is_local=is_loopback(settings.host))
        self._warns_of_host = is_loopback(settings.host)

    # ---- ConnectionFactory, for the transports

    def admit(self, handshake: Handshake) -> Admitted | AcceptedThenClosed | Rejected:
        self._warn_if_reached_elsewhere(handshake.server_host)
        if self.is_draining or self._counters.open >= self.settings.node_max_sessions:
            message = "the node is draining" if self.is_draining else "this node has as many sessions as it may have"
            return Rejected(503, Unavailable(message), retry_after=1)
        return self._admission.decide(handshake)

    def _warn_if_reached_elsewhere(self, server_host: str | None) -> None:
        """Warn once if the server below listens elsewhere than TANNOY_HOST says, by which warnings at start go."""
        if self._warns_of_host and server_host is not None and not is_loopback(server_host):
            self._warns_of_host = False
            _log.warning(
                "clients reach this node at another address than TANNOY_HOST: set it to the address that the server "
                "listens on. TANNOY_AUTH=none: any client that reaches it can choose its identity",
                address=server_host,
                tannoy_host=self.settings.host,
            )

    def connect(self, transport: ClientTransport, decision: Admitted | AcceptedThenClosed) -> TransportListener:
        if isinstance(decision, AcceptedThenClosed):
            return RejectedConnection(transport, decision, self.wheel)
        encoding = encoding_of(decision.wire, transport.framing)
        return Connection(self.context, transport, decision.session, encoding)

    # ---- state, for other nodes and operators

    def describe(self) -> NodeInfo:
        cpu, now = time.process_time(), time.monotonic()
        last_cpu, last_now = self._last_load
        self._last_load = (cpu, now)
        hub = self.hub.statistics()
        return NodeInfo(
            node=self.node_id,
            incarnation=self.incarnation,
            sessions=hub.sessions,
            channels=hub.channels,
            load=round((cpu - last_cpu) / max(now - last_now, 0.001), 3),
            version=version("tannoy"),
            draining=self.is_draining,
            ready=self.not_ready_reason is None,
            started_at=self._started_at,
        )

    def _present(self, partitions: Collection[int]) -> Mapping[int, Present]:
        """Return this node's sessions in the rooms of these partitions."""
        wanted = frozenset(partitions)
        present: dict[int, dict[Any, dict[int, Any]]] = {}
        for member in self.hub.sessions():
            for joined in member.session.joined.values():
                part = joined.channel.partition
                if part in wanted and joined.channel.kind is ChannelKind.ROOM and not joined.observes:
                    who = (member.session.user_id, member.session.username)
                    present.setdefault(part, {}).setdefault(joined.channel, {})[joined.number] = who
        return present

    @property
    def not_ready_reason(self) -> str | None:
        """Why a load balancer should not send clients here; None: the node is ready."""
        if self.has_failed:
            return "the node has failed"
        if self.is_draining:
            return "the node is draining"
        return self.bus.not_ready_reason

    # ---- life

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run the node's background tasks for the length of a block. Raises StartError if Redis can't be used."""
        await self.bus.check()
        jobs = {**self.bus.jobs, "status": self._status_broadcast.run}
        tasks = [self._keep(job, name) for name, job in jobs.items()]
        try:
            await self.bus.wait_until_ready()
            tasks.append(self._keep(self._check_node_id, "node-id", may_end=True))
            _log.info("node is ready", node=self.node_id)
            yield
        finally:
            await self.drain()
            await self.bus.leave()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.wheel.close()

    def _keep(
        self, run: Callable[[], Coroutine[Any, Any, None]], name: str, *, may_end: bool = False
    ) -> asyncio.Task[None]:
        task = asyncio.create_task(run(), name=f"tannoy-{name}")
        task.add_done_callback(partial(self._ended, may_end))
        return task

    def _ended(self, may_end: bool, task: asyncio.Task[None]) -> None:
        """End the node: a background task has ended, and a node with a part missing must not go on."""
        if task.cancelled() or (may_end and task.exception() is None):
            return
        self.has_failed = True
        _log.critical("a task of the node has failed: the node ends", part=task.get_name(), exc_info=task.exception())
        self._on_failure()

    async def _check_node_id(self) -> None:
        """Log an error if another node has this node's name. It confuses people alone: nodes use incarnations.

        The last heartbeat of a killed process that this one replaces has run out by then.
        """
        await asyncio.sleep(self._lease_times.lease_seconds + self._lease_times.margin_seconds)
        try:
            nodes = await self.bus.list_nodes()
        except (Unavailable, MalformedBytes):
            return
        if any(node.node == self.node_id and node.incarnation != self.incarnation for node in nodes):
            _log.error("another node of this cluster has the same TANNOY_NODE_ID: give each its own", node=self.node_id)
        else:
            _log.debug("no other node has the name of this node", node=self.node_id)

    async def drain(self) -> None:
        """Be not ready any more, and close all sessions with `bye` 4001."""
        self.is_draining = True
        if not await drain_sessions(self.hub.sessions(), self.wheel.idle):
            _log.warning("some clients did not answer the close frame", clients=self.wheel.statistics().waiting)

    def statistics(self) -> NodeStatistics:
        """Return the statistics of all parts, for metrics and `/diagnostics`."""
        return NodeStatistics(
            node=self.node_id,
            pid=os.getpid(),
            ready=self.not_ready_reason is None,
            hub=self.hub.statistics(),
            relay=self.relay.statistics(),
            wheel=self.wheel.statistics(),
            connections=self._counters.statistics(),
            outbox=self.context.outbox_limits.statistics(),
            bus=self.bus.statistics(),
        )


def _address(settings: Settings) -> AnyAddress:
    try:
        name = settings.redis_credentials
        provider = None if name is None else load_credentials(name)
    except ValueError as error:
        raise StartError(f"TANNOY_REDIS_CREDENTIALS={settings.redis_credentials} {error}") from error
    try:
        return parse_address(settings.redis_url.get_secret_value(), provider)
    except ValueError as error:
        raise StartError(f"TANNOY_REDIS_URL: {error}") from error


def _bus_rules(settings: Settings, times: LeaseTimes, timeouts: Timeouts) -> BusRules:
    return BusRules(
        secret=settings.cluster_secret.get_secret_value().encode(),
        limits={
            OwnerKind.AGENT: Limit(settings.agent_max_sessions, settings.agent_limit_policy),
            OwnerKind.USER: Limit(settings.user_max_sessions, LimitPolicy.REJECT),
        },
        mode=settings.limit_mode,
        presence=PresenceRules(settings.presence_inline_max, settings.presence_events_max, settings.presence_grace),
        history=HistoryRules(settings.history_size, settings.history_ttl, times.recovery_ms),
        times=times,
        timeouts=timeouts,
    )


def _host_name() -> str:
    """Return the host's name, with what names may not contain replaced."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "-" for c in socket.gethostname())
    return name[:64] or "node"


def _whole_if_possible(seconds: float) -> float:
    return int(seconds) if seconds == int(seconds) else seconds
