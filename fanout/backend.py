"""Connections to what the Redis URL names: one server, a master that Sentinels name, or a Redis Cluster.

This is the one place where they differ; what goes over the connections is the same.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from ..shared.channels import PARTITIONS
from ..shared.clock import Clock
from ..shared.errors import StartError
from ..shared.keyspace import Keyspace
from .cluster.link import ClusterLink
from .cluster.pipeline import ClusterPipeline
from .cluster.topology import ClusterTopology, ClusterTopologyStatistics, NoCluster
from .pubsub.any_link import AnyLink, LinkListener
from .pubsub.link import Link
from .pubsub.verbs import PLAIN, SHARDED, Verbs
from .redis.address import AnyAddress, ClusterAddress, SentinelAddress
from .redis.in_flight import COMMAND_TIMEOUT
from .redis.pipeline import AnyPipeline, DirectCommands, OnConnected, Pipeline
from .redis.script import Script
from .redis.sentinel import MasterDiscovery, Target
from .unreadable import UnreadableData

_ALL = range(PARTITIONS)


class RedisBackend(Protocol):
    """Makes links and pipelines. `echo_channel` gives the channel of a link's echo in a partition; `reader` is the
    pipeline by which heads are read; `payload_max_bytes` the largest message that nodes publish.

    A link proves that all pipelines of its backend reach the server that it receives from.
    """

    verbs: Verbs
    """Of the links: plain or sharded pub/sub."""
    unreadable: UnreadableData
    """What its pipelines, and all that reads through them, have found."""

    def link(
        self,
        *,
        name: str,
        echo_channel: Callable[[int], bytes],
        clock: Clock,
        listener: LinkListener,
        reader: AnyPipeline,
        payload_max_bytes: int,
    ) -> AnyLink: ...

    def pipeline(self, *, name: str, scripts: tuple[Script, ...], on_connected: OnConnected) -> AnyPipeline: ...

    async def servers(self, answer_within: float) -> Sequence[tuple[Target, Sequence[int]]]:
        """The servers that hold our data, each with its partitions; `answer_within` is in seconds.

        Raises StartError where they can't be found.
        """
        ...

    @property
    def first_partitions(self) -> Sequence[int]:
        """One partition of each server that is known to hold our data."""
        ...

    @property
    def jobs(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run besides the links and pipelines themselves, by name."""
        ...

    def statistics(self) -> ClusterTopologyStatistics | None:
        """None: it is not a cluster."""
        ...


def backend_of(address: AnyAddress, keyspace: Keyspace, *, command_timeout: float = COMMAND_TIMEOUT) -> RedisBackend:
    """`command_timeout`: seconds after which a command of its pipelines fails with Unavailable."""
    if isinstance(address, ClusterAddress):
        return ClusterBackend(address, keyspace, command_timeout)
    target = MasterDiscovery(address) if isinstance(address, SentinelAddress) else address
    return SingleServer(target, command_timeout)


class SingleServer:
    def __init__(self, target: Target, command_timeout: float = COMMAND_TIMEOUT) -> None:
        self.verbs = PLAIN
        self.unreadable = UnreadableData()
        self._target = target
        self._command_timeout = command_timeout
        self._pipelines: list[Pipeline] = []

    def link(
        self,
        *,
        name: str,
        echo_channel: Callable[[int], bytes],
        clock: Clock,
        listener: LinkListener,
        reader: AnyPipeline,
        payload_max_bytes: int,
    ) -> AnyLink:
        return Link(
            self._target,
            name=name,
            echo_channel=echo_channel(0),
            clock=clock,
            listener=listener,
            publish_barrier=reader.publish,
            command_connections=lambda: (each.connection for each in self._pipelines if each.connection),
            payload_max_bytes=payload_max_bytes,
        )

    def pipeline(self, *, name: str, scripts: tuple[Script, ...], on_connected: OnConnected) -> AnyPipeline:
        pipeline = Pipeline(
            self._target,
            name=name,
            scripts=scripts,
            on_connected=lambda connection: on_connected(DirectCommands(connection), _ALL),
            on_refused=self.unreadable.on_refused,
            command_timeout=self._command_timeout,
        )
        self._pipelines.append(pipeline)
        return pipeline

    async def servers(self, answer_within: float) -> Sequence[tuple[Target, Sequence[int]]]:
        return [(self._target, _ALL)]

    @property
    def first_partitions(self) -> Sequence[int]:
        return (0,)

    @property
    def jobs(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        return {}

    def statistics(self) -> None:
        return None


class ClusterBackend:
    def __init__(self, address: ClusterAddress, keyspace: Keyspace, command_timeout: float = COMMAND_TIMEOUT) -> None:
        self.verbs = SHARDED
        self.unreadable = UnreadableData()
        self._command_timeout = command_timeout
        self._keyspace = keyspace
        self._cluster = ClusterTopology(address)
        self._pipelines: list[ClusterPipeline] = []

    def link(
        self,
        *,
        name: str,
        echo_channel: Callable[[int], bytes],
        clock: Clock,
        listener: LinkListener,
        reader: AnyPipeline,
        payload_max_bytes: int,
    ) -> AnyLink:
        return ClusterLink(
            self._cluster,
            name=name,
            echo_channel=echo_channel,
            clock=clock,
            listener=listener,
            publish_barrier=reader.publish,
            command_connections=lambda server: (c for each in self._pipelines if (c := each.connection_to(server))),
            payload_max_bytes=payload_max_bytes,
        )

    def pipeline(self, *, name: str, scripts: tuple[Script, ...], on_connected: OnConnected) -> AnyPipeline:
        server_key = self._keyspace.server
        pipeline = ClusterPipeline(
            self._cluster,
            name=name,
            scripts=scripts,
            on_connected=on_connected,
            server_key=server_key,
            on_refused=self.unreadable.on_refused,
            command_timeout=self._command_timeout,
        )
        self._pipelines.append(pipeline)
        return pipeline

    async def servers(self, answer_within: float) -> Sequence[tuple[Target, Sequence[int]]]:
        at = f"Redis at {self._cluster.address} (TANNOY_REDIS_URL)"
        try:
            await self._cluster.refresh(answer_within)
        except NoCluster as error:
            raise StartError(f"{at} can't be found: {error}") from error
        if not self._cluster.slot_map.is_whole:
            raise StartError(f"{at} has slots that no server serves: redis-cli --cluster check tells which")
        return list(self._cluster.slot_map.masters.items())

    @property
    def first_partitions(self) -> Sequence[int]:
        return [partitions[0] for partitions in self._cluster.slot_map.masters.values()]

    @property
    def jobs(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        return {"cluster": self._cluster.run}

    def statistics(self) -> ClusterTopologyStatistics:
        return self._cluster.statistics()
