"""A link to each master of a Redis Cluster: what is wanted is heard at the one that serves the partition.

Redis' sharded pub/sub says everything once, at the master of the slot, and takes a channel away from all who hear it
when its slot moves. Nobody brings it back: so the map is looked at, and the channels of the partition are subscribed to
at the new master, as soon as the old one has let go of them (until then it may still bring what came before). What was
said between the two is a hole. The cursors find it: they are told to hurry whenever something is heard again.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from ...shared.channels import PARTITIONS
from ...shared.clock import Clock
from ...shared.keyspace import partition_of
from ..pubsub.link import Link, LinkListener
from ..pubsub.link_state import SHARDED
from ..redis.address import RedisAddress
from .per_master import PerMaster
from .topology import ClusterTopology


class _Shard:
    """The link to one master. Its echo is in one of its partitions."""

    def __init__(self, server: RedisAddress, link: Link, echo_partition: int) -> None:
        self.server = server
        self.link = link
        self.echo_partition = echo_partition

    async def run(self) -> None:
        await self.link.run()


class ClusterLink:
    """Needs `run` running, and that of `cluster`. Used as a Link is; `echo_channel` names the one in a partition."""

    def __init__(
        self,
        cluster: ClusterTopology,
        *,
        name: str,
        echo_channel: Callable[[int], bytes],
        clock: Clock,
        listener: LinkListener,
    ) -> None:
        self.live = asyncio.Event()
        """Set while every master is heard, with all its channels that are wanted."""
        self._cluster = cluster
        self._name = name
        self._echo_channel = echo_channel
        self._clock = clock
        self.deliver_batch = listener.deliver_batch
        self._listener = listener
        self._shards: PerMaster[_Shard] = PerMaster(self._make)
        self._wanted: list[set[bytes]] = [set() for _ in range(PARTITIONS)]
        self._homes: list[_Shard | None] = [None] * PARTITIONS  # where a partition's channels are subscribed to
        self._former: list[_Shard | None] = [None] * PARTITIONS  # which has not let go of them yet
        self._moving: set[bytes] = set()  # wanted, and not heard yet since they were taken away
        self._reading_paused = False
        self._down_since: float | None = clock.monotonic()
        self._moves = 0
        cluster.listen(self._told, self.live.is_set)

    # ---- AnyLink

    @property
    def down_for(self) -> float:
        """Seconds since the link last heard what it should; 0 while it does."""
        return 0.0 if self._down_since is None else self._clock.monotonic() - self._down_since

    def want(self, channel: bytes) -> None:
        part = partition_of(channel)
        self._wanted[part].add(channel)
        if home := self._homes[part]:
            home.link.want(channel)

    def unwant(self, channel: bytes) -> None:
        part = partition_of(channel)
        self._wanted[part].discard(channel)
        self._moving.discard(channel)
        if home := self._homes[part]:
            home.link.unwant(channel)

    def is_confirmed(self, channel: bytes) -> bool:
        home = self._homes[partition_of(channel)]
        return home is not None and home.link.is_confirmed(channel)

    def proof(self, partition: int) -> asyncio.Future[bool]:
        """True once all has come that its master published on a partition's channels before this was asked.

        A message that is still on its way from a former master comes later than that. Then it is taken for lost, is
        read from the log, and is a duplicate when it comes.
        """
        if home := self._homes[partition]:
            return home.link.proof(partition)
        unheard: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        unheard.set_result(False)
        return unheard

    def pause_reading(self) -> None:
        """Leave what comes in with Redis; its own output buffer limit bounds it."""
        self._reading_paused = True
        for shard in self._shards:
            shard.link.pause_reading()

    def resume_reading(self) -> None:
        self._reading_paused = False
        for shard in self._shards:
            shard.link.resume_reading()

    async def run(self) -> None:
        """Keep a connection to each master for ever. Only what no retry can mend gets out of here."""
        self._told()
        await self._shards.run()

    def statistics(self) -> dict[str, int | bool]:
        each = [shard.link.statistics() for shard in self._shards]
        summed = ("incarnation", "deliveries", "deaf", "connections_lost")
        return {
            "live": self.live.is_set(),
            "channels": sum(map(len, self._wanted)),
            "masters": len(each),
            "moves": self._moves,
            **{name: sum(statistics[name] for statistics in each) for name in summed},
        }

    # ---- masters

    def _make(self, server: RedisAddress) -> _Shard:
        echo_partition = self._cluster.map.masters[server][0]
        link = Link(
            server,
            name=self._name,
            echo_channel=self._echo_channel(echo_partition),
            clock=self._clock,
            listener=self,
            on_lost=self._lost,
            on_moved=partial(self._taken, server),
            verbs=SHARDED,
        )
        if self._reading_paused:
            link.pause_reading()
        return _Shard(server, link, echo_partition)

    def _told(self) -> None:
        """There has been a look at the cluster: has anything moved?"""
        seen = self._cluster.map
        masters = seen.masters
        self._shards.keep(masters.keys())
        for server, partitions in masters.items():
            shard = self._shards.open(server)
            if shard.echo_partition not in partitions:
                shard.echo_partition = partitions[0]
                shard.link.move_echo(self._echo_channel(shard.echo_partition))
        for part, owner in enumerate(seen.owners):
            home = self._homes[part]
            if home is not None and home.server != owner:
                self._leave(part, home)
            self._settle(part)
        self._look()

    def _leave(self, part: int, home: _Shard) -> None:
        self._moves += 1
        self._homes[part], self._former[part] = None, home
        self._moving |= self._wanted[part]
        for channel in self._wanted[part]:
            home.link.unwant(channel)

    def _settle(self, part: int) -> None:
        """Subscribe to a partition's channels at its master, or once more to those that were taken away there."""
        former = self._former[part]
        if former is not None and any(former.link.state.holds(channel) for channel in self._wanted[part]):
            return
        self._former[part] = None
        owner = self._cluster.map.owners[part]
        if owner is None:
            return
        home = self._shards.open(owner)
        if home is not self._homes[part]:
            self._homes[part] = home
            for channel in self._wanted[part]:
                home.link.want(channel)
        elif self._moving:
            for channel in self._moving & self._wanted[part]:
                if not home.link.state.holds(channel):
                    home.link.want(channel)

    # ---- LinkListener of the links to the masters; `deliver_batch` is the listener's own, without a call in between

    def on_subscribed(self, channels: list[bytes]) -> None:
        found_again = not self._moving.isdisjoint(channels)
        self._moving.difference_update(channels)
        self._listener.on_subscribed(channels)
        if found_again:
            self.on_live()

    def on_live(self) -> None:
        """A master is heard, or a channel is heard again: each may have a hole."""
        self._listener.on_live()
        self._look()

    def _lost(self) -> None:
        self._cluster.stale()
        self._look()

    def _taken(self, server: RedisAddress, taken: list[bytes], left: list[bytes]) -> None:
        self._moving.update(channel for channel in taken if channel in self._wanted[partition_of(channel)])
        if taken:
            self._cluster.stale(server)
        for channel in left:
            home = self._homes[partition_of(channel)]
            if home is not None and home.server == server:
                self._moving.discard(channel)  # refused for good
        for part in {partition_of(channel) for channel in left}:
            former = self._former[part]
            if former is not None and former.server == server:
                self._settle(part)
        self._look()

    def _look(self) -> None:
        """Is every master heard, with all its channels?"""
        homes = set(self._homes)
        is_live = not self._moving and all(home is not None and home.link.live.is_set() for home in homes)
        if is_live:
            self.live.set()
            self._down_since = None
        else:
            self.live.clear()
            if self._down_since is None:
                self._down_since = self._clock.monotonic()
