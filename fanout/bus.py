"""Everything of `fanout` that one node runs: composed once, kept going by a handful of tasks.

Four connections to Redis: the link, on which all arrives that other nodes say; one for publishes; one for reading what
was said; one for what has to be counted exactly (heartbeats, leases, presence), so that a flood holds up no heartbeat.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from ..shared.channels import OwnerKind
from ..shared.clock import Clock
from ..shared.errors import StartError, Unavailable
from ..shared.keyspace import Keyspace
from ..shared.nodes import NodeInfo
from ..shared.policy import Limit, LimitMode
from ..shared.sessions import SessionInfo
from .anti_entropy import AntiEntropy
from .backend import RedisBackend, backend_of
from .control.control import Control
from .control.requests import Notice, Request
from .disconnects import DisconnectLog
from .history.publisher import Publisher
from .history.reader import HistoryReader, HistoryRules
from .history.tracker import ChannelTracker, Deliveries
from .lease_times import DEFAULT_TIMES, LeaseTimes
from .leases.calls import LEASE_SCRIPTS, LeaseCalls
from .leases.limits import Limits
from .leases.manager import LeaseManager
from .membership import Membership
from .presence.calls import PRESENCE_SCRIPTS, PresenceRules
from .presence.presence import Presence, Present
from .pubsub.link import AnyLink
from .pubsub.link_state import Batch
from .pubsub.subscriptions import ChannelSubscriptions
from .redis.address import AnyAddress
from .scripts import (
    HEARTBEAT,
    HISTORY_READ,
    NODE_TELL,
    NODES_LIST,
    PUBLISH,
    PUBLISH_ONCE,
    REMEMBER_GONE,
    SERVER_ENSURE,
)
from .startup import StartupProbe, check_server
from .timeouts import DEFAULT_TIMEOUTS, Timeouts

_log = structlog.get_logger("tannoy.bus")

LAST_WORDS_TIMEOUT = 1.0
_PUBLISHING = (SERVER_ENSURE, PUBLISH, PUBLISH_ONCE)
_READING = (SERVER_ENSURE, HISTORY_READ)
_COUNTED = (
    SERVER_ENSURE,
    HEARTBEAT,
    NODE_TELL,
    NODES_LIST,
    *LEASE_SCRIPTS,
    REMEMBER_GONE,
    *PRESENCE_SCRIPTS,
)


@dataclass(frozen=True, slots=True)
class BusRules:
    """What the settings say about the bus."""

    prefix: str
    secret: bytes
    limits: dict[OwnerKind, Limit]
    mode: LimitMode
    presence: PresenceRules
    history: HistoryRules
    times: LeaseTimes = DEFAULT_TIMES
    timeouts: Timeouts = DEFAULT_TIMEOUTS


@dataclass(frozen=True, slots=True)
class BusEvents:
    """What the node does for the bus. `present`: its sessions in the rooms of some partitions."""

    deliver: Callable[[Deliveries], None]
    answer: Callable[[Request], tuple[int, tuple[SessionInfo, ...]]]
    describe: Callable[[], NodeInfo]
    present: Callable[[Collection[int]], Mapping[int, Present]]


class Bus:
    """Needs the tasks of `jobs` running."""

    def __init__(
        self, address: AnyAddress, rules: BusRules, events: BusEvents, *, incarnation: str, name: str, clock: Clock
    ) -> None:
        self.keyspace = Keyspace(rules.prefix)
        self._start_timeout = rules.timeouts.start
        self._redis: RedisBackend = backend_of(address, self.keyspace, command_timeout=rules.timeouts.command)
        self.link: AnyLink = self._redis.link(
            name=f"tannoy-link-{name}",
            echo_channel=partial(self.keyspace.echo, incarnation),
            clock=clock,
            listener=self,
        )
        self.subscriptions = ChannelSubscriptions(
            self.link,
            on_dropped=lambda channel: self.tracker.drop(channel),
            acknowledge_timeout=rules.timeouts.subscribe,
        )
        self.pipeline = self._redis.pipeline(
            name=f"tannoy-publisher-{name}",
            scripts=_PUBLISHING,
            on_connected=lambda bus, parts: self.membership.meet(bus, parts),
        )
        self.publisher = Publisher(self.pipeline, self.keyspace, rules.history)
        self.reading = self._redis.pipeline(
            name=f"tannoy-history-{name}",
            scripts=_READING,
            on_connected=lambda bus, parts: self.membership.meet(bus, parts),
        )
        self.history = HistoryReader(self.reading, self.keyspace, rules.history)
        self.tracker = ChannelTracker(self.history, self.link, clock=clock, deliver=events.deliver)
        self.control = Control(
            self.keyspace,
            self.publisher,
            incarnation=incarnation,
            secret=rules.secret,
            answer=events.answer,
            handle_notice=self._handle_notice,
            is_listening=self.link.live.is_set,
            response_timeout=rules.timeouts.response,
        )
        self.membership = Membership(
            self.keyspace,
            incarnation=incarnation,
            clock=clock,
            describe=events.describe,
            times=rules.times,
        )
        self.counted = self._redis.pipeline(
            name=f"tannoy-counted-{name}", scripts=_COUNTED, on_connected=self.membership.greet
        )
        calls = LeaseCalls(self.counted, self.keyspace, incarnation=incarnation, times=rules.times)
        self.limits = Limits(calls, defaults=rules.limits, send_notice=self.control.send_notice)
        self.leases = LeaseManager(
            calls,
            self.membership,
            incarnation=incarnation,
            limits=self.limits,
            mode=rules.mode,
            send_notice=self.control.send_notice,
            times=rules.times,
        )
        self.membership.attach(self.leases)
        self.presence = Presence(
            self.counted, self.keyspace, incarnation=incarnation, rules=rules.presence, times=rules.times
        )
        self.disconnects = DisconnectLog(self.counted, self.keyspace)
        self.repair = AntiEntropy(
            self.counted, self.membership, self.leases, self.presence, self.disconnects, events.present, rules.times
        )
        self._orders = frozenset(self.control.addresses)

    # ---- LinkListener

    def on_subscribed(self, channels: list[bytes]) -> None:
        self.subscriptions.confirm(channels)

    def on_live(self) -> None:
        self.tracker.compare_soon()

    def deliver_batch(self, batch: Batch) -> None:
        """Hand a batch of the link on: control messages to `control`, all others to the tracker."""
        self.leases.fence_if_expired()
        if self._orders.isdisjoint([address for address, _ in batch]):
            self.tracker.deliver_batch(batch)
            return
        self.tracker.deliver_batch([delivery for delivery in batch if delivery[0] not in self._orders])
        for address, payload in batch:
            if address in self._orders:
                self.control.received(payload)

    def _handle_notice(self, notice: Notice) -> None:
        self.leases.handle_notice(notice)

    # ---- life

    @property
    def jobs(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run for as long as the node does, by name."""
        return {
            **self._redis.jobs,
            "link": self.link.run,
            "publisher": self.pipeline.run,
            "history": self.reading.run,
            "tracker": self.tracker.run,
            "counted": self.counted.run,
            "heartbeat": lambda: self.membership.run(self.counted),
            "presence": self.presence.run,
            "repair": self.repair.run,
        }

    @property
    def is_silent(self) -> str | None:
        """What is not there that should be; None: all is."""
        if not self.link.live.is_set():
            return "the bus is silent"
        if not self.pipeline.connected.is_set():
            return "the bus takes no publishes"
        if not self.reading.connected.is_set():
            return "the bus tells no history"
        return None if self.counted.connected.is_set() else "the bus takes no heartbeats"

    async def check(self) -> None:
        """One connection to each server by hand: at start a sentence is worth more than a retry. Raises StartError."""
        for server, partitions in await self._redis.servers():
            meet = partial(self.membership.meet, partitions=partitions)
            trial = StartupProbe(self.keyspace.echo("check", partitions[0]), self._redis.verbs, meet)
            await check_server(server, trial, timeout=self._start_timeout)

    async def wait_until_ready(self) -> None:
        """Hear the orders of other nodes, and all the rest. Raises StartError."""
        for channel in self.control.addresses:
            self.link.subscribe(channel)
        try:
            async with asyncio.timeout(self._start_timeout):
                await self.link.live.wait()
                await self.pipeline.connected.wait()
                await self.reading.connected.wait()
                await self.counted.connected.wait()
        except TimeoutError as error:
            raise StartError(f"not ready within {self._start_timeout:g} seconds: {self.is_silent}") from error
        if wait := self.membership.recovers_for:
            _log.info("this Redis is new: waiting until no other node can hold a place", seconds=round(wait, 1))
            await asyncio.sleep(wait)

    async def leave(self) -> None:
        """The node has closed its sockets: let others take its places at once, not only when its lease has run out."""
        self.membership.close()
        try:
            async with asyncio.timeout(LAST_WORDS_TIMEOUT):
                await self.membership.leave(self.counted)
        except (TimeoutError, Unavailable):
            pass  # then its heartbeat will run out by itself

    def statistics(self) -> dict[str, object]:
        return {
            **self._redis.statistics(),
            "link": self.link.statistics(),
            "subscriptions": self.subscriptions.statistics(),
            "pipeline": self.pipeline.statistics(),
            "reading": self.reading.statistics(),
            "tracker": self.tracker.statistics(),
            "counted": self.counted.statistics(),
            "control": self.control.statistics(),
            "membership": self.membership.statistics(),
            "leases": self.leases.statistics(),
            "presence": self.presence.statistics(),
            "disconnects": self.disconnects.statistics(),
            "repair": self.repair.statistics(),
        }
