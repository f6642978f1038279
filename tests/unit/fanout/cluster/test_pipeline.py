"""A pipeline to all masters of a cluster: each command is executed once, by the right master, in order and in time."""

import asyncio

import pytest
from tannoy.fanout.redis.in_flight import COMMAND_TIMEOUT
from tannoy.fanout.scripts import HEARTBEAT, PUBLISH_ONCE, SERVER_ENSURE
from tannoy.shared.channels import PARTITIONS
from tannoy.shared.errors import Unavailable

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.cluster_client import KEYSPACE, OF_A, OF_C, running
from tests.support.memory_cluster import A, B, C, MemoryCluster, memory

__all__ = ["memory"]


@on_manual_time
async def test_each_command_goes_to_the_master_of_its_partition(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        await asyncio.gather(*(client.echo(part, str(part)) for part in range(PARTITIONS)))
        for server in (A, B, C):
            mine = [str(part) for part in range(PARTITIONS) if memory.owners[part] == server]
            assert client.echoed(server) == mine


@on_manual_time
async def test_a_script_goes_to_the_master_of_its_first_key_and_publishes_sharded(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        await client.pipeline.run_script(PUBLISH_ONCE, (KEYSPACE.server(OF_C),), (b"channel", b"hi", 300))
        assert client.calls(C, PUBLISH_ONCE.sharded) == 1
    assert b"'SPUBLISH'" in PUBLISH_ONCE.sharded.source
    assert b"'PUBLISH'" not in PUBLISH_ONCE.sharded.source


@on_manual_time
async def test_a_publish_is_a_sharded_publish(memory: MemoryCluster) -> None:
    memory.servers[C].replies[b"SPUBLISH"] = b":2\r\n"
    async with running(memory) as client:
        assert await client.pipeline.publish(KEYSPACE.server(OF_C), b"hi") == 2


def test_a_script_that_does_not_publish_is_the_same_in_a_cluster() -> None:
    assert HEARTBEAT.sharded is HEARTBEAT


@on_manual_time
async def test_a_master_is_checked_for_its_partitions_before_all_other_commands(memory: MemoryCluster) -> None:
    async with running(memory, connected=False) as client:
        said = [client.echo(part, "early") for part in range(PARTITIONS)]
        await asyncio.gather(*said)
        for server in (A, B, C):
            verbs = [command[0] for command in memory.servers[server].executed]
            assert verbs == sorted(verbs, reverse=True)  # EVALSHA, the check, and then ECHO
        assert sorted(part for checked in client.checked for part in checked) == list(range(PARTITIONS))


@on_manual_time
async def test_the_pipeline_is_connected_when_those_to_all_masters_are(memory: MemoryCluster) -> None:
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
async def test_commands_of_a_moved_slot_are_executed_once_at_its_new_master_in_order(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        memory.move(OF_A, C)
        said = [client.echo(OF_A, str(number)) for number in range(20)]
        await turns(6)
        said += [client.echo(OF_A, str(number)) for number in range(20, 40)]
        await asyncio.gather(*said)
        assert (client.echoed(A), client.echoed(C)) == ([], [str(number) for number in range(40)])
        assert client.checked[-1] == [OF_A]


@on_manual_time
async def test_other_partitions_do_not_wait_for_one_that_moves(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        looks = memory.slot_requests
        memory.move(OF_A, C)
        moving = client.echo(OF_A, "moving")
        await client.echo(OF_A + 1, "staying")
        assert (moving.done(), memory.slot_requests) == (False, looks)
        await moving


@on_manual_time
async def test_a_hundred_redirected_commands_cause_one_refresh_of_the_slot_map(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        looks = memory.slot_requests
        memory.move(OF_A, C)
        await asyncio.gather(*(client.echo(OF_A, str(number)) for number in range(100)))
        assert memory.slot_requests - looks == 3  # one round asks three servers


@on_manual_time
async def test_a_command_of_a_migrated_key_is_sent_to_the_target_behind_asking(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        memory.refusals[OF_A] = b"ASK 1 c:6379"
        memory.importing.add(OF_A)
        await asyncio.gather(*(client.echo(OF_A, str(number)) for number in range(5)))
        assert (client.echoed(A), client.echoed(C)) == ([], ["0", "1", "2", "3", "4"])
        assert client.checked[-1] != [OF_A]  # it is still A that serves it
        memory.refusals.clear()
        await client.echo(OF_A, "last")
        assert client.echoed(A) == ["last"]


@pytest.mark.parametrize("refusal", [b"TRYAGAIN Multiple keys", b"CLUSTERDOWN The cluster is down"])
@on_manual_time
async def test_a_command_that_is_refused_for_a_moment_is_sent_again(memory: MemoryCluster, refusal: bytes) -> None:
    async with running(memory) as client:
        memory.refusals[OF_A] = refusal
        said = [client.echo(OF_A, str(number)) for number in range(3)]
        await asyncio.sleep(COMMAND_TIMEOUT / 2)
        memory.refusals.clear()
        await asyncio.gather(*said)
        assert client.echoed(A) == ["0", "1", "2"]


@on_manual_time
async def test_a_command_that_is_refused_until_its_deadline_raises_unavailable(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        memory.refusals[OF_A] = b"TRYAGAIN Multiple keys request during rehashing of slot"
        started = manual_clock().monotonic()
        said = client.echo(OF_A, "lost")
        with pytest.raises(Unavailable):
            await said
        assert manual_clock().monotonic() - started == pytest.approx(COMMAND_TIMEOUT)
        memory.refusals.clear()
        await client.echo(OF_A, "next")
        assert client.echoed(A) == ["next"]


@pytest.mark.parametrize("refusal", [b"TRYAGAIN Multiple keys", None], ids=["refused", "not answered"])
@on_manual_time
async def test_commands_fail_after_the_command_timeout_that_was_given(
    memory: MemoryCluster, refusal: bytes | None
) -> None:
    async with running(memory, command_timeout=7.0) as client:
        if refusal is None:
            memory.servers[A].mute = True
        else:
            memory.refusals[OF_A] = refusal
        started = manual_clock().monotonic()
        with pytest.raises(Unavailable):
            await client.echo(OF_A, "lost")
        assert manual_clock().monotonic() - started == pytest.approx(7.0)


@on_manual_time
async def test_two_servers_that_redirect_to_each_other_do_not_extend_the_deadline(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        memory.refusals[OF_A] = b"MOVED 1 c:6379"  # and C says that it is A's
        started = manual_clock().monotonic()
        with pytest.raises(Unavailable):
            await client.echo(OF_A, "lost")
        assert manual_clock().monotonic() - started == pytest.approx(COMMAND_TIMEOUT)


@on_manual_time
async def test_a_command_in_flight_on_a_lost_connection_is_not_repeated(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        memory.servers[A].mute = True
        maybe = client.echo(OF_A, "maybe")
        await turns(3)
        memory.servers[A].break_connection()
        memory.servers[A].mute = False
        with pytest.raises(Unavailable):
            await maybe
        await client.pipeline.connected.wait()
        await client.echo(OF_A, "next")
        assert client.echoed(A) == ["next"]


@on_manual_time
async def test_a_command_that_was_not_sent_before_the_loss_goes_behind_the_next_check(
    memory: MemoryCluster,
) -> None:
    async with running(memory) as client:
        memory.servers[A].break_connection()
        echo = client.echo(OF_A, "hi")  # before the loss is noticed
        checks = client.calls(A, SERVER_ENSURE)
        await echo
        assert client.echoed(A) == ["hi"]
        assert client.calls(A, SERVER_ENSURE) > checks
        verbs = [command[0] for command in memory.servers[A].executed]
        assert verbs[-1] == b"ECHO"


@on_manual_time
async def test_commands_to_a_replaced_master_are_executed_by_its_successor(memory: MemoryCluster) -> None:
    async with running(memory) as client:
        memory.servers[A].refuses_connections = True
        memory.servers[A].break_connection()
        await asyncio.sleep(1)
        for part, owner in enumerate(memory.owners):
            if owner == A:
                memory.move(part, B)
        await client.pipeline.connected.wait()
        await client.echo(OF_A, "hi")
        assert client.echoed(B) == ["hi"]


@on_manual_time
async def test_a_partition_that_can_not_be_checked_does_not_hold_up_the_others(
    memory: MemoryCluster,
) -> None:
    memory.refusals[OF_A] = b"TRYAGAIN Multiple keys request during rehashing of slot"
    async with running(memory) as client:
        await client.echo(OF_A + 1, "hi")
        assert client.echoed(A) == ["hi"]
        memory.refusals.clear()
        await asyncio.sleep(1)
        await client.echo(OF_A, "later")
        assert client.echoed(A) == ["hi", "later"]
