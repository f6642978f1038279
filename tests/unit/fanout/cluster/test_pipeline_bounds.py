"""A command to a Redis Cluster has one deadline and counts once, whatever happens to it on its way."""

import asyncio

import pytest
from tannoy.fanout.cluster.per_master import RETIRE_AFTER
from tannoy.fanout.redis.address import RedisAddress
from tannoy.fanout.redis.in_flight import COMMAND_TIMEOUT, MAX_BYTES
from tannoy.shared.errors import Unavailable

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.cluster_client import KEYSPACE, OF_A, OF_C, running
from tests.support.memory_cluster import A, C, MemoryCluster, MemoryServer, memory

__all__ = ["memory"]

BUSY = b"TRYAGAIN Multiple keys request during rehashing of slot"
MORE_THAN_HALF = b"x" * (MAX_BYTES * 2 // 3)


@on_manual_time
async def test_a_redirected_command_holds_up_others_until_its_first_deadline(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        accepted = manual_clock().monotonic()
        memory.refusals[OF_A] = BUSY
        memory.servers[C].refuses_connections = True
        memory.servers[C].break_connection()
        redirected = client.echo(OF_A, "redirected")
        await asyncio.sleep(COMMAND_TIMEOUT / 2)
        memory.refusals[OF_A] = b"ASK 1 c:6379"
        await asyncio.sleep(COMMAND_TIMEOUT / 4)  # now it waits for a connection to C
        memory.refusals[OF_A] = BUSY
        behind = client.echo(OF_A, "behind")
        await turns()
        memory.refusals.clear()
        await behind
        assert manual_clock().monotonic() - accepted == pytest.approx(COMMAND_TIMEOUT)
        with pytest.raises(Unavailable):
            await redirected
        assert client.echoed(A) == ["behind"]


@on_manual_time
async def test_a_command_that_was_sent_late_counts_no_longer_than_until_its_deadline(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        memory.refusals[OF_A] = BUSY
        late = client.pipeline.send("ECHO", KEYSPACE.server(OF_A), MORE_THAN_HALF)
        await asyncio.sleep(COMMAND_TIMEOUT / 2)
        memory.servers[A].mute = True
        with pytest.raises(Unavailable):
            await late
        with pytest.raises(Unavailable, match="in time"):  # and not for want of room
            await client.pipeline.send("ECHO", KEYSPACE.server(OF_A), MORE_THAN_HALF)


@on_manual_time
async def test_commands_to_all_masters_together_are_bounded(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        memory.servers[A].mute = True
        to_a = client.pipeline.send("ECHO", KEYSPACE.server(OF_A), MORE_THAN_HALF)
        await turns()
        with pytest.raises(Unavailable, match="overloaded"):
            await client.pipeline.send("ECHO", KEYSPACE.server(OF_C), MORE_THAN_HALF)
        with pytest.raises(Unavailable, match="in time"):
            await to_a


@on_manual_time
async def test_a_command_that_was_sent_just_before_its_deadline_costs_no_connection(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        attempts = memory.servers[A].connection_attempts
        memory.refusals[OF_A] = BUSY
        late = client.echo(OF_A, "late")
        await asyncio.sleep(COMMAND_TIMEOUT * 0.8)
        memory.servers[A].mute = True
        with pytest.raises(Unavailable):
            await late
        await asyncio.sleep(COMMAND_TIMEOUT)
        assert memory.servers[A].connection_attempts == attempts


@on_manual_time
async def test_a_master_that_does_not_answer_gets_a_new_connection(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        attempts = memory.servers[A].connection_attempts
        memory.servers[A].mute = True
        with pytest.raises(Unavailable):
            await client.echo(OF_A, "lost")
        memory.servers[A].mute = False
        await client.echo(OF_A, "next")
        assert memory.servers[A].connection_attempts == attempts + 1
        assert client.echoed(A) == ["next"]


@on_manual_time
async def test_a_command_for_a_server_that_is_given_up_before_it_is_reached_is_sent_elsewhere(
    memory: MemoryCluster,
) -> None:
    d = RedisAddress("d", 6379, None, None, 0, None)
    memory.servers[d] = MemoryServer(memory, d, 4)
    memory.servers[d].refuses_connections = True
    async with running(memory) as client:
        memory.refusals[OF_A] = b"ASK 1 d:6379"
        with pytest.raises(Unavailable):
            await client.echo(OF_A, "lost")
        for _ in range(2):  # with the second one it is clear that nothing is sent to this server any more
            client.cluster.refresh_soon()
            await turns()
        await asyncio.sleep(RETIRE_AFTER - COMMAND_TIMEOUT / 2)
        again = client.echo(OF_A, "again")
        await turns()
        memory.refusals.clear()
        await again
        assert client.echoed(A) == ["again"]


@on_manual_time
async def test_a_master_that_has_redirected_a_command_keeps_its_connection_when_that_misses_its_deadline(
    memory: MemoryCluster,
) -> None:
    async with running(memory) as client:
        attempts = memory.servers[A].connection_attempts
        memory.servers[C].refuses_connections = True
        memory.servers[C].break_connection()
        memory.move(OF_A, C)
        with pytest.raises(Unavailable):
            await client.echo(OF_A, "moved")
        await asyncio.sleep(COMMAND_TIMEOUT)
        assert memory.servers[A].connection_attempts == attempts
