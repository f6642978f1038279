"""One node: the bus of `fanout` and the sockets of this process, composed, and the tasks that keep them running.

Transports and calls of the HTTP API find it, and its `clients`, in the lifespan's state.
"""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog

from ..fanout.backend import backend_of
from ..fanout.bus import Bus, BusEvents
from ..fanout.lease_times import DEFAULT_TIMES, LeaseTimes
from ..fanout.timeouts import DEFAULT_TIMEOUTS, Timeouts
from ..shared.clock import Clock, SystemClock, rfc3339
from ..shared.keyspace import Keyspace
from ..shared.names import NodeId
from ..shared.nodes import NodeInfo
from ..shared.settings import Settings
from .admission.handshake import Admission
from .auth.hosts import is_loopback
from .auth.token_settings import create_tokens
from .composition import (
    create_bus_rules,
    create_clients,
    create_connect_rates,
    create_connection_context,
    create_operations,
    create_owner_rates,
    create_relay,
    create_resources,
    create_session_hooks,
    create_status_broadcast,
    create_stream_watch,
    find_asked,
    read_address,
    read_host_name,
)
from .connections.control_handler import ControlHandler
from .connections.rate_sync import RateSync
from .connections.revoked import RevokedSessions
from .connections.survey_handler import SurveyAnswers
from .connections.timers import TimerWheel
from .delivery.hub import Hub
from .delivery.reports import SocketReports
from .external import StartRules, create_services
from .hooks.hooks import NO_HOOKS, Hooks
from .lifecycle.background_tasks import BackgroundTasks
from .lifecycle.drain import Drain
from .lifecycle.log_queue import log_statistics
from .operations.description import NodeDescription
from .operations.namesakes import warn_of_namesake
from .statistics import NodeStatistics

_log = structlog.get_logger("tannoy.node")


def _terminate() -> None:
    """End this process as an operator would."""
    signal.raise_signal(signal.SIGTERM)


class Node:
    """Composed once per process. Run it with `running()`.

    `on_failure` is called when a background task of the node has ended by an error, and `has_failed` is set: the node
    is not ready any more, and its process or its host application should end. `on_drain` is called when
    an operator lets the node leave by `POST /nodes/{node}/drain`. By default both raise SIGTERM. `hooks`: of its host.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        *,
        lease_times: LeaseTimes = DEFAULT_TIMES,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        on_failure: Callable[[], None] = _terminate,
        on_drain: Callable[[], None] = _terminate,
        hooks: Hooks = NO_HOOKS,
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.incarnation = secrets.token_hex(8)
        self.node_id = NodeId(settings.node_id or f"{read_host_name()}-{self.incarnation[:6]}")
        self._tasks = BackgroundTasks(on_failure)
        self._on_drain = on_drain
        self._lease_times = lease_times
        # The version is read once: no heartbeat may need to open a file.
        self._description = NodeDescription(self.node_id, self.incarnation, version("tannoy"), self.clock)

        self.hub = Hub()
        self.wheel = TimerWheel(self.clock)
        events = BusEvents(
            deliver=lambda batch: self.relay.deliver(batch),
            answer_request=lambda request: self.control_handler.handle_request(request),
            describe=self.describe,
            seen_version=self.hub.version_seen,
            on_revoked=lambda: self.revoked_sessions.close_soon(),
            on_live=lambda: self.streams.on_live(),
        )
        address = read_address(settings)
        self.keyspace = Keyspace(settings.redis_prefix, address.database)
        backend = backend_of(address, self.keyspace, command_timeout=timeouts.command)
        rules = create_bus_rules(settings, lease_times, timeouts)
        bus = self.bus = Bus(
            backend, self.keyspace, rules, events, incarnation=self.incarnation, name=self.node_id, clock=self.clock
        )
        self.revoked_sessions = RevokedSessions(self.hub, bus.revocations)
        tokens = create_tokens(settings, self.clock, self.revoked_sessions.is_token_revoked)
        verifier = None if tokens is None else tokens.verifier
        self._key_refresh = None if tokens is None else tokens.refresh
        reports = SocketReports(self.hub, self.clock)
        self.streams = create_stream_watch(bus, self.hub, self.clock, settings, events.deliver)
        self.relay = create_relay(bus, self.hub, reports, self.streams, self.clock)
        start = StartRules(str(address), timeouts.start, self.incarnation, self.node_id)
        self.external = create_services(settings, bus, self.keyspace, self.clock, start)
        hooks = self.external.add_questions(hooks, settings)
        self.operations = create_operations(bus, settings, self.clock, self.external.archive_reader)
        self._status_broadcast = create_status_broadcast(bus, self.hub, self.clock)
        owner_rates = create_owner_rates(settings)
        self._rate_sync = RateSync(owner_rates, bus.rates, self.clock) if owner_rates else None
        connect_rates = create_connect_rates(settings, self.clock)
        self.context = create_connection_context(
            bus,
            settings,
            self.clock,
            node_id=self.node_id,
            hub=self.hub,
            wheel=self.wheel,
            streams=self.streams,
            bus_status=self._status_broadcast.status,
            operations=self.operations,
            verifier=verifier,
            owner_rates=owner_rates,
            connect_rates=connect_rates,
        )
        self.control_handler = ControlHandler(self.hub, self.keyspace, self.context.session_leases)
        bus.control.surveys.attach(SurveyAnswers(self.hub, self.control_handler, reports, self._begin_drain))
        admission = Admission(
            self.keyspace,
            settings.allowed_origins,
            is_local=is_loopback(settings.host),
            verifier=verifier,
            allows_query_token=settings.auth_query_token,
            is_revoked=self.revoked_sessions.is_revoked,
            asks=find_asked(hooks, settings),
        )
        self.leaving = Drain(
            self.hub.sessions,
            self.wheel.idle,
            self._list_others,
            self.clock,
            delay=settings.drain_delay,
            seconds=settings.drain_seconds,
        )
        self._hooks = create_session_hooks(hooks, settings, self.clock, self.external.session_events)
        self.resources, self._sampler = create_resources(settings, self.clock)
        self.clients = create_clients(
            *(settings, admission, self.context, lambda: self.leaving.is_closing),
            *(self.resources, connect_rates, self._hooks),
        )

    # ---- state, for other nodes and operators

    def describe(self) -> NodeInfo:
        hub = self.hub.statistics()
        return self._description.describe(
            hub.sessions, hub.channels, draining=self.is_draining, ready=self.not_ready_reason is None
        )

    @property
    def has_failed(self) -> bool:
        return self._tasks.has_failed

    @property
    def is_draining(self) -> bool:
        return self.leaving.is_announced

    @property
    def not_ready_reason(self) -> str | None:
        """Why a load balancer should not send clients here; None: the node is ready."""
        if self.has_failed:
            return "the node has failed"
        if self.is_draining:
            return "the node is draining"
        if (reason := self.bus.not_ready_reason) is not None:
            return reason
        # A balancer that sends newcomers elsewhere spares them a 503.
        full = self.clients.find_refusal()
        return None if full is None else full.refusal.message

    # ---- life

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run the node's background tasks for the length of a block.

        Raises StartError if the keys of tokens can't be read, or Redis can't be used.
        """
        jobs = {
            **self.bus.jobs,
            "status": self._status_broadcast.run,
            "revoked": self.revoked_sessions.run,
            "resources": self._sampler.run,
            "stream-watch": self.streams.run,
            **self.external.jobs,
        }
        if self._key_refresh is not None:
            await self._key_refresh.start()
            jobs["keys"] = self._key_refresh.run
        if self._rate_sync is not None:
            jobs["rates"] = self._rate_sync.run
        async with self.external.services.opened():
            for name, job in jobs.items():
                self._tasks.keep(job, name)
            try:
                await self.bus.wait_until_ready()
                self._tasks.keep(self._check_name, "node-id", may_end=True)
                self.clients.capacity.measure_files()
                _log.info("node is ready", node=self.node_id)
                yield
            finally:
                self.leaving.hurry()  # whoever ends this block does not listen any more
                await self.drain()
                await self.clients.end()
                await self.bus.leave()
                await self._tasks.end()
                self.wheel.close()

    async def _check_name(self) -> None:
        # By then the last heartbeat of a killed process that this one replaces has run out.
        await asyncio.sleep(self._lease_times.lease_seconds + self._lease_times.margin_seconds)
        await warn_of_namesake(self.describe(), self.bus.list_nodes)

    async def check(self) -> None:
        """Do what a start does before anything runs, and leave nothing behind. Raises StartError."""
        if self._key_refresh is not None:
            await self._key_refresh.start()
        async with self.external.services.opened():
            pass

    def _begin_drain(self) -> None:
        """Another node, or this one, was asked to let this node leave. Does nothing if it leaves already."""
        if not self.is_draining:
            self.leaving.announce()
            _log.info("asked to drain", node=self.node_id)
            asyncio.get_running_loop().call_soon(self._on_drain)  # the answer is sent before

    async def drain(self, stop_listening: Callable[[], None] = lambda: None) -> None:
        """Be not ready any more, and hand the clients over to other nodes. A node that has failed is in a hurry."""
        if self.has_failed:
            self.leaving.hurry()
        await self.leaving.run(stop_listening)

    async def _list_others(self) -> list[NodeInfo]:
        return [node for node in await self.bus.list_nodes() if node.incarnation != self.incarnation]

    def statistics(self) -> NodeStatistics:
        """Return the statistics of all parts, for metrics and `/diagnostics`."""
        return NodeStatistics(
            node=self.node_id,
            pid=os.getpid(),
            version=self._description.version,
            ready=self.not_ready_reason is None,
            hub=self.hub.statistics(),
            relay=self.relay.statistics(),
            wheel=self.wheel.statistics(),
            connections=self.context.counters.statistics(),
            other_connections=self.clients.other_connections.statistics(),
            handshakes=self.clients.handshakes.statistics(),
            joins=self.context.joins.turns.statistics(),
            outbox=self.context.outbox_limits.statistics(),
            streams=self.streams.statistics(),
            publishing=self.operations.publishing.turns.statistics(),
            pages=self.operations.page_turns.statistics(),
            http_answers=self.operations.http_answers.statistics(),
            resources=self.resources.statistics(),
            refused=self.clients.refusals.statistics(),
            hooks={} if self._hooks is None else self._hooks.statistics(),
            keys=None if self._key_refresh is None else self._key_refresh.keys.statistics(),
            log=log_statistics(),
            services=self.external.services.statistics(),
            archive=self.external.backlog,
            webhooks=self.external.webhook_statistics,
            draining=self.is_draining,
            not_ready=self.not_ready_reason,
            now=rfc3339(self.clock.now()),
            sessions_max=self.settings.node_max_sessions,
            sessions_possible=self.clients.capacity.sessions_possible,
            ended=self.context.session_log.statistics(),
            loss_ages=self.context.session_log.loss_ages(),
            rules=self.context.session_leases.statistics(),
            bus=self.bus.statistics(),
        )
