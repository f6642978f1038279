"""How the parts of a node are composed from its settings: the rules of its bus, and what its connections share."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..fanout.bus import Bus, BusRules
from ..fanout.history.reader import HistoryRules
from ..fanout.history.tracker import Deliveries
from ..fanout.lease_times import LeaseTimes
from ..fanout.presence.calls import PresenceRules
from ..fanout.redis.address import AnyAddress, parse_address
from ..fanout.redis.credentials import load_credentials
from ..fanout.streams.producing import StreamRules
from ..fanout.timeouts import Timeouts
from ..fanout.webhooks.session_events import SessionEvents
from ..fanout.webhooks.told import read_told
from ..shared.archived_channels import ArchivedChannels
from ..shared.channels import OwnerKind
from ..shared.clock import Clock
from ..shared.errors import StartError
from ..shared.names import NodeId
from ..shared.policy import Limit, LimitPolicy
from ..shared.settings import Settings
from ..shared.turns import Turns
from .admission.connect_rates import ConnectRates
from .admission.handshake import Admission, Asked
from .admission.owner_rates import OwnerRates
from .admission.rate_limits import SessionRates
from .admission.resources import Resources
from .auth.trusted_proxies import TrustedProxies
from .auth.verifier import TokenVerifier
from .connections.bus_status import BusStatus, StatusBroadcast
from .connections.clients import Clients
from .connections.context import CommandContext, ConnectionContext, ConnectionCounters, JoinContext
from .connections.hooked_clients import HookedClients
from .connections.join_turns import JoinTurns
from .connections.session_limits import SessionLeases
from .connections.session_log import SessionLog
from .connections.timers import TimerWheel
from .delivery.hub import Hub
from .delivery.outbox import OutboxLimits
from .delivery.relay import Relay
from .delivery.reports import SocketReports
from .delivery.stream_delivery import StreamTables
from .delivery.stream_watch import StreamWatch
from .hooks.hooks import Hooks
from .hooks.session_hooks import SessionHooks
from .lifecycle.memory import MEGABYTE, find_memory_bound
from .lifecycle.sampler import ResourceSampler
from .operations.history import ArchiveReader, HistoryQueries
from .operations.nodes import NodeOperations
from .operations.online import OnlineQueries
from .operations.pages import http_answer_turns, page_bytes, page_turns
from .operations.presence import PresenceQueries
from .operations.publishing import Publishing
from .operations.reports import ReportedPublishing
from .operations.streams import StreamOperations
from .protocols.session import NodeTerms


def read_host_name() -> str:
    """Return the host's name, with what names may not contain replaced."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "-" for c in socket.gethostname())
    return name[:64] or "node"


def read_address(settings: Settings) -> AnyAddress:
    """Where Redis is, and how to log in. Raises StartError."""
    try:
        name = settings.redis_credentials
        provider = None if name is None else load_credentials(name)
    except ValueError as error:
        raise StartError(f"TANNOY_REDIS_CREDENTIALS={settings.redis_credentials} {error}") from error
    try:
        return parse_address(settings.redis_url.get_secret_value(), provider)
    except ValueError as error:
        raise StartError(f"TANNOY_REDIS_URL: {error}") from error


def read_archived(settings: Settings) -> ArchivedChannels:
    """Which channels are archived. Raises StartError."""
    if settings.archive and not settings.history_size:
        raise StartError("TANNOY_ARCHIVE needs a history to be written: TANNOY_HISTORY_SIZE=0 keeps none")
    return settings.archived_channels


def create_bus_rules(settings: Settings, times: LeaseTimes, timeouts: Timeouts) -> BusRules:
    history = HistoryRules(settings.history_size, settings.history_ttl, times.recovery_ms)
    told, told_messages = read_told(settings)
    return BusRules(
        secret=settings.cluster_secret.get_secret_value().encode(),
        limits={
            OwnerKind.AGENT: Limit(settings.agent_max_sessions, settings.agent_limit_policy),
            OwnerKind.USER: Limit(settings.user_max_sessions, LimitPolicy.REJECT),
        },
        mode=settings.limit_mode,
        presence=PresenceRules(
            settings.presence_inline_max, settings.presence_events_max, settings.presence_grace, history.head_ttl, told
        ),
        history=history,
        message_max_bytes=settings.message_max_bytes,
        streams=StreamRules(settings.stream_max_bytes, settings.stream_timeout, settings.streams_open_max),
        archived=read_archived(settings),
        told=told_messages,
        times=times,
        timeouts=timeouts,
    )


def create_stream_watch(
    bus: Bus, hub: Hub, clock: Clock, settings: Settings, deliver: Callable[[Deliveries], None]
) -> StreamWatch:
    return StreamWatch(hub, bus.stream_reading, clock, deliver, settings.stream_timeout)


def create_relay(bus: Bus, hub: Hub, reports: SocketReports, watch: StreamWatch, clock: Clock) -> Relay:
    """What takes the deliveries of the bus to the hub's rosters."""
    return Relay(
        hub,
        pause_link=bus.link.pause_reading,
        resume_link=bus.link.resume_reading,
        fence_if_expired=bus.leases.fence_if_expired,
        record_outcome=reports.record,
        streams=StreamTables(watch.ask, clock.monotonic, watch.on_first),
    )


@dataclass(frozen=True, slots=True)
class Operations:
    """What clients and back ends may ask of the cluster."""

    publishing: Publishing
    reported: ReportedPublishing
    history_queries: HistoryQueries
    presence_queries: PresenceQueries
    page_turns: Turns
    http_answers: Turns
    online: OnlineQueries
    nodes: NodeOperations
    streams: StreamOperations


def create_operations(bus: Bus, settings: Settings, clock: Clock, archive: ArchiveReader | None = None) -> Operations:
    page_max_bytes = page_bytes(settings.outbox_max_bytes)
    listed_max = max(settings.presence_events_max, settings.presence_inline_max)
    is_open = bus.history.pipeline.connected.is_set
    turns = page_turns(is_open)
    publishing = Publishing(bus.publisher, bus.control, clock)
    return Operations(
        publishing,
        ReportedPublishing(publishing, bus.control.surveys, bus.list_nodes),
        HistoryQueries(bus.history, turns, page_max_bytes=page_max_bytes, archive=archive),
        PresenceQueries(bus.presence, bus.limits, turns, listed_max=listed_max, page_max_bytes=page_max_bytes),
        turns,
        http_answer_turns(is_open),
        OnlineQueries(bus.control.surveys, turns, bus.list_nodes),
        NodeOperations(bus.control.surveys, bus.list_nodes),
        StreamOperations(bus.streams, bus.stream_reading),
    )


def create_status_broadcast(bus: Bus, hub: Hub, clock: Clock) -> StatusBroadcast:
    return StatusBroadcast(
        BusStatus(),
        hub,
        is_usable=lambda: bus.not_ready_reason is None,
        fence_if_expired=bus.leases.fence_if_expired,
        clock=clock,
    )


def create_resources(settings: Settings, clock: Clock) -> tuple[Resources, ResourceSampler]:
    """What decides whether the node is overloaded, and what measures it."""
    bound = find_memory_bound(settings.memory_max_mb)
    resources = Resources(
        memory_max_mb=0 if bound is None else bound.max_bytes / MEGABYTE,
        cpu_max_percent=settings.cpu_max_percent,
        loop_lag_max_ms=settings.loop_lag_max_ms,
    )
    return resources, ResourceSampler(resources.observe, bound, clock)


def create_connection_context(
    bus: Bus,
    settings: Settings,
    clock: Clock,
    *,
    node_id: NodeId,
    hub: Hub,
    wheel: TimerWheel,
    streams: StreamWatch,
    bus_status: BusStatus,
    operations: Operations,
    verifier: TokenVerifier | None,
    owner_rates: Sequence[OwnerRates],
    connect_rates: ConnectRates,
) -> ConnectionContext:
    """What the connections of a node share."""
    outbox_limits = OutboxLimits(settings.outbox_max_bytes, settings.slow_policy)
    counters = ConnectionCounters()
    return ConnectionContext(
        terms=NodeTerms(node_id, _whole_if_possible(settings.ping_interval), settings.message_max_bytes),
        hub=hub,
        session_leases=SessionLeases(bus.leases, bus.limits, bus.disconnects, node_id=node_id, clock=clock),
        session_log=SessionLog(clock),
        bus_status=bus_status,
        wheel=wheel,
        clock=clock,
        outbox_limits=outbox_limits,
        joins=JoinContext(
            hub=hub,
            subscriptions=bus.subscriptions,
            tracker=bus.tracker,
            history=bus.history,
            presence=bus.presence,
            turns=JoinTurns(clock, is_open=bus.history.pipeline.connected.is_set),
            inline_max=settings.presence_inline_max,
            look_at_streams=streams.look_at,
            page_turns=operations.page_turns,
            recover_max_bytes=outbox_limits.max_bytes,
            admits_without_bus=bus.leases.admits_without_bus,
        ),
        commands=CommandContext(
            publishing=operations.publishing,
            history_queries=operations.history_queries,
            presence_queries=operations.presence_queries,
            streams=bus.streams,
            clock=clock,
            counters=counters,
            rates=_create_session_rates(settings, owner_rates),
            owner_rates=owner_rates,
            charge_address=connect_rates.charge,
        ),
        counters=counters,
        verifier=verifier,
    )


def create_clients(
    settings: Settings,
    admission: Admission,
    context: ConnectionContext,
    is_draining: Callable[[], bool],
    resources: Resources,
    connect_rates: ConnectRates,
    hooks: SessionHooks | None,
) -> Clients:
    """Who may connect. `hooks`: of the application that the node runs in; None: it has none."""
    clock = context.clock
    if hooks is None:
        return Clients(settings, admission, context, clock, is_draining, resources, connect_rates)
    return HookedClients(settings, admission, context, clock, is_draining, resources, connect_rates, hooks=hooks)


def find_asked(hooks: Hooks, settings: Settings) -> Asked:
    """Who says who a client is."""
    if settings.auth == "hook":
        return Asked.BACK_END
    return Asked.NOBODY if hooks.authenticate is None else Asked.APPLICATION


def create_session_hooks(
    hooks: Hooks, settings: Settings, clock: Clock, session_events: SessionEvents | None
) -> SessionHooks | None:
    """None: nobody is asked about sessions, or told of them."""
    is_needed = hooks.are_there or session_events is not None
    return SessionHooks(hooks, settings, clock, session_events) if is_needed else None


def create_connect_rates(settings: Settings, clock: Clock) -> ConnectRates:
    return ConnectRates(settings.rate_connects, TrustedProxies(settings.trusted_proxies), clock)


def create_owner_rates(settings: Settings) -> tuple[OwnerRates, ...]:
    """Return the rates of users and agents, as far as the settings have any."""
    rates = {OwnerKind.USER: settings.rate_user_messages, OwnerKind.AGENT: settings.rate_agent_messages}
    return tuple(OwnerRates(kind, rate) for kind, rate in rates.items() if rate)


def _create_session_rates(settings: Settings, owner_rates: Sequence[OwnerRates]) -> SessionRates | None:
    """Return the rates of each session; None: the settings have no rates at all."""
    rates = SessionRates(settings.rate_messages, settings.rate_commands, settings.rate_bytes)
    return rates if rates or owner_rates else None


def _whole_if_possible(seconds: float) -> float:
    return int(seconds) if seconds == int(seconds) else seconds
