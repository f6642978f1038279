"""A slot that has moved keeps its epochs at the new master, but only on proof that nothing can have been lost."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tannoy.fanout.cluster.slot_migration import KNOWN_TO_ALL_WITHIN
from tannoy.fanout.cluster.topology import PERIOD
from tannoy.fanout.scripts import SERVER_ADOPT
from tannoy.shared.channels import PARTITIONS

from tests.support.clock import on_manual_time, turns
from tests.support.cluster_client import KEYSPACE, OF_A, ClusterClient, running
from tests.support.memory_cluster import A, B, C, MemoryCluster, memory

__all__ = ["memory"]


def adopted(client: ClusterClient) -> list[tuple[bytes, bytes, bytes]]:
    """(key, replication id of the old owner, of the new one) of each SERVER_ADOPT that C has executed."""
    digest = SERVER_ADOPT.digest.encode()
    calls = [command[3:] for command in client.memory.servers[C].executed if command[:2] == [b"EVALSHA", digest]]
    return [(key, old, new) for key, old, new in calls]


@asynccontextmanager
async def running_for_a_while(memory: MemoryCluster) -> AsyncGenerator[ClusterClient]:
    """Since before the last refresh of the slot map."""
    async with running(memory) as client:
        await asyncio.sleep(KNOWN_TO_ALL_WITHIN + 2 * PERIOD)
        yield client


async def settled(client: ClusterClient) -> None:
    """Until everything that the move causes has happened."""
    await client.echo(OF_A, "after the move")
    await asyncio.sleep(1)


@on_manual_time
async def test_the_epoch_of_a_slot_that_moves_between_two_known_masters_is_kept(memory: MemoryCluster) -> None:
    async with running_for_a_while(memory) as client:
        memory.move(OF_A, C)
        await settled(client)
        ids = memory.servers[A].replication_id, memory.servers[C].replication_id
        assert adopted(client) == [(KEYSPACE.server(OF_A), *ids)]


@on_manual_time
async def test_the_epoch_is_kept_before_the_identity_of_the_server_is_compared(memory: MemoryCluster) -> None:
    async with running_for_a_while(memory) as client:
        before = len(memory.servers[C].executed)
        memory.move(OF_A, C)
        await settled(client)
        first, second, *_ = [command[1].decode() for command in memory.servers[C].executed[before:]]
        assert first == SERVER_ADOPT.digest
        assert second != SERVER_ADOPT.digest


@on_manual_time
async def test_no_epoch_is_kept_if_the_old_master_is_gone(memory: MemoryCluster) -> None:
    async with running_for_a_while(memory) as client:
        memory.servers[A].refuses_connections = True
        memory.servers[A].break_connection()
        for part, owner in enumerate(memory.owners):
            if owner == A:
                memory.move(part, C)
        await settled(client)
        assert adopted(client) == []


@on_manual_time
async def test_no_epoch_is_kept_if_the_new_master_reconnected_after_the_slot_may_have_come(
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
async def test_no_epoch_is_kept_if_the_new_master_reconnected_while_the_slot_map_may_have_been_outdated(
    memory: MemoryCluster,
) -> None:
    async with running_for_a_while(memory) as client:
        memory.servers[C].break_connection()
        await asyncio.sleep(KNOWN_TO_ALL_WITHIN / 2)
        client.cluster.refresh_soon()
        await turns()  # a refresh so soon that the server may not have known of the move
        memory.move(OF_A, C)
        await settled(client)
        assert adopted(client) == []


@on_manual_time
async def test_no_epoch_is_kept_if_the_new_master_reconnected_after_the_last_refresh(memory: MemoryCluster) -> None:
    async with running_for_a_while(memory) as client:
        memory.servers[C].break_connection()
        await turns()
        refreshes = memory.slot_requests
        await asyncio.sleep(KNOWN_TO_ALL_WITHIN + 0.1)
        assert memory.slot_requests == refreshes  # so the slot may have come at any time since
        memory.move(OF_A, C)
        await settled(client)
        assert adopted(client) == []


@on_manual_time
async def test_no_epoch_is_kept_if_the_new_master_was_unreachable_when_the_slot_came(memory: MemoryCluster) -> None:
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
async def test_no_epoch_is_kept_if_the_old_master_still_serves_the_slot(memory: MemoryCluster) -> None:
    # Cut off from the cluster: its replica has taken over, and may lack what was written last.
    async with running_for_a_while(memory) as client:
        memory.served_by_a.add(OF_A)
        memory.move(OF_A, C)
        client.cluster.refresh_soon()
        await settled(client)
        assert adopted(client) == []


@on_manual_time
async def test_no_epoch_is_kept_if_the_old_master_is_a_replica_now(memory: MemoryCluster) -> None:
    async with running_for_a_while(memory) as client:
        memory.servers[A].role = b"slave"
        memory.move(OF_A, C)
        await settled(client)
        assert adopted(client) == []


@on_manual_time
async def test_no_epoch_is_kept_by_a_master_that_was_unknown_before(memory: MemoryCluster) -> None:
    for part in range(PARTITIONS):
        if memory.owners[part] == C:
            memory.owners[part] = B
    async with running_for_a_while(memory) as client:
        memory.move(OF_A, C)
        await settled(client)
        assert adopted(client) == []
        await asyncio.sleep(KNOWN_TO_ALL_WITHIN + 2 * PERIOD)
        memory.move(OF_A + 1, C)
        client.cluster.refresh_soon()
        await asyncio.sleep(1)
        assert [key for key, _, _ in adopted(client)] == [KEYSPACE.server(OF_A + 1)]


@on_manual_time
async def test_the_epoch_is_kept_for_the_identity_that_the_new_master_had_before(memory: MemoryCluster) -> None:
    # It was demoted and promoted within the moment: the script then finds another replication id than this.
    async with running_for_a_while(memory) as client:
        known_as = memory.servers[C].replication_id
        memory.servers[C].replication_id = b"f" * 40
        memory.move(OF_A, C)
        await settled(client)
        assert [new for _, _, new in adopted(client)] == [known_as]
