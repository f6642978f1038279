"""A slot that has moved: its new master adopts what came, but only on proof that nothing can have been lost."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tannoy.fanout.cluster.slot_migration import HEARD_OF_WITHIN
from tannoy.fanout.cluster.topology import PERIOD
from tannoy.fanout.scripts import SERVER_ADOPT
from tannoy.shared.channels import PARTITIONS

from tests.support.clock import on_manual_time, turns
from tests.support.memory_cluster import A, B, C, MemoryCluster, memory
from tests.unit.fanout.cluster.test_pipeline import KEYSPACE, OF_A, Client, running

__all__ = ["memory"]


def adopted(client: Client) -> list[tuple[bytes, bytes, bytes]]:
    """(key, replication id it came from, replication id it came to), of all that C was told to adopt."""
    digest = SERVER_ADOPT.digest.encode()
    calls = [command[3:] for command in client.memory.servers[C].carried_out if command[:2] == [b"EVALSHA", digest]]
    return [(key, former, taker) for key, former, taker in calls]


@asynccontextmanager
async def running_for_a_while(memory: MemoryCluster) -> AsyncGenerator[Client]:
    """Since before the last look at the cluster."""
    async with running(memory) as client:
        await asyncio.sleep(HEARD_OF_WITHIN + 2 * PERIOD)
        yield client


async def settled(client: Client) -> None:
    """Whatever the move brings about has come about."""
    await client.say(OF_A, "after the move")
    await asyncio.sleep(1)


@on_manual_time
async def test_a_slot_between_two_masters_that_we_know_is_adopted(memory: MemoryCluster) -> None:
    async with running_for_a_while(memory) as client:
        memory.move(OF_A, C)
        await settled(client)
        ids = memory.servers[A].replication_id, memory.servers[C].replication_id
        assert adopted(client) == [(KEYSPACE.server(OF_A), *ids)]


@on_manual_time
async def test_it_is_adopted_before_anybody_looks_whether_this_is_the_server_we_knew(memory: MemoryCluster) -> None:
    async with running_for_a_while(memory) as client:
        before = len(memory.servers[C].carried_out)
        memory.move(OF_A, C)
        await settled(client)
        first, second, *_ = [command[1].decode() for command in memory.servers[C].carried_out[before:]]
        assert first == SERVER_ADOPT.digest
        assert second != SERVER_ADOPT.digest


@on_manual_time
async def test_nothing_is_adopted_from_a_master_that_is_gone(memory: MemoryCluster) -> None:
    async with running_for_a_while(memory) as client:
        memory.servers[A].refuses_connections = True
        memory.servers[A].break_connection()
        for part, owner in enumerate(memory.owners):
            if owner == A:
                memory.move(part, C)
        await settled(client)
        assert adopted(client) == []


@on_manual_time
async def test_nothing_is_adopted_by_a_master_that_came_back_after_the_slot_may_have_come(
    memory: MemoryCluster,
) -> None:
    async with running_for_a_while(memory) as client:
        memory.servers[C].break_connection()
        await turns()
        await client.pipeline.connected.wait()
        await turns()
        memory.move(OF_A, C)
        await settled(client)
        assert adopted(client) == []


@on_manual_time
async def test_nothing_is_adopted_by_a_master_that_came_back_as_the_last_look_may_not_have_been_true(
    memory: MemoryCluster,
) -> None:
    async with running_for_a_while(memory) as client:
        memory.servers[C].break_connection()
        await asyncio.sleep(HEARD_OF_WITHIN / 2)
        client.cluster.stale()
        await turns()  # a look, so soon that it may have been that of a server that had not heard of the move
        memory.move(OF_A, C)
        await settled(client)
        assert adopted(client) == []


@on_manual_time
async def test_nothing_is_adopted_by_a_master_that_may_have_come_back_behind_the_slot(memory: MemoryCluster) -> None:
    async with running_for_a_while(memory) as client:
        memory.servers[C].break_connection()
        await turns()
        looks = memory.looks
        await asyncio.sleep(HEARD_OF_WITHIN + 0.1)
        assert memory.looks == looks  # so the slot may have come at any time since
        memory.move(OF_A, C)
        await settled(client)
        assert adopted(client) == []


@on_manual_time
async def test_nothing_is_adopted_by_a_master_that_was_away_when_the_slot_came(memory: MemoryCluster) -> None:
    async with running_for_a_while(memory) as client:
        memory.servers[C].refuses_connections = True
        memory.servers[C].break_connection()
        memory.move(OF_A, C)
        await asyncio.sleep(2 * PERIOD)
        memory.servers[C].refuses_connections = False
        await client.pipeline.connected.wait()
        await settled(client)
        assert adopted(client) == []


@on_manual_time
async def test_nothing_is_adopted_from_a_master_that_holds_the_slot_to_be_its_own(memory: MemoryCluster) -> None:
    # Cut off from the cluster: its replica has taken over, and may lack what was written last.
    async with running_for_a_while(memory) as client:
        memory.still_its_own.add(OF_A)
        memory.move(OF_A, C)
        client.cluster.stale()
        await settled(client)
        assert adopted(client) == []


@on_manual_time
async def test_nothing_is_adopted_from_what_is_no_master_any_more(memory: MemoryCluster) -> None:
    async with running_for_a_while(memory) as client:
        memory.servers[A].role = b"slave"
        memory.move(OF_A, C)
        await settled(client)
        assert adopted(client) == []


@on_manual_time
async def test_nothing_is_adopted_by_a_master_that_we_did_not_know_before(memory: MemoryCluster) -> None:
    for part in range(PARTITIONS):
        if memory.owners[part] == C:
            memory.owners[part] = B
    async with running_for_a_while(memory) as client:
        memory.move(OF_A, C)
        await settled(client)
        assert adopted(client) == []
        await asyncio.sleep(HEARD_OF_WITHIN + 2 * PERIOD)
        memory.move(OF_A + 1, C)
        client.cluster.stale()
        await asyncio.sleep(1)
        assert [key for key, _, _ in adopted(client)] == [KEYSPACE.server(OF_A + 1)]


@on_manual_time
async def test_what_a_master_adopts_it_adopts_as_who_it_was_before(memory: MemoryCluster) -> None:
    # It was demoted and promoted within the moment: the script then finds another replication id than this.
    async with running_for_a_while(memory) as client:
        known_as = memory.servers[C].replication_id
        memory.servers[C].replication_id = b"f" * 40
        memory.move(OF_A, C)
        await settled(client)
        assert [taker for _, _, taker in adopted(client)] == [known_as]
