"""A real Valkey refuses a lease script half-way, for want of a right: no limit is exceeded, nothing stays behind."""

from contextlib import suppress

import pytest
from redis.exceptions import ResponseError

from tests.support.owner_leases import OwnerLeases
from tests.support.valkey import Valkey

A, B, C, D = "n1|1|a", "n2|1|b", "n3|1|c", "n3|2|d"
WRITES = ("del", "expire", "hdel", "hset", "sadd", "srem", "zadd", "zrem")
"""How the scripts of leases change something; but for HINCRBY, without which the counts of an owner differ."""


async def owner_with(valkey: Valkey, policy: str, *leases: str) -> OwnerLeases:
    """An agent of two sessions at most."""
    owner = OwnerLeases(valkey, max=2, policy=policy)
    await owner.identify_server()
    await owner.send_heartbeats("n1", "n2", "n3")
    for lease in leases:
        await owner.acquire(lease)
    return owner


@pytest.mark.parametrize("right", WRITES)
async def test_a_refused_acquire_leaves_nothing_once_it_is_released(valkey: Valkey, right: str) -> None:
    owner = await owner_with(valkey, "reject", A)
    async with valkey.refusing(right):
        with suppress(ResponseError):
            await owner.acquire(B)
    await owner.release(B)  # as a node does that does not know whether it was granted
    assert await owner.held() == [A]
    assert await owner.descriptions() == {A}
    assert [(await owner.acquire(lease))[0] for lease in (C, D)] == ["held", "full"]


@pytest.mark.parametrize("right", WRITES)
async def test_a_newcomer_is_granted_after_a_refused_release_of_what_it_waits_for(valkey: Valkey, right: str) -> None:
    owner = await owner_with(valkey, "evict_oldest", A, B, C)
    async with valkey.refusing(right):
        with suppress(ResponseError):
            await owner.release(A)
    assert (await owner.acquire(C, again=True))[0] in ("held", "wait")
    await owner.release(A)
    assert (await owner.acquire(C, again=True))[0] == "held"
    assert await owner.held() == [B, C]
    assert await owner.descriptions() == {B, C}


@pytest.mark.parametrize("right", WRITES)
async def test_a_lease_of_a_dead_node_is_replaced_in_spite_of_a_refusal(valkey: Valkey, right: str) -> None:
    owner = await owner_with(valkey, "reject", A, B)
    await owner.end_heartbeat("n1")
    async with valkey.refusing(right):
        with suppress(ResponseError):
            await owner.acquire(C)
    assert (await owner.acquire(C))[0] == "held"
    await owner.repair("n2", (B, "1"))
    assert await owner.held() == [B, C]
    assert await owner.descriptions() == {B, C}


@pytest.mark.parametrize("policy", ["reject", "evict_oldest"])
async def test_where_counts_differ_all_nodes_state_their_leases_before_one_is_granted(
    valkey: Valkey, policy: str
) -> None:
    owner = await owner_with(valkey, policy, A)
    async with valkey.refusing("hincrby"):
        with pytest.raises(ResponseError):
            await owner.acquire(B)
    assert (await owner.acquire(C))[0] == "recovering"
    assert await owner.losses("n1") == 1


@pytest.mark.parametrize("right", ["del", "hincrby", "hset"])
async def test_a_loss_is_not_forgotten_before_nodes_were_asked_to_state_their_leases(
    valkey: Valkey, right: str
) -> None:
    owner = await owner_with(valkey, "reject", A, B)
    await owner.delete("info")
    async with valkey.refusing(right):
        with pytest.raises(ResponseError):
            await owner.acquire(C)
    assert (await owner.acquire(C))[0] == "recovering"
    assert await owner.losses("n1") > 0


async def test_a_session_that_connects_again_replaces_its_lease_that_is_noted_as_waiting_still(valkey: Valkey) -> None:
    owner = await owner_with(valkey, "evict_oldest", A, B, C)
    await owner.release(A)
    await owner.note_waiting(C, A)
    assert (await owner.acquire("n1|2|c"))[:2] == ["wait", C]
    assert await owner.release(C) == "n1|2|c"
    assert await owner.held() == [B, "n1|2|c"]


async def test_a_repair_ends_a_wait_that_was_left_behind_a_grant(valkey: Valkey) -> None:
    owner = await owner_with(valkey, "evict_oldest", A, B, C)
    await owner.release(A)
    await owner.note_waiting(C, A)
    await owner.repair("n3", (C, "1"))
    assert [field for field in await owner.state() if field.startswith(("n|", "v|", "g|"))] == []
    assert await owner.held() == [B, C]
