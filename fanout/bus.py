"""The layers of `fanout` that a node runs, composed once: messaging, listening upon it, coordination upon both.

Four connections to Redis: the link, on which everything comes in; one for publishes; one for reading history; and one
for what is counted exactly (heartbeats, leases, presence).
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..shared.archived_channels import NOTHING_ARCHIVED, ArchivedChannels
from ..shared.channels import OwnerKind
from ..shared.clock import Clock
from ..shared.errors import StartError, Unavailable
from ..shared.keyspace import Keyspace
from ..shared.logs import get_logger
from ..shared.nodes import NodeInfo
from ..shared.policy import Limit, LimitMode
from .anti_entropy import AntiEntropyStatistics
from .backend import RedisBackend
from .cluster.topology import ClusterTopologyStatistics
from .control.control import AnswerRequest, ControlStatistics
from .coordination import Coordination, CoordinationRules
from .disconnects import DisconnectLogStatistics
from .history.publisher import ToldChannels
from .history.reader import HistoryRules
from .history.tracker import ChannelTrackerStatistics, Deliveries
from .lease_times import DEFAULT_TIMES, LeaseTimes
from .leases.manager import LeaseManagerStatistics
from .listening import Listening
from .membership import MembershipStatistics
from .messaging import Messaging
from .presence.calls import PresenceRules
from .presence.presence import PresenceStatistics
from .presence.room_checks import SeenVersion
from .probe import coordination_probe
from .pubsub.any_link import LinkStatistics
from .pubsub.envelopes import envelopes_of
from .pubsub.subscriptions import ChannelSubscriptionsStatistics
from .redis.pipeline import CommandSender, PipelineStatistics
from .redis_service import RedisService
from .revocations.revocations import RevocationStatistics
from .server_life import ServerLives
from .startup import StartupProbe, check_server
from .streams.producing import DEFAULT_STREAM_RULES, StreamProducing, StreamRules
from .streams.reading import StreamReading
from .streams.sweeper import StreamSweeper
from .timeouts import DEFAULT_TIMEOUTS, Timeouts

_log = get_logger("tannoy.bus")

LEAVE_SECONDS = 1.0
"""For Redis to confirm that the heartbeat has ended. After that it runs out by itself, within the lease time."""


@dataclass(frozen=True, slots=True)
class BusRules:
    """What the settings say about the bus."""

    secret: bytes = field(repr=False)
    limits: dict[OwnerKind, Limit]
    mode: LimitMode
    presence: PresenceRules
    history: HistoryRules
    message_max_bytes: int
    streams: StreamRules = DEFAULT_STREAM_RULES
    archived: ArchivedChannels = NOTHING_ARCHIVED
    told: ToldChannels | None = None
    """Of which messages the HTTP hooks are told; None: of none."""
    times: LeaseTimes = DEFAULT_TIMES
    timeouts: Timeouts = DEFAULT_TIMEOUTS


@dataclass(frozen=True, slots=True)
class BusEvents:
    """What the bus calls in the node."""

    deliver: Callable[[Deliveries], None]
    """Messages of rooms and agents, in order and without holes."""
    answer_request: AnswerRequest
    """A request of any node."""
    describe: Callable[[], NodeInfo]
    """What other nodes may know of this one."""
    seen_version: SeenVersion
    on_revoked: Callable[[], None]
    """Sessions of this node may be revoked now."""
    on_live: Callable[[], None] = lambda: None
    """The link is there again: pieces of streams may have been missed."""


@dataclass(frozen=True, slots=True)
class BusStatistics:
    link: LinkStatistics
    subscriptions: ChannelSubscriptionsStatistics
    pipeline: PipelineStatistics
    """Of the connection for publishes."""
    reading: PipelineStatistics
    """Of the connection for reading history."""
    tracker: ChannelTrackerStatistics
    counted: PipelineStatistics
    """Of the connection for heartbeats, leases and presence."""
    control: ControlStatistics
    membership: MembershipStatistics
    leases: LeaseManagerStatistics
    presence: PresenceStatistics
    disconnects: DisconnectLogStatistics
    revocations: RevocationStatistics
    repair: AntiEntropyStatistics
    unreadable: Mapping[str, int]
    """Values in Redis that were skipped or removed since the start, by kind of key (`unreadable.py`)."""
    cluster: ClusterTopologyStatistics | None
    """None: Redis is not a cluster."""


class Bus:
    """Needs the tasks of `jobs` running."""

    def __init__(
        self,
        backend: RedisBackend,
        keyspace: Keyspace,
        rules: BusRules,
        events: BusEvents,
        *,
        incarnation: str,
        name: str,
        clock: Clock,
    ) -> None:
        self.warnings: Sequence[str] = ()
        """What `check` has found that a node can live with, and an operator should know."""
        self._backend = backend
        self._start_timeout = rules.timeouts.start
        self._keyspace = keyspace
        self._lives = ServerLives(
            keyspace, clock=clock, times=rules.times, unreadable=backend.unreadable, archived=rules.archived
        )
        envelopes = envelopes_of(rules.secret)
        self._messaging = Messaging(
            backend, keyspace, rules.history, self._lives, name=name, envelopes=envelopes, told=rules.told
        )
        self._listening = Listening(
            backend,
            keyspace,
            self._messaging,
            incarnation=incarnation,
            name=name,
            secret=rules.secret,
            clock=clock,
            deliver=events.deliver,
            answer_request=events.answer_request,
            message_max_bytes=rules.message_max_bytes,
            stream_max_bytes=rules.streams.max_bytes,
            on_live=events.on_live,
            timeouts=rules.timeouts,
        )
        self._coordination = Coordination(
            backend,
            keyspace,
            CoordinationRules(rules.limits, rules.mode, rules.presence, rules.times),
            self._lives,
            incarnation=incarnation,
            name=name,
            clock=clock,
            send_notice=self._listening.control.send_notice,
            announce=self._listening.control.announce,
            describe=events.describe,
            on_revoked=events.on_revoked,
            envelopes=envelopes,
            seen_version=events.seen_version,
        )
        self.streams = StreamProducing(
            self._messaging.publishing, keyspace, rules.history, rules.streams, clock, envelopes, rules.told
        )
        self.stream_reading = StreamReading(
            self._messaging.reading, keyspace, backend.unreadable, envelopes, incarnation=incarnation
        )
        self._sweeper = StreamSweeper(self.stream_reading, self.streams)
        self._listening.attach(self._coordination.leases)
        self._listening.control.attach_announced(self._coordination.revocations.handle_change)

        self.publisher = self._messaging.publisher
        self.history = self._messaging.history
        self.link = self._listening.link
        self.tracker = self._listening.tracker
        self.subscriptions = self._listening.subscriptions
        self.control = self._listening.control
        self.leases = self._coordination.leases
        self.limits = self._coordination.limits
        self.presence = self._coordination.presence
        self.rates = self._coordination.rates
        self.disconnects = self._coordination.disconnects
        self.revocations = self._coordination.revocations

    @property
    def jobs(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run for as long as the node does, by name."""
        return {
            **self._backend.jobs,
            **self._messaging.jobs,
            **self._listening.jobs,
            **self._coordination.jobs,
            "streams": self._sweeper.run,
        }

    @property
    def not_ready_reason(self) -> str | None:
        """What a node with this bus can't do; None: nothing."""
        layers = (self._listening, self._messaging, self._coordination)
        return next((reason for layer in layers if (reason := layer.not_ready_reason)), None)

    async def check(self) -> None:
        """Connect once to each server, without retries, and do what a node needs to do. Raises StartError.

        What is warned of is logged once, however many servers it holds for.
        """
        found: dict[str, list[str]] = {}
        for server, partitions in await self._backend.servers(self._start_timeout):
            run_scripts, first = partial(self._run_scripts, partitions), partitions[0]
            probe = StartupProbe(
                self._keyspace.echo("check", first), self._backend.verbs, run_scripts, self._keyspace.server(first)
            )
            for warning in await check_server(server, probe, timeout=self._start_timeout):
                found.setdefault(warning, []).append(str(server))
        for warning, servers in found.items():
            _log.warning(warning, redis=", ".join(servers))
        self.warnings = list(found)

    def as_service(self, address: str) -> RedisService:
        """Redis as an external service among others. `address` is shown, without credentials."""
        pipelines = (self._messaging.publishing, self._messaging.reading, self._coordination.pipeline)
        return RedisService(
            address,
            pipelines,
            self._keyspace,
            partitions=lambda: self._backend.first_partitions,
            prepare=self.check,
            find_problem=lambda: self.not_ready_reason,
        )

    async def _run_scripts(self, partitions: Sequence[int], commands: CommandSender) -> None:
        await self._lives.on_connected(commands, partitions)
        await coordination_probe(commands, self._keyspace)(partitions[0])

    async def wait_until_ready(self) -> None:
        """Return when all connections are up, and Redis grants leases. Raises StartError."""
        self._listening.subscribe_to_control()
        try:
            async with asyncio.timeout(self._start_timeout):
                await self.link.live.wait()
                await self._messaging.wait_until_ready()
                await self._coordination.wait_until_ready()
        except TimeoutError as error:
            raise StartError(f"not ready within {self._start_timeout:g} seconds: {self.not_ready_reason}") from error
        if wait := self._lives.recovers_for:
            _log.info("this Redis is new: waiting until no other node can hold a lease", seconds=round(wait, 1))
            await asyncio.sleep(wait)

    async def list_nodes(self) -> list[NodeInfo]:
        """The nodes whose heartbeat holds. Raises Unavailable."""
        return await self._coordination.list_nodes()

    async def leave(self) -> None:
        """The node has closed its sockets: let others take its leases at once, and not only when they expire."""
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._coordination.leave()
        except (TimeoutError, Unavailable):
            pass  # then its heartbeat runs out by itself

    def statistics(self) -> BusStatistics:
        coordination = self._coordination
        return BusStatistics(
            link=self.link.statistics(),
            subscriptions=self.subscriptions.statistics(),
            pipeline=self._messaging.publishing.statistics(),
            reading=self._messaging.reading.statistics(),
            tracker=self.tracker.statistics(),
            counted=coordination.pipeline.statistics(),
            control=self.control.statistics(),
            membership=coordination.membership.statistics(),
            leases=self.leases.statistics(),
            presence=self.presence.statistics(),
            disconnects=self.disconnects.statistics(),
            revocations=self.revocations.statistics(),
            repair=coordination.anti_entropy.statistics(),
            unreadable=self._backend.unreadable.statistics(),
            cluster=self._backend.statistics(),
        )
