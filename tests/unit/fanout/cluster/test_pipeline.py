"""A pipeline to all masters of a cluster: each command once, where it belongs, in order, within its one deadline."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest
from tannoy.fanout.cluster.pipeline import ClusterPipeline
from tannoy.fanout.cluster.topology import ClusterTopology
from tannoy.fanout.redis.address import RedisAddress
from tannoy.fanout.redis.connection import Reply
from tannoy.fanout.redis.in_flight import COMMAND_TIMEOUT
from tannoy.fanout.redis.pipeline import CommandSender
from tannoy.fanout.redis.script import Script
from tannoy.fanout.scripts import HEARTBEAT, PUBLISH_ONCE, SERVER_ENSURE
from tannoy.shared.channels import PARTITIONS
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.memory_cluster import A, B, C, MemoryCluster, memory

__all__ = ["memory"]

KEYSPACE = Keyspace("tannoy")
OF_A, OF_C = 0, PARTITIONS - 1
"""A partition of each."""


class Client:
    """A running pipeline. Its greeting is one SERVER_ENSURE for each partition."""

    def __init__(self, memory: MemoryCluster, cluster: ClusterTopology, command_timeout: float) -> None:
        self.memory = memory
        self.cluster = cluster
        self.greeted: list[list[int]] = []
        self.pipeline = ClusterPipeline(
            cluster,
            name="test",
            scripts=(PUBLISH_ONCE,),
            on_connected=self._greet,
            server_key=KEYSPACE.server,
            command_timeout=command_timeout,
        )

    async def _greet(self, bus: CommandSender, partitions: Sequence[int]) -> None:
        self.greeted.append(list(partitions))
        keys = ((KEYSPACE.server(part),) for part in partitions)
        await asyncio.gather(*(bus.run_script(SERVER_ENSURE, key, (0,)) for key in keys))

    def say(self, part: int, what: str) -> asyncio.Future[Reply]:
        return self.pipeline.send("ECHO", KEYSPACE.server(part), what)

    def heard(self, server: RedisAddress) -> list[str]:
        """What was said to a server and carried out there, in order."""
        return [command[2].decode() for command in self.memory.servers[server].carried_out if command[0] == b"ECHO"]

    def calls(self, server: RedisAddress, script: Script) -> int:
        digest = script.digest.encode()
        carried_out = self.memory.servers[server].carried_out
        return sum(command[:2] == [b"EVALSHA", digest] for command in carried_out)


@asynccontextmanager
async def running(
    memory: MemoryCluster, *, connected: bool = True, command_timeout: float = COMMAND_TIMEOUT
) -> AsyncGenerator[Client]:
    cluster = await memory.known()
    client = Client(memory, cluster, command_timeout)
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


@on_manual_time
async def test_each_command_goes_to_the_master_of_its_partition(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        await asyncio.gather(*(client.say(part, str(part)) for part in range(PARTITIONS)))
        for server in (A, B, C):
            mine = [str(part) for part in range(PARTITIONS) if memory.owners[part] == server]
            assert client.heard(server) == mine


@on_manual_time
async def test_a_script_goes_by_its_first_key_and_publishes_where_the_slot_is(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        await client.pipeline.run_script(PUBLISH_ONCE, (KEYSPACE.server(OF_C),), (b"channel", b"hi", 300))
        assert client.calls(C, PUBLISH_ONCE.sharded) == 1
    assert b"'SPUBLISH'" in PUBLISH_ONCE.sharded.source
    assert b"'PUBLISH'" not in PUBLISH_ONCE.sharded.source


@on_manual_time
async def test_a_publish_is_one_to_the_shard(memory: MemoryCluster) -> None:
    memory.servers[C].replies[b"SPUBLISH"] = b":2\r\n"
    async with running(memory) as client:
        assert await client.pipeline.publish(KEYSPACE.server(OF_C), b"hi") == 2


def test_a_script_that_publishes_nothing_is_the_same_in_a_cluster() -> None:
    assert HEARTBEAT.sharded is HEARTBEAT


@on_manual_time
async def test_a_master_is_greeted_for_its_partitions_before_anything_else(memory: MemoryCluster) -> None:
    async with running(memory, connected=False) as client:
        said = [client.say(part, "early") for part in range(PARTITIONS)]
        await asyncio.gather(*said)
        for server in (A, B, C):
            verbs = [command[0] for command in memory.servers[server].carried_out]
            assert verbs == sorted(verbs, reverse=True)  # EVALSHA, the greeting, and then ECHO
        assert sorted(part for greeted in client.greeted for part in greeted) == list(range(PARTITIONS))


@on_manual_time
async def test_it_is_connected_when_every_master_is(memory: MemoryCluster) -> None:
    memory.servers[B].refuses_connections = True
    async with running(memory, connected=False) as client:
        await asyncio.sleep(1)
        assert not client.pipeline.connected.is_set()
        memory.servers[B].refuses_connections = False
        await client.pipeline.connected.wait()
        memory.servers[C].break_connection()
        await turns(4)
        assert not client.pipeline.connected.is_set()
        await client.pipeline.connected.wait()


@on_manual_time
async def test_what_has_moved_is_carried_out_once_at_its_new_master_in_order(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        memory.move(OF_A, C)
        said = [client.say(OF_A, str(number)) for number in range(20)]
        await turns(6)
        said += [client.say(OF_A, str(number)) for number in range(20, 40)]
        await asyncio.gather(*said)
        assert (client.heard(A), client.heard(C)) == ([], [str(number) for number in range(40)])
        assert client.greeted[-1] == [OF_A]


@on_manual_time
async def test_the_other_partitions_do_not_wait_for_one_that_moves(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        looks = memory.looks
        memory.move(OF_A, C)
        moving = client.say(OF_A, "moving")
        await client.say(OF_A + 1, "staying")
        assert (moving.done(), memory.looks) == (False, looks)
        await moving


@on_manual_time
async def test_a_hundred_commands_that_came_back_are_one_look_at_the_cluster(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        looks = memory.looks
        memory.move(OF_A, C)
        await asyncio.gather(*(client.say(OF_A, str(number)) for number in range(100)))
        assert memory.looks - looks == 3  # one round asks three servers


@on_manual_time
async def test_keys_that_are_there_already_are_asked_for_out_of_turn(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        memory.refusals[OF_A] = b"ASK 1 c:6379"
        memory.importing.add(OF_A)
        await asyncio.gather(*(client.say(OF_A, str(number)) for number in range(5)))
        assert (client.heard(A), client.heard(C)) == ([], ["0", "1", "2", "3", "4"])
        assert client.greeted[-1] != [OF_A]  # it is still A that serves it
        memory.refusals.clear()
        await client.say(OF_A, "last")
        assert client.heard(A) == ["last"]


@pytest.mark.parametrize("refusal", [b"TRYAGAIN Multiple keys", b"CLUSTERDOWN The cluster is down"])
@on_manual_time
async def test_what_can_not_be_done_now_is_done_a_little_later(memory: MemoryCluster, refusal: bytes) -> None:
    async with running(memory) as client:
        memory.refusals[OF_A] = refusal
        said = [client.say(OF_A, str(number)) for number in range(3)]
        await asyncio.sleep(COMMAND_TIMEOUT / 2)
        memory.refusals.clear()
        await asyncio.gather(*said)
        assert client.heard(A) == ["0", "1", "2"]


@on_manual_time
async def test_what_can_not_be_done_in_time_is_unavailable_at_its_deadline(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        memory.refusals[OF_A] = b"TRYAGAIN Multiple keys request during rehashing of slot"
        started = manual_clock().monotonic()
        said = client.say(OF_A, "lost")
        with pytest.raises(Unavailable):
            await said
        assert manual_clock().monotonic() - started == pytest.approx(COMMAND_TIMEOUT)
        memory.refusals.clear()
        await client.say(OF_A, "next")
        assert client.heard(A) == ["next"]


@pytest.mark.parametrize("refusal", [b"TRYAGAIN Multiple keys", None], ids=["refused", "not answered"])
@on_manual_time
async def test_a_pipeline_with_another_command_timeout_fails_its_commands_after_that(
    memory: MemoryCluster, refusal: bytes | None
) -> None:
    async with running(memory, command_timeout=7.0) as client:
        if refusal is None:
            memory.servers[A].mute = True
        else:
            memory.refusals[OF_A] = refusal
        started = manual_clock().monotonic()
        with pytest.raises(Unavailable):
            await client.say(OF_A, "lost")
        assert manual_clock().monotonic() - started == pytest.approx(7.0)


@on_manual_time
async def test_two_servers_that_send_us_to_each_other_do_not_hold_us_for_longer(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        memory.refusals[OF_A] = b"MOVED 1 c:6379"  # and C says that it is A's
        started = manual_clock().monotonic()
        with pytest.raises(Unavailable):
            await client.say(OF_A, "lost")
        assert manual_clock().monotonic() - started == pytest.approx(COMMAND_TIMEOUT)


@on_manual_time
async def test_what_was_under_way_on_a_lost_connection_is_not_repeated(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        memory.servers[A].mute = True
        maybe = client.say(OF_A, "maybe")
        await turns(3)
        memory.servers[A].break_connection()
        memory.servers[A].mute = False
        with pytest.raises(Unavailable):
            await maybe
        await client.pipeline.connected.wait()
        await client.say(OF_A, "next")
        assert client.heard(A) == ["next"]


@on_manual_time
async def test_what_was_not_sent_yet_when_the_connection_was_lost_goes_behind_the_next_greeting(
    memory: MemoryCluster,
) -> None:
    async with running(memory) as client:
        memory.servers[A].break_connection()
        said = client.say(OF_A, "hi")  # before anybody has noticed
        greetings = client.calls(A, SERVER_ENSURE)
        await said
        assert client.heard(A) == ["hi"]
        assert client.calls(A, SERVER_ENSURE) > greetings
        verbs = [command[0] for command in memory.servers[A].carried_out]
        assert verbs[-1] == b"ECHO"


@on_manual_time
async def test_a_master_that_is_replaced_costs_nothing_but_time(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        memory.servers[A].refuses_connections = True
        memory.servers[A].break_connection()
        await asyncio.sleep(1)
        for part, owner in enumerate(memory.owners):
            if owner == A:
                memory.move(part, B)
        await client.pipeline.connected.wait()
        await client.say(OF_A, "hi")
        assert client.heard(B) == ["hi"]


@on_manual_time
async def test_one_partition_that_is_half_way_does_not_hold_up_the_others_of_a_new_connection(
    memory: MemoryCluster,
) -> None:
    memory.refusals[OF_A] = b"TRYAGAIN Multiple keys request during rehashing of slot"
    async with running(memory) as client:
        await client.say(OF_A + 1, "hi")
        assert client.heard(A) == ["hi"]
        memory.refusals.clear()
        await asyncio.sleep(1)
        await client.say(OF_A, "later")
        assert client.heard(A) == ["hi", "later"]
