"""What becomes of the leases of a dead process, and of the keys of its owners, which have no time to live."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tannoy.fanout.leases.calls import OWNERS_PER_SWEEP, LeaseCalls
from tannoy.fanout.presence.calls import PRESENCE_SCRIPTS, PresenceCalls
from tannoy.fanout.presence.sweeper import LEASES_AFTER, Sweeper
from tannoy.fanout.scripts import LEASE_DEAD
from tannoy.shared.channels import Owner, OwnerKind

from tests.support.owner_leases import OWNER, OwnerLeases
from tests.support.presence_room import RULES
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey

OF_OWNER = ("held", "info", "state")


async def test_leases_of_a_dead_process_are_freed_and_the_keys_of_its_owner_deleted(rejecting: OwnerLeases) -> None:
    await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n1|2|b")
    await rejecting.end_heartbeat("n1")
    assert await rejecting.free_dead("n1") == 2
    assert await rejecting.existing_keys() == {"nodes", "server"}


async def test_leases_of_a_living_process_are_not_freed(rejecting: OwnerLeases) -> None:
    await rejecting.acquire("n1|1|a")
    assert await rejecting.free_dead("n1") == 0
    assert (await rejecting.held(), await rejecting.owners("n1")) == (["n1|1|a"], {b"agent:42"})


async def test_leases_of_other_processes_stay(rejecting: OwnerLeases) -> None:
    await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n2|1|b")
    await rejecting.end_heartbeat("n1")
    await rejecting.free_dead("n1")
    assert (await rejecting.held(), await rejecting.descriptions()) == (["n2|1|b"], {"n2|1|b"})


async def test_a_newcomer_that_waits_for_a_lease_of_a_dead_process_is_granted_it(evicting: OwnerLeases) -> None:
    await evicting.acquire("n1|1|a")
    await evicting.acquire("n2|1|b")
    assert (await evicting.acquire("n3|1|c"))[0] == "wait"
    await evicting.end_heartbeat("n1")
    await evicting.free_dead("n1")
    assert await evicting.held() == ["n2|1|b", "n3|1|c"]


async def test_a_newcomer_of_a_dead_process_waits_no_longer(evicting: OwnerLeases) -> None:
    await evicting.acquire("n1|1|a")
    await evicting.acquire("n2|1|b")
    assert (await evicting.acquire("n3|1|c"))[0] == "wait"
    await evicting.end_heartbeat("n3")
    assert await evicting.free_dead("n3") == 1
    assert await evicting.held() == ["n1|1|a", "n2|1|b"]
    assert await evicting.state() == {"s|a", "s|b", ".g", ".kept"}


async def test_what_the_limit_rests_on_has_no_time_to_live(evicting: OwnerLeases, valkey: Valkey) -> None:
    _, generation = await evicting.acquire("n1|1|a")
    await evicting.acquire("n2|1|b")
    await evicting.acquire("n3|1|c")
    await evicting.repair("n1", ("n1|1|a", generation))
    for node in ("n1", "n2", "n3"):
        keys = evicting.keys(node)._asdict()
        kept = {name for name in keys if await valkey.run("TTL", keys[name]) == -1}
        assert kept == {*OF_OWNER, "nodes", "server", "owners"}


async def test_a_redis_that_evicts_keys_with_a_time_to_live_keeps_the_limit() -> None:
    async with Valkey("--maxmemory", "8mb", "--maxmemory-policy", "volatile-lru") as valkey:
        owner = OwnerLeases(valkey, max=2, policy="reject")
        await owner.identify_server()
        await owner.send_heartbeats("n1", "n2")
        await owner.acquire("n1|1|a")
        await owner.acquire("n2|1|b")
        for number in range(20):
            await valkey.run("SET", f"filler-{number}", "x" * 1_000_000, "EX", "1000")
        assert b"evicted_keys:0" not in await valkey.run("INFO", "stats")
        assert (await owner.acquire("n1|2|c"))[0] == "full"
        assert await owner.losses("n1") == 0


@asynccontextmanager
async def sweeping(valkey: Valkey, leases: OwnerLeases) -> AsyncGenerator[Sweeper]:
    """The sweeper of node n2."""
    async with open_pipeline(valkey, (*PRESENCE_SCRIPTS, LEASE_DEAD)) as pipeline:
        calls = LeaseCalls(pipeline, leases.keyspace, incarnation="n2")
        yield Sweeper(PresenceCalls(pipeline, leases.keyspace, RULES), calls.free_dead)


@pytest.mark.parametrize("owners", [1, 2 * OWNERS_PER_SWEEP + 1])
async def test_the_sweeper_leaves_nothing_of_a_dead_process(
    rejecting: OwnerLeases, valkey: Valkey, owners: int
) -> None:
    await rejecting.acquire("n1|1|a")
    others = (Owner(OwnerKind.AGENT, f"a{number}") for number in range(100_000))
    more = [owner for owner in others if owner.partition == OWNER.partition][: owners - 1]
    if more:
        await valkey.run("SADD", rejecting.keys("n1").owners, *(owner.member for owner in more))
    await rejecting.end_heartbeat("n1")
    async with sweeping(valkey, rejecting) as sweeper:
        for _ in range(LEASES_AFTER + 4):
            await sweeper.sweep()
    assert sweeper.statistics().dead_forgotten == 1
    assert await rejecting.existing_keys() == {"nodes", "server"}
    assert await valkey.run("ZSCORE", rejecting.keys("n1").nodes, "n1") is None


async def test_a_process_that_is_alive_again_keeps_its_leases(rejecting: OwnerLeases, valkey: Valkey) -> None:
    await rejecting.acquire("n1|1|a")
    async with sweeping(valkey, rejecting) as sweeper:
        for _ in range(2):
            await rejecting.end_heartbeat("n1")
            for _ in range(LEASES_AFTER):
                await sweeper.sweep()
            await rejecting.send_heartbeats("n1")
            await sweeper.sweep()
    assert (await rejecting.held(), await rejecting.owners("n1")) == (["n1|1|a"], {b"agent:42"})
