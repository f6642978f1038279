"""Keys of an agent's leases vanish from a real Valkey: no limit is exceeded, and what nodes hold is counted again."""

import pytest
from tannoy.fanout.lease_times import DEFAULT_TIMES

from tests.support.owner_leases import OwnerLeases
from tests.support.valkey import Valkey

A, B, C = "n1|1|a", "n2|1|b", "n2|2|c"
OF_LEASES = [("held",), ("info",), ("state",), ("held", "info"), ("held", "state"), ("info", "state")]
"""Whatever of these is left says that something was lost."""


class TwoHolders(OwnerLeases):
    """An agent with two leases, of n1 and n2: as many as its limit allows."""

    async def fill(self) -> None:
        await self.identify_server()
        await self.send_heartbeats("n1", "n2")
        self.stated = {lease: (lease, (await self.acquire(lease))[1]) for lease in (A, B)}

    async def state_all(self) -> None:
        """As each node does with its next heartbeat."""
        await self.repair("n1", self.stated[A])
        await self.repair("n2", self.stated[B])


async def two_holders(valkey: Valkey, policy: str) -> TwoHolders:
    owner = TwoHolders(valkey, max=2, policy=policy)
    await owner.fill()
    return owner


@pytest.fixture
async def full(valkey: Valkey) -> TwoHolders:
    return await two_holders(valkey, "reject")


@pytest.mark.parametrize("keys", OF_LEASES, ids=" and ".join)
async def test_no_lease_is_granted_before_the_nodes_have_stated_theirs(full: TwoHolders, keys: tuple[str, ...]) -> None:
    await full.delete(*keys)
    assert (await full.acquire(C))[0] == "recovering"
    await full.repair("n1", full.stated[A])
    assert (await full.acquire(C))[0] == "recovering"


@pytest.mark.parametrize("keys", OF_LEASES, ids=" and ".join)
async def test_stated_leases_are_held_again(full: TwoHolders, keys: tuple[str, ...]) -> None:
    await full.delete(*keys)
    await full.acquire(C)
    await full.state_all()
    await full.end_recovery()
    assert [await full.acquire(A), await full.acquire(B)] == [["held", full.stated[A][1]], ["held", full.stated[B][1]]]
    assert await full.acquire(C) == ["full", "2", "2"]
    assert await full.listed() == (2, "reject", 2)


@pytest.mark.parametrize("keys", [*OF_LEASES, ("held", "info", "state")], ids=" and ".join)
async def test_a_repair_finds_the_loss_by_itself(full: TwoHolders, keys: tuple[str, ...]) -> None:
    await full.delete(*keys)
    await full.state_all()
    assert await full.held() == [A, B]
    assert (await full.acquire(C))[0] == "recovering"


@pytest.mark.parametrize("keys", OF_LEASES, ids=" and ".join)
async def test_every_heartbeat_tells_of_the_loss(full: TwoHolders, keys: tuple[str, ...]) -> None:
    before = await full.losses("n2")
    await full.delete(*keys)
    await full.acquire(C)
    assert [await full.losses(node) for node in ("n1", "n2")] == [before + 1, before + 1]


async def test_a_lease_released_after_the_loss_is_not_held_again(full: TwoHolders) -> None:
    await full.delete("held")
    await full.release(*full.stated[A])
    await full.repair("n1")
    await full.repair("n2", full.stated[B])
    await full.end_recovery()
    assert (await full.acquire(C))[0] == "held"
    assert await full.held() == [B, C]


async def test_nothing_is_left_of_an_owner_whose_leases_have_ended(full: TwoHolders) -> None:
    await full.delete("info")
    await full.state_all()
    await full.end_recovery()
    for lease in (A, B):
        await full.release(*full.stated[lease])
    assert await full.leftovers() == 0


@pytest.mark.parametrize("keys", OF_LEASES, ids=" and ".join)
async def test_a_session_that_waits_for_an_eviction_waits_again(valkey: Valkey, keys: tuple[str, ...]) -> None:
    owner = await two_holders(valkey, "evict_oldest")
    assert (await owner.acquire(C))[:2] == ["wait", A]
    await owner.delete(*keys)
    assert (await owner.acquire(C, again=True))[0] == "recovering"
    await owner.state_all()
    await owner.end_recovery()
    assert (await owner.acquire(C))[:2] == ["wait", A]


@pytest.mark.parametrize("policy", ["reject", "evict_oldest"])
async def test_leases_of_a_node_whose_heartbeat_vanished_are_not_free(valkey: Valkey, policy: str) -> None:
    owner = await two_holders(valkey, policy)
    await owner.delete("nodes")
    assert await owner.acquire(C) == ["fenced"]
    await owner.send_heartbeats("n2")
    assert (await owner.acquire(C))[0] == {"reject": "full", "evict_oldest": "wait"}[policy]
    assert A in await owner.held()


async def test_leases_of_a_node_without_a_heartbeat_are_free_once_it_could_have_sent_one(
    full: TwoHolders, valkey: Valkey
) -> None:
    await full.delete("nodes")
    await full.send_heartbeats("n2")
    began = -float(await valkey.run("ZSCORE", full.keys("n1").nodes, ".since"))
    await valkey.run("ZADD", full.keys("n1").nodes, str(DEFAULT_TIMES.lease_ms - began), ".since")
    assert (await full.acquire(C))[0] == "held"
    assert await full.held() == [B, C]


async def test_a_repair_notes_the_owner_again(full: TwoHolders) -> None:
    await full.delete("owners")
    await full.repair("n1", full.stated[A])
    assert "owners" in await full.existing_keys()


@pytest.mark.parametrize("key", ["limit", "limits"])
async def test_a_limit_that_was_set_outlives_each_of_its_keys(full: TwoHolders, key: str) -> None:
    await full.set_limit(3, "evict_oldest")
    await full.delete(key)
    assert await full.listed() == (3, "evict_oldest", 2)
    await full.delete({"limit": "limits", "limits": "limit"}[key])
    assert (await full.acquire(C))[0] == "held"
    assert await full.listed() == (3, "evict_oldest", 3)
