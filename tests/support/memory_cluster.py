"""A Redis Cluster in memory: it answers as its servers would, and a test moves slots between them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tannoy.fanout.cluster.topology import ClusterTopology
from tannoy.fanout.redis.address import ClusterAddress, RedisAddress
from tannoy.fanout.redis.connection import Pushes, RedisConnection
from tannoy.shared.channels import PARTITIONS
from tannoy.shared.partitions import PARTITION_SLOTS, partition_of

from tests.support.memory_redis import MemoryRedis

A, B, C = (RedisAddress(host, 6379, None, None, 0, None) for host in "abc")
ADDRESS = ClusterAddress((A, B, C))
_WITHOUT_KEY = (b"SCRIPT", b"ASKING", b"INFO", b"CLIENT", b"PING")


class MemoryServer(MemoryRedis):
    """One server. It executes commands of its own partitions, and refuses others with MOVED or ASK as Redis does."""

    def __init__(self, cluster: "MemoryCluster", address: RedisAddress, number: int) -> None:
        super().__init__()
        self.address = address
        self.replication_id = b"%040x" % number
        self.role = b"master"
        self.executed: list[list[bytes]] = []
        """Executed commands that have a key."""
        self.subscribed: set[bytes] = set()
        self._cluster = cluster
        self._is_asking = False

    def reply(self, command: list[bytes]) -> bytes:
        verb = command[0]
        asking, self._is_asking = self._is_asking, verb == b"ASKING"
        if verb == b"INFO":
            text = b"# Replication\r\nrole:%b\r\nmaster_replid:%b\r\n" % (self.role, self.replication_id)
            return b"$%d\r\n%b\r\n" % (len(text), text)
        if verb in _WITHOUT_KEY:
            return b"+OK\r\n"
        part = partition_of(command[3] if verb == b"EVALSHA" else command[1])
        if refusal := self._cluster.refusal(self, part, asking):
            return b"-" + refusal + b"\r\n"
        self.executed.append(command)
        if verb in (b"SSUBSCRIBE", b"SUNSUBSCRIBE"):
            return b"".join(self._subscribe(verb, channel) for channel in command[1:])
        if verb == b"SPUBLISH" and command[1] in self.subscribed:
            return _push(b"smessage", *command[1:]) + b":1\r\n"
        return self.replies.get(verb, b":1\r\n")

    def _subscribe(self, verb: bytes, channel: bytes) -> bytes:
        (self.subscribed.add if verb == b"SSUBSCRIBE" else self.subscribed.discard)(channel)
        return _push(verb.lower(), channel, b"1")


def _push(*words: bytes) -> bytes:
    return b">%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


class MemoryCluster:
    """Three masters. All connections to one of them are one."""

    def __init__(self) -> None:
        self.servers = {each: MemoryServer(self, each, number) for number, each in enumerate((A, B, C), 1)}
        self.owners = [(A, B, C)[part * 3 // PARTITIONS] for part in range(PARTITIONS)]
        self.epoch = 3
        self.slot_requests = 0
        """How often the slots were requested."""
        self.refusals: dict[int, bytes] = {}
        """Errors with which the owner of a partition answers every command."""
        self.importing: set[int] = set()
        """Partitions whose commands C executes after ASKING."""
        self.served_by_a: set[int] = set()
        """Partitions that A serves as well as their owner."""

    def refusal(self, server: MemoryServer, part: int, asking: bool) -> bytes | None:
        if asking and part in self.importing and server.address == C:
            return None
        if part in self.served_by_a and server.address == A:
            return None
        owner = self.owners[part]
        if owner != server.address:
            return b"MOVED %d %b:6379" % (PARTITION_SLOTS[part], owner.host.encode())
        return self.refusals.get(part)

    def move(self, part: int, to: RedisAddress) -> None:
        self.owners[part] = to
        self.epoch += 1

    async def connect(
        self, address: RedisAddress, *, name: str, on_pushes: Callable[[Pushes], None], timeout: float
    ) -> RedisConnection:
        """Replaces `tannoy.fanout.redis.connection.connect` in tests."""
        server = self.servers[address]
        server.subscribed.clear()
        return await server.connect(address, name=name, on_pushes=on_pushes, timeout=timeout)

    async def ask(self, server: RedisAddress, commands: Sequence[Sequence[str]], within: float) -> list[Any]:
        """CLUSTER SLOTS and CLUSTER INFO, on a connection of its own."""
        await asyncio.sleep(0)
        self.slot_requests += 1
        if self.servers[server].refuses_connections:
            raise ConnectionRefusedError("connection refused")
        slots = [[slot, slot, [owner.host.encode(), 6379, b"id"]] for slot, owner in self._by_slot()]
        return [slots, b"cluster_state:ok\r\ncluster_current_epoch:%d\r\n" % self.epoch]

    def _by_slot(self) -> list[tuple[int, RedisAddress]]:
        return list(zip(PARTITION_SLOTS, self.owners, strict=True))

    async def known(self) -> ClusterTopology:
        """The topology as a node knows it after its first request."""
        cluster = ClusterTopology(ADDRESS, self.ask)
        await cluster.refresh()
        return cluster


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryCluster:
    cluster = MemoryCluster()
    for module in ("redis.command_writer", "pubsub.link"):
        monkeypatch.setattr(f"tannoy.fanout.{module}.connect", cluster.connect)
    return cluster
