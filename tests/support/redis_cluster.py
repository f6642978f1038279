"""A Redis Cluster of a test's own: masters that share the slots, replicas that can take over, slots that move."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis.exceptions import RedisError
from tannoy.shared.partitions import PARTITION_SLOTS, PARTITION_TAGS

from tests.support.certificates import Certificates
from tests.support.ports import free_port
from tests.support.redis_servers import RedisServer
from tests.support.waiting import eventually

SLOTS = 16_384
NODE_TIMEOUT = 1.5
"""Seconds after which the servers hold a silent one to be down."""


class RedisCluster:
    """`async with RedisCluster(binary) as redis:`; `url` is what a node is given. On loopback, without persistence."""

    def __init__(
        self,
        binary: Path,
        *,
        masters: int = 3,
        replicas: int = 0,
        to_servers: Sequence[str] = (),
        tls: Certificates | None = None,
    ) -> None:
        self._binary = binary
        if tls is not None:
            to_servers = [*to_servers, "tls-cluster yes", "tls-replication yes"]
        self.masters = [self._server(binary, to_servers, tls) for _ in range(masters)]
        self.replicas = [self._server(binary, to_servers, tls) for _ in range(masters * replicas)]
        """That of the first master first."""
        self._stack = AsyncExitStack()

    def _server(self, binary: Path, more: Sequence[str], tls: Certificates | None) -> RedisServer:
        return RedisServer(
            binary,
            "cluster-enabled yes",
            f"cluster-port {free_port()}",
            f"cluster-node-timeout {int(NODE_TIMEOUT * 1000)}",
            "cluster-replica-validity-factor 0",
            "repl-diskless-sync-delay 0",
            *more,
            tls=tls,
        )

    @property
    def servers(self) -> list[RedisServer]:
        return self.masters + self.replicas

    @property
    def hosts(self) -> str:
        """The masters, as they stand in a URL."""
        return ",".join(f"127.0.0.1:{server.port}" for server in self.masters)

    @property
    def url(self) -> str:
        return f"redis+cluster://{self.hosts}"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for server in self.servers:
                await stack.enter_async_context(server)
            await self._form()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _form(self) -> None:
        count = len(self.masters)
        for number, master in enumerate(self.masters):
            await master.run("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            first, last = SLOTS * number // count, SLOTS * (number + 1) // count - 1
            await master.run("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
        for server in self.servers[1:]:
            await self.meet(server)
        for number, replica in enumerate(self.replicas):
            await self._follow(replica, self.masters[number % count])
        await eventually(self._is_complete, what="the cluster is complete")

    async def _follow(self, replica: RedisServer, master: RedisServer) -> None:
        await eventually(lambda: self._knows(replica, master), what="a replica knows its master")
        await replica.run("CLUSTER", "REPLICATE", await self.id_of(master))

    async def meet(self, server: RedisServer) -> None:
        """Bring a server in; it has no slots yet. Until all know of it takes a moment."""
        bus_port = (await server.run("CONFIG", "GET", "cluster-port"))[b"cluster-port"]
        await self.masters[0].run("CLUSTER", "MEET", "127.0.0.1", str(server.port), bus_port.decode())
        await eventually(lambda: self._knows(self.masters[0], server), what="a server is known")

    async def grow(self) -> RedisServer:
        """One more master; it has no slots yet."""
        server = self._server(self._binary, (), None)
        await self._stack.enter_async_context(server)
        self.masters.append(server)
        await self.meet(server)
        await eventually(self._is_complete, what="all servers know of the new one")
        return server

    async def _knows(self, one: RedisServer, other: RedisServer) -> bool:
        return (await self.id_of(other)).encode() in await one.run("CLUSTER", "NODES")

    async def _is_complete(self) -> bool:
        for server in self.servers:
            info = await server.run("CLUSTER", "INFO")
            if b"cluster_state:ok" not in info or b"cluster_known_nodes:%d\r" % len(self.servers) not in info:
                return False
        if self.replicas:
            links = [(await replica.run("ROLE"))[3] for replica in self.replicas]
            return links == [b"connected"] * len(links)
        return True

    # ---- who serves what

    async def id_of(self, server: RedisServer) -> str:
        return bytes(await server.run("CLUSTER", "MYID")).decode()

    async def owner_of(self, partition: int) -> RedisServer:
        """As the first server sees it that answers."""
        slot = PARTITION_SLOTS[partition]
        for server in self.servers:
            try:
                ranges: list[Any] = await server.run("CLUSTER", "SLOTS")
            except (RedisError, OSError):
                continue
            port = next(int(master[1]) for first, last, master, *_ in ranges if first <= slot <= last)
            return next(each for each in self.servers if each.port == port)
        raise AssertionError("no server answers")

    async def fill(self, partition: int, keys: int) -> None:
        """Add so many other keys that a move of the slot takes a while."""
        script = "for n = 1, ARGV[1] do redis.call('SET', KEYS[1] .. n, ('x'):rep(200)) end"
        name = f"filling:{{{PARTITION_TAGS[partition]}}}:"
        await (await self.owner_of(partition)).run("EVAL", script, "1", name, str(keys))

    async def move(self, partition: int, to: RedisServer) -> None:
        """As redis-cli --cluster reshard does it."""
        source = await self.owner_of(partition)
        await self.begin_move(partition, to)
        await self.move_keys(partition, source, to)
        await self.end_move(partition, to)

    async def move_keys(self, partition: int, source: RedisServer, to: RedisServer) -> None:
        slot = str(PARTITION_SLOTS[partition])
        while keys := await source.run("CLUSTER", "GETKEYSINSLOT", slot, "10"):
            names = [bytes(key).decode() for key in keys]
            await source.run("MIGRATE", "127.0.0.1", str(to.port), "", "0", "5000", "KEYS", *names)

    async def begin_move(self, partition: int, to: RedisServer) -> None:
        source, slot = await self.owner_of(partition), str(PARTITION_SLOTS[partition])
        await to.run("CLUSTER", "SETSLOT", slot, "IMPORTING", await self.id_of(source))
        await source.run("CLUSTER", "SETSLOT", slot, "MIGRATING", await self.id_of(to))

    async def end_move(self, partition: int, to: RedisServer) -> None:
        slot, taker = str(PARTITION_SLOTS[partition]), await self.id_of(to)
        for server in (to, *(server for server in self.masters if server is not to)):
            await server.run("CLUSTER", "SETSLOT", slot, "NODE", taker)
