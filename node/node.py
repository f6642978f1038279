"""One node: the bus of `fanout` and the sockets of this folder, wired together, and the tasks that keep them going.

It is what both carriers find in the lifespan state: it decides over handshakes and makes connections.
"""

import asyncio
import os
import random
import secrets
import signal
import socket
import time
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import structlog

from ..fanout.bus import Bus, BusEvents, BusRules
from ..fanout.history.reader import HistoryRules
from ..fanout.lease_times import DEFAULT_TIMES, LeaseTimes
from ..fanout.presence.calls import PresenceRules
from ..fanout.presence.presence import Present
from ..fanout.redis.address import AnyAddress, parse_address
from ..fanout.timeouts import DEFAULT_TIMEOUTS, Timeouts
from ..shared.channels import ChannelKind, OwnerKind
from ..shared.clock import Clock, SystemClock, rfc3339
from ..shared.codes import CloseCode
from ..shared.errors import MalformedBytes, StartError, Unavailable
from ..shared.names import NodeId
from ..shared.nodes import NodeInfo
from ..shared.policy import Limit, LimitPolicy
from ..shared.settings import Settings
from .admission.handshake import AcceptedThenClosed, Admission, Admitted, Handshake, Rejected
from .auth.hosts import is_loopback
from .connections.connection import Connection
from .connections.context import CommandContext, ConnectionContext, ConnectionCounters, JoinContext
from .connections.control_handler import ControlHandler
from .connections.rejected import RejectedConnection
from .connections.session_limits import SessionLeases
from .connections.timers import TimerWheel
from .delivery.hub import Hub
from .delivery.outbox import OutboxLimits
from .delivery.relay import Relay
from .operations.presence import PresenceQueries
from .operations.publishing import Publishing
from .protocols.encoding import encoding_of
from .transports.base import ClientTransport, TransportListener

WRITE_HIGH_WATER = 65_536
"""Bytes that a socket may owe the kernel before it counts as slow."""
GOODBYE_DEADLINE = 2.0
COME_BACK_WITHIN = 2.0
"""Seconds over which those who are sent away are asked to spread their return."""

_log = structlog.get_logger("tannoy.node")


class Node:
    """Composed once per process. Use `running()` around everything else."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        *,
        lease_times: LeaseTimes = DEFAULT_TIMES,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.incarnation = secrets.token_hex(8)
        self.node_id = NodeId(settings.node_id or f"{_host_name()}-{self.incarnation[:6]}")
        self.message_max_bytes = settings.message_max_bytes
        self.write_high_water = min(WRITE_HIGH_WATER, settings.outbox_max_bytes)
        self.is_draining = False
        self.has_failed = False
        self._started_at = rfc3339(self.clock.now())
        self._last_load = (time.process_time(), time.monotonic())

        self.hub = Hub()
        self.wheel = TimerWheel(self.clock)
        events = BusEvents(
            deliver=lambda batch: self.relay.deliver(batch),
            answer=lambda question: self.orders.answer(question),
            describe=self.describe,
            present=self._present,
        )
        address = _address(settings)
        rules = _bus_rules(settings, lease_times, timeouts)
        bus = self.bus = Bus(address, rules, events, incarnation=self.incarnation, name=self.node_id, clock=self.clock)
        self.keyspace = bus.keyspace
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
        self.presence_queries = PresenceQueries(bus.presence, bus.limits, listed_max=listed_max)
        self.context = ConnectionContext(
            node_id=self.node_id,
            hub=self.hub,
            tracker=bus.tracker,
            session_leases=session_leases,
            wheel=self.wheel,
            clock=self.clock,
            outbox_limits=outbox_limits,
            ping_interval=_whole_if_possible(settings.ping_interval),
            joins=JoinContext(
                hub=self.hub,
                subscriptions=bus.subscriptions,
                tracker=bus.tracker,
                history=bus.history,
                presence=bus.presence,
                recover_max_bytes=outbox_limits.max_bytes,
                admits_without_bus=bus.leases.admits_without_bus,
            ),
            commands=CommandContext(
                publishing=self.publishing,
                history=bus.history,
                presence_queries=self.presence_queries,
                clock=self.clock,
                counters=self._counters,
            ),
            counters=self._counters,
        )
        self.orders = ControlHandler(self.hub, self.keyspace, session_leases)
        self._admission = Admission(self.keyspace, settings.allowed_origins, is_local=is_loopback(settings.host))

    # ---- Acceptor, for the carriers

    def admit(self, handshake: Handshake) -> Admitted | AcceptedThenClosed | Rejected:
        if self.is_draining or self._counters.open >= self.settings.node_max_sessions:
            message = "the node is draining" if self.is_draining else "this node has as many sessions as it may have"
            return Rejected(503, Unavailable(message), retry_after=1)
        return self._admission.decide(handshake)

    def connect(self, transport: ClientTransport, decision: Admitted | AcceptedThenClosed) -> TransportListener:
        if isinstance(decision, AcceptedThenClosed):
            return RejectedConnection(transport, decision, self.wheel)
        encoding = encoding_of(decision.wire, transport.framing)
        return Connection(self.context, transport, decision.session, encoding)

    # ---- what others may know of it

    def describe(self) -> NodeInfo:
        cpu, now = time.process_time(), time.monotonic()
        last_cpu, last_now = self._last_load
        self._last_load = (cpu, now)
        hub = self.hub.statistics()
        return NodeInfo(
            node=self.node_id,
            incarnation=self.incarnation,
            sessions=hub["sessions"],
            channels=hub["channels"],
            load=round((cpu - last_cpu) / max(now - last_now, 0.001), 3),
            version=version("tannoy"),
            draining=self.is_draining,
            ready=self.not_ready is None,
            started_at=self._started_at,
        )

    def _present(self, partitions: Collection[int]) -> Mapping[int, Present]:
        """This node's sessions in the rooms of these partitions."""
        wanted = frozenset(partitions)
        present: dict[int, dict[Any, dict[int, Any]]] = {}
        for member in self.hub.sessions():
            for joined in member.session.joined.values():
                part = joined.channel.partition
                if part in wanted and joined.channel.kind is ChannelKind.ROOM:
                    who = (member.session.user_id, member.session.username)
                    present.setdefault(part, {}).setdefault(joined.channel, {})[joined.number] = who
        return present

    @property
    def not_ready(self) -> str | None:
        """Why a balancer should send nobody here; None: it should."""
        if self.has_failed:
            return "the node has failed"
        if self.is_draining:
            return "the node is draining"
        return self.bus.is_silent

    # ---- life

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Everything that the node does by itself. Raises StartError where the bus can't be reached."""
        await self.bus.check()
        tasks = [self._keep(job, name) for name, job in self.bus.jobs.items()]
        try:
            await self.bus.wait_until_ready()
            await self._look_for_namesakes()
            _log.info("node is ready", node=self.node_id)
            yield
        finally:
            await self.say_goodbye()
            await self.bus.leave()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.wheel.close()

    def _keep(self, run: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(run(), name=f"tannoy-{name}")
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A part of the node that must not end has ended: better no node than half a node."""
        if task.cancelled():
            return
        self.has_failed = True
        _log.critical("a part of the node has failed, ending the node", part=task.get_name(), exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)

    async def _look_for_namesakes(self) -> None:
        """Two nodes of one name confuse people; the nodes themselves go by their incarnations."""
        try:
            nodes = await self.bus.membership.nodes(self.bus.counted)
        except (Unavailable, MalformedBytes):
            return
        if any(node.node == self.node_id and node.incarnation != self.incarnation for node in nodes):
            _log.error("another node of this cluster has the same TANNOY_NODE_ID: give each its own", node=self.node_id)

    async def say_goodbye(self) -> None:
        """Not ready any more; every socket gets `bye` 4001, and a moment to answer the close frame."""
        self.is_draining = True
        for member in self.hub.sessions():
            member.close(CloseCode.DRAINING, retry_after=round(random.uniform(0, COME_BACK_WITHIN), 2))
        try:
            async with asyncio.timeout(GOODBYE_DEADLINE):
                await self.wheel.idle.wait()
        except TimeoutError:
            _log.warning("some clients did not answer the close frame", clients=self.wheel.statistics()["waiting"])

    def statistics(self) -> dict[str, object]:
        """What tests, metrics and the diagnostics page read."""
        return {
            "node": self.node_id,
            "pid": os.getpid(),
            "ready": self.not_ready is None,
            "hub": self.hub.statistics(),
            "relay": self.relay.statistics(),
            "wheel": self.wheel.statistics(),
            "connections": self._counters.statistics(),
            "outbox": self.context.outbox_limits.statistics(),
            **self.bus.statistics(),
        }


def _address(settings: Settings) -> AnyAddress:
    try:
        return parse_address(settings.redis_url.get_secret_value())
    except ValueError as error:
        raise StartError(f"TANNOY_REDIS_URL: {error}") from error


def _bus_rules(settings: Settings, times: LeaseTimes, timeouts: Timeouts) -> BusRules:
    return BusRules(
        prefix=settings.redis_prefix,
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
    """The host's name as far as it fits the alphabet of names."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "-" for c in socket.gethostname())
    return name[:64] or "node"


def _whole_if_possible(seconds: float) -> float:
    return int(seconds) if seconds == int(seconds) else seconds
