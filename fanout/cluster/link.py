"""A link to each master of a Redis Cluster: every channel is subscribed at the master that serves its partition.

Sharded pub/sub (SPUBLISH) delivers a message once, at the master of the slot. When a slot moves, that master
unsubscribes its channels for all clients, and they have to subscribe at the new one by themselves. A message that is
published in between is missed; the tracker finds it by a barrier, for which `on_live` is called whenever a channel is
subscribed again.

The state of one partition, besides the channels that are wanted in it:

    home    former  state
    a link  None    subscribed at this master
    None    a link  the slot has moved away: the former master may still deliver earlier messages, so the new one waits
    None    None    no master is known: subscribed as soon as the slot map has one
    a link  a link  never: `_settle` sets the home only once the former one has let go of all the partition's channels

A channel is in `_moving` from the time at which its slot has moved, or Redis has revoked it, until it is subscribed
again (or refused for good). The link is live while `_moving` is empty and the link to each home is live.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from ...shared.channels import PARTITIONS
from ...shared.clock import Clock
from ...shared.durations import sum_durations
from ...shared.partitions import partition_of
from ..pubsub.any_link import LinkListener, LinkStatistics
from ..pubsub.barriers import PublishNonce
from ..pubsub.link import Link
from ..pubsub.verbs import SHARDED
from ..redis.address import RedisAddress
from ..redis.connection import RedisConnection
from .per_master import PerMaster
from .topology import ClusterTopology


@dataclass(frozen=True, slots=True)
class ClusterLinkStatistics(LinkStatistics):
    """The counts are sums over the links to all masters."""

    masters: int
    """Masters to which there is a link now."""
    moves: int
    """Partitions that have moved from one master to another so far."""


class _MasterLink:
    """The link to one master. Its echo channel lies in one of the master's partitions."""

    def __init__(self, server: RedisAddress, link: Link, echo_partition: int) -> None:
        self.server = server
        self.link = link
        self.echo_partition = echo_partition

    async def run(self) -> None:
        await self.link.run()


class ClusterLink:
    """Used like a Link. Needs `run` running, and that of `topology`.

    `echo_channel` gives the name of the echo channel in a partition; `command_connections` the connections of pipelines
    to a master, which have to go to the same server as the link to that master; `publish_barrier` publishes over those
    by which heads are read.
    """

    def __init__(
        self,
        topology: ClusterTopology,
        *,
        name: str,
        echo_channel: Callable[[int], bytes],
        clock: Clock,
        listener: LinkListener,
        publish_barrier: PublishNonce,
        command_connections: Callable[[RedisAddress], Iterable[RedisConnection]] = lambda server: (),
        payload_max_bytes: int | None = None,
    ) -> None:
        self._payload_max_bytes = payload_max_bytes
        self.live = asyncio.Event()
        """Set while the links to all masters receive all that they should."""
        self._topology = topology
        self._name = name
        self._echo_channel = echo_channel
        self._clock = clock
        self.deliver_batch = listener.deliver_batch
        self._listener = listener
        self._publish_barrier = publish_barrier
        self._command_connections = command_connections
        self._links: PerMaster[_MasterLink] = PerMaster(self._make)
        self._wanted: list[set[bytes]] = [set() for _ in range(PARTITIONS)]
        self._homes: list[_MasterLink | None] = [None] * PARTITIONS
        self._former: list[_MasterLink | None] = [None] * PARTITIONS
        self._moving: set[bytes] = set()
        self._reading_paused = False
        self._down_since: float | None = clock.monotonic()
        self._moves = 0
        topology.add_listener(self._on_refreshed, self.live.is_set)

    # ---- AnyLink

    @property
    def down_for(self) -> float:
        """Seconds since the link last received all that it should; 0 while it does."""
        return 0.0 if self._down_since is None else self._clock.monotonic() - self._down_since

    def subscribe(self, channel: bytes) -> None:
        part = partition_of(channel)
        self._wanted[part].add(channel)
        if home := self._homes[part]:
            home.link.subscribe(channel)

    def unsubscribe(self, channel: bytes) -> None:
        part = partition_of(channel)
        self._wanted[part].discard(channel)
        self._moving.discard(channel)
        if home := self._homes[part]:
            home.link.unsubscribe(channel)

    def is_subscribed(self, channel: bytes) -> bool:
        home = self._homes[partition_of(channel)]
        return home is not None and home.link.is_subscribed(channel)

    def send_barrier(self, partition: int) -> asyncio.Future[bool]:
        """True once all messages have come that the partition's master had published on its channels before this call.

        A message that is still on its way from a former master comes later than that. Then it counts as lost, is read
        from history, and is dropped as a duplicate when it comes.
        """
        if home := self._homes[partition]:
            return home.link.send_barrier(partition)
        failed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        failed.set_result(False)
        return failed

    def pause_reading(self) -> None:
        """Leave incoming messages with Redis, which bounds them by its client output buffer limit."""
        self._reading_paused = True
        for each in self._links:
            each.link.pause_reading()

    def resume_reading(self) -> None:
        self._reading_paused = False
        for each in self._links:
            each.link.resume_reading()

    async def run(self) -> None:
        """Keep a connection to each master for ever. Raises only what no retry can mend."""
        self._on_refreshed()
        await self._links.run()

    def statistics(self) -> ClusterLinkStatistics:
        links = [each.link.statistics() for each in self._links]
        return ClusterLinkStatistics(
            live=self.live.is_set(),
            connections=sum(each.connections for each in links),
            channels=sum(map(len, self._wanted)),
            deliveries=sum(each.deliveries for each in links),
            echoes_missed=sum(each.echoes_missed for each in links),
            connections_lost=sum(each.connections_lost for each in links),
            servers_parted=sum(each.servers_parted for each in links),
            delays=sum_durations(each.delays for each in links),
            masters=len(links),
            moves=self._moves,
        )

    # ---- masters

    def _make(self, server: RedisAddress) -> _MasterLink:
        echo_partition = self._topology.slot_map.masters[server][0]
        link = Link(
            server,
            name=self._name,
            echo_channel=self._echo_channel(echo_partition),
            clock=self._clock,
            listener=self,
            publish_barrier=self._publish_barrier,
            on_lost=self._on_lost,
            on_revoked=partial(self._on_revoked, server),
            on_unsubscribed=partial(self._on_unsubscribed, server),
            command_connections=partial(self._command_connections, server),
            verbs=SHARDED,
            payload_max_bytes=self._payload_max_bytes,
        )
        if self._reading_paused:
            link.pause_reading()
        return _MasterLink(server, link, echo_partition)

    def _on_refreshed(self) -> None:
        """The slot map was read again: act on each partition that has moved."""
        slot_map = self._topology.slot_map
        masters = slot_map.masters
        self._links.keep(masters.keys())
        for server, partitions in masters.items():
            master = self._links.open(server)
            if master.echo_partition not in partitions:
                master.echo_partition = partitions[0]
                master.link.move_echo(self._echo_channel(master.echo_partition))
        for part, owner in enumerate(slot_map.owners):
            home = self._homes[part]
            if home is not None and home.server != owner:
                self._leave(part, home)
            self._settle(part)
        self._update_live()

    def _leave(self, part: int, home: _MasterLink) -> None:
        """Unsubscribe a partition's channels at the master that does not serve it any more."""
        self._moves += 1
        self._homes[part], self._former[part] = None, home
        self._moving |= self._wanted[part]
        for channel in self._wanted[part]:
            home.link.unsubscribe(channel)

    def _settle(self, part: int) -> None:
        """Subscribe a partition's channels at its master, once the former one can't deliver any of them any more.

        If it has stayed where it was, subscribe again those of its channels that Redis has revoked.
        """
        former = self._former[part]
        if former is not None and any(former.link.state.may_deliver(channel) for channel in self._wanted[part]):
            return
        self._former[part] = None
        owner = self._topology.slot_map.owners[part]
        if owner is None:
            return
        home = self._links.open(owner)
        if home is not self._homes[part]:
            self._homes[part] = home
            for channel in self._wanted[part]:
                home.link.subscribe(channel)
        elif self._moving:
            for channel in self._moving & self._wanted[part]:
                if not home.link.state.may_deliver(channel):
                    home.link.subscribe(channel)

    # ---- LinkListener of the links to the masters; `deliver_batch` is the listener's own, without a call in between

    def on_subscribed(self, channels: list[bytes]) -> None:
        is_subscribed_again = not self._moving.isdisjoint(channels)
        self._moving.difference_update(channels)
        self._listener.on_subscribed(channels)
        if is_subscribed_again:
            self.on_live()

    def on_live(self) -> None:
        """A link is live again, or a channel is subscribed again: messages may have been missed."""
        self._listener.on_live()
        self._update_live()

    def _on_lost(self) -> None:
        self._topology.refresh_soon()
        self._update_live()

    def _on_revoked(self, server: RedisAddress, channels: list[bytes]) -> None:
        self._moving.update(channel for channel in channels if channel in self._wanted[partition_of(channel)])
        self._topology.refresh_soon(server)
        self._update_live()

    def _on_unsubscribed(self, server: RedisAddress, channels: list[bytes]) -> None:
        for channel in channels:
            home = self._homes[partition_of(channel)]
            if home is not None and home.server == server:
                self._moving.discard(channel)  # refused for good
        for part in {partition_of(channel) for channel in channels}:
            former = self._former[part]
            if former is not None and former.server == server:
                self._settle(part)
        self._update_live()

    def _update_live(self) -> None:
        homes = set(self._homes)
        is_live = not self._moving and all(home is not None and home.link.live.is_set() for home in homes)
        if is_live:
            self.live.set()
            self._down_since = None
        else:
            self.live.clear()
            if self._down_since is None:
                self._down_since = self._clock.monotonic()
