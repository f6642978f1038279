"""A running pipeline to the masters of a cluster in memory, with what each master has executed."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from tannoy.fanout.cluster.pipeline import ClusterPipeline
from tannoy.fanout.cluster.topology import ClusterTopology
from tannoy.fanout.redis.address import RedisAddress
from tannoy.fanout.redis.connection import Reply
from tannoy.fanout.redis.in_flight import COMMAND_TIMEOUT
from tannoy.fanout.redis.pipeline import CommandSender
from tannoy.fanout.redis.script import Script
from tannoy.fanout.scripts import PUBLISH_ONCE, SERVER_ENSURE
from tannoy.shared.channels import PARTITIONS
from tannoy.shared.keyspace import Keyspace

from tests.support.clock import turns
from tests.support.memory_cluster import MemoryCluster

KEYSPACE = Keyspace("tannoy")
OF_A, OF_C = 0, PARTITIONS - 1
"""A partition of server A, and one of server C."""


class ClusterClient:
    """A running pipeline. It checks a master with one SERVER_ENSURE for each partition."""

    def __init__(self, memory: MemoryCluster, cluster: ClusterTopology, command_timeout: float) -> None:
        self.memory = memory
        self.cluster = cluster
        self.checked: list[list[int]] = []
        self.pipeline = ClusterPipeline(
            cluster,
            name="test",
            scripts=(PUBLISH_ONCE,),
            on_connected=self._check,
            server_key=KEYSPACE.server,
            command_timeout=command_timeout,
        )

    async def _check(self, commands: CommandSender, partitions: Sequence[int]) -> None:
        self.checked.append(list(partitions))
        keys = ((KEYSPACE.server(part),) for part in partitions)
        await asyncio.gather(*(commands.run_script(SERVER_ENSURE, key, (0,)) for key in keys))

    def echo(self, part: int, text: str) -> asyncio.Future[Reply]:
        return self.pipeline.send("ECHO", KEYSPACE.server(part), text)

    def echoed(self, server: RedisAddress) -> list[str]:
        """The texts of the ECHO commands that a server has executed, in order."""
        return [command[2].decode() for command in self.memory.servers[server].executed if command[0] == b"ECHO"]

    def calls(self, server: RedisAddress, script: Script) -> int:
        digest = script.digest.encode()
        carried_out = self.memory.servers[server].executed
        return sum(command[:2] == [b"EVALSHA", digest] for command in carried_out)


@asynccontextmanager
async def running(
    memory: MemoryCluster, *, connected: bool = True, command_timeout: float = COMMAND_TIMEOUT
) -> AsyncGenerator[ClusterClient]:
    cluster = await memory.known()
    client = ClusterClient(memory, cluster, command_timeout)
    tasks = [asyncio.create_task(cluster.run()), asyncio.create_task(client.pipeline.run())]
    try:
        async with asyncio.timeout(60):  # of manual time: what never comes fails the test
            if connected:
                await client.pipeline.connected.wait()
            yield client
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await turns()
