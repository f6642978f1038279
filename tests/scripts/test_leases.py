"""The lease scripts on a real Valkey: which session gets a lease, which waits, and which is evicted."""

import pytest

from tests.support.owner_leases import OwnerLeases
from tests.support.valkey import Valkey


async def test_acquire_grants_leases_up_to_the_limit_and_then_answers_full(rejecting: OwnerLeases) -> None:
    assert (await rejecting.acquire("n1|1|a"))[0] == "held"
    assert (await rejecting.acquire("n2|1|b"))[0] == "held"
    assert await rejecting.acquire("n1|2|c") == ["full", "2", "2"]
    assert await rejecting.held() == ["n1|1|a", "n2|1|b"]


async def test_acquire_of_a_held_lease_returns_the_same_generation(rejecting: OwnerLeases) -> None:
    first = await rejecting.acquire("n1|1|a")
    assert await rejecting.acquire("n1|1|a") == first
    assert await rejecting.held() == ["n1|1|a"]


async def test_generations_increase(rejecting: OwnerLeases) -> None:
    _, first = await rejecting.acquire("n1|1|a")
    _, second = await rejecting.acquire("n1|2|b")
    assert int(second) > int(first) > 10**15


async def test_acquire_after_a_release_is_granted(rejecting: OwnerLeases) -> None:
    _, generation = await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n1|2|b")
    assert await rejecting.release("n1|1|a", generation) == ""
    assert (await rejecting.acquire("n2|1|c"))[0] == "held"


async def test_release_of_another_generation_has_no_effect(rejecting: OwnerLeases) -> None:
    _, generation = await rejecting.acquire("n1|1|a")
    await rejecting.release("n1|1|a", str(int(generation) - 1))
    assert await rejecting.held() == ["n1|1|a"]


async def test_acquire_at_the_limit_removes_the_lease_of_a_dead_node(rejecting: OwnerLeases) -> None:
    await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n2|1|b")
    await rejecting.end_heartbeat("n1")
    assert (await rejecting.acquire("n2|2|c"))[0] == "held"
    assert await rejecting.held() == ["n2|1|b", "n2|2|c"]


async def test_acquire_by_a_node_without_a_heartbeat_is_fenced(rejecting: OwnerLeases) -> None:
    assert await rejecting.acquire("n9|1|a") == ["fenced"]
    assert await rejecting.held() == []


async def test_evict_oldest_reserves_the_oldest_lease_for_the_newcomer(evicting: OwnerLeases) -> None:
    _, generation = await evicting.acquire("n1|1|a")
    await evicting.acquire("n2|1|b")
    assert await evicting.acquire("n3|1|c") == ["wait", "n1|1|a", "", "2", "2"]
    assert await evicting.held() == ["n1|1|a", "n2|1|b"]

    assert await evicting.release("n1|1|a", generation) == "n3|1|c"

    assert await evicting.held() == ["n2|1|b", "n3|1|c"]
    assert (await evicting.acquire("n3|1|c"))[0] == "held"


async def test_acquire_does_not_wait_for_a_victim_on_a_dead_node(evicting: OwnerLeases) -> None:
    await evicting.acquire("n1|1|a")
    await evicting.acquire("n2|1|b")
    assert (await evicting.acquire("n3|1|c"))[0] == "wait"
    await evicting.end_heartbeat("n1")
    assert (await evicting.acquire("n3|1|c"))[0] == "held"
    assert await evicting.held() == ["n2|1|b", "n3|1|c"]


async def test_newcomers_beyond_the_limit_displace_the_longest_waiting_one(evicting: OwnerLeases) -> None:
    generations = {lease: (await evicting.acquire(lease))[1] for lease in ("n1|1|a", "n1|2|b")}
    assert await evicting.acquire("n2|1|c") == ["wait", "n1|1|a", "", "2", "2"]
    assert await evicting.acquire("n2|2|d") == ["wait", "n1|2|b", "", "2", "2"]
    assert await evicting.acquire("n2|3|e") == ["wait", "n1|1|a", "n2|1|c", "2", "2"]
    assert await evicting.acquire("n2|4|f") == ["wait", "n1|2|b", "n2|2|d", "2", "2"]
    assert await evicting.acquire("n2|5|g") == ["wait", "n1|1|a", "n2|3|e", "2", "2"]

    for victim, generation in generations.items():
        await evicting.release(victim, generation)

    assert await evicting.held() == ["n2|4|f", "n2|5|g"]


async def test_release_by_a_waiting_newcomer_removes_its_reservation(evicting: OwnerLeases) -> None:
    _, generation = await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")
    await evicting.release("n2|1|c")
    assert await evicting.release("n1|1|a", generation) == ""
    assert await evicting.held() == ["n1|2|b"]


async def test_reservation_of_a_dead_newcomer_does_not_count(evicting: OwnerLeases) -> None:
    _, generation = await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")
    await evicting.end_heartbeat("n2")
    assert await evicting.release("n1|1|a", generation) == ""
    assert (await evicting.acquire("n3|1|d"))[0] == "held"


async def test_session_that_reconnects_replaces_its_own_lease(rejecting: OwnerLeases) -> None:
    _, generation = await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n1|2|b")
    assert await rejecting.acquire("n2|1|a") == ["wait", "n1|1|a", "", "2", "2"]
    assert await rejecting.release("n1|1|a", generation) == "n2|1|a"
    assert await rejecting.held() == ["n1|2|b", "n2|1|a"]


async def test_session_that_reconnects_while_waiting_takes_over_its_reservation(rejecting: OwnerLeases) -> None:
    _, generation = await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n2|1|a")
    assert await rejecting.acquire("n2|2|a") == ["wait", "n1|1|a", "n2|1|a", "1", "2"]
    assert await rejecting.release("n1|1|a", generation) == "n2|2|a"
    assert await rejecting.held() == ["n2|2|a"]


async def test_session_on_a_dead_node_is_replaced_without_waiting(rejecting: OwnerLeases) -> None:
    await rejecting.acquire("n1|1|a")
    await rejecting.end_heartbeat("n1")
    assert (await rejecting.acquire("n2|1|a"))[0] == "held"
    assert await rejecting.held() == ["n2|1|a"]


async def test_releases_of_all_leases_remove_all_holders_and_reservations(evicting: OwnerLeases) -> None:
    _, first = await evicting.acquire("n1|1|a")
    _, second = await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")
    await evicting.release("n1|1|a", first)
    _, third = await evicting.acquire("n2|1|c")
    await evicting.release("n1|2|b", second)
    await evicting.release("n2|1|c", third)
    assert await evicting.leftovers() == 0


async def test_displaced_newcomer_stays_displaced_when_it_asks_again(evicting: OwnerLeases) -> None:
    await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    for newcomer in ("n2|1|c", "n2|2|d", "n2|3|e"):
        await evicting.acquire(newcomer)
    assert await evicting.acquire("n2|1|c", again=True) == ["displaced", ""]
    assert (await evicting.acquire("n2|3|e", again=True))[:2] == ["wait", "n1|1|a"]


async def test_heartbeat_returns_the_previous_state_of_the_node(valkey: Valkey) -> None:
    owner = OwnerLeases(valkey, max=2, policy="reject")
    assert await owner.send_heartbeats("n1", ms=-1) == ["unknown"]
    assert await owner.send_heartbeats("n1") == ["expired"]
    assert await owner.send_heartbeats("n1") == ["alive"]


@pytest.mark.parametrize(("policy", "goes"), [("reject", "n2|1|c"), ("evict_oldest", "n1|1|a")])
async def test_lower_limit_returns_the_surplus_leases(valkey: Valkey, policy: str, goes: str) -> None:
    owner = OwnerLeases(valkey, max=3, policy=policy)
    await owner.identify_server()
    await owner.send_heartbeats("n1", "n2")
    for lease in ("n1|1|a", "n1|2|b", "n2|1|c"):
        await owner.acquire(lease)
    assert await owner.set_limit(2, policy) == [goes]
    await owner.release(goes)
    assert await owner.set_limit(2, policy) == []


async def test_limit_of_the_owner_overrides_the_setting(rejecting: OwnerLeases) -> None:
    await rejecting.set_limit(1, "evict_oldest")
    await rejecting.acquire("n1|1|a")
    assert await rejecting.acquire("n2|1|b") == ["wait", "n1|1|a", "", "1", "1"]


async def test_acquire_with_many_leases_removes_those_of_dead_nodes(valkey: Valkey) -> None:
    owner = OwnerLeases(valkey, max=200, policy="reject")
    await owner.identify_server()
    await owner.send_heartbeats("n1", "n2")
    for number in range(200):
        await owner.acquire(f"n{1 + number % 2}|{number}|s{number}")
    await owner.end_heartbeat("n1")
    assert (await owner.acquire("n2|200|new"))[0] == "held"
    assert len(await owner.held()) == 101


async def test_newcomer_that_gives_up_leaves_the_name_to_the_held_lease(rejecting: OwnerLeases) -> None:
    await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n1|2|b")
    assert (await rejecting.acquire("n2|1|a"))[:2] == ["wait", "n1|1|a"]
    await rejecting.release("n2|1|a")
    assert (await rejecting.acquire("n2|2|a"))[:2] == ["wait", "n1|1|a"], "it still replaces its own lease"


async def test_reservation_of_a_dead_newcomer_is_dropped_for_the_next_one(evicting: OwnerLeases) -> None:
    await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")
    await evicting.end_heartbeat("n2")
    assert await evicting.acquire("n3|1|d") == ["wait", "n1|1|a", "", "2", "2"], "the oldest, for which c had waited"


async def test_session_being_evicted_can_replace_its_own_lease(evicting: OwnerLeases) -> None:
    _, first = await evicting.acquire("n1|1|a")
    _, second = await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")

    assert (await evicting.acquire("n3|1|a"))[:2] == ["wait", "n1|1|a"]

    assert (await evicting.acquire("n2|1|c", again=True))[:2] == ["wait", "n1|2|b"], "it waits for the next oldest"
    assert await evicting.release("n1|1|a", first) == "n3|1|a"
    assert await evicting.release("n1|2|b", second) == "n2|1|c"
    assert await evicting.held() == ["n2|1|c", "n3|1|a"]


async def test_session_being_evicted_displaces_the_newcomer_if_all_leases_are_reserved(evicting: OwnerLeases) -> None:
    await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")
    await evicting.acquire("n2|2|d")
    assert (await evicting.acquire("n3|1|a"))[:3] == ["wait", "n1|1|a", "n2|1|c"]


async def test_release_of_the_last_lease_deletes_the_keys_of_the_owner(rejecting: OwnerLeases, valkey: Valkey) -> None:
    _, generation = await rejecting.acquire("n1|1|a")
    await rejecting.release("n1|1|a", generation)
    assert await rejecting.existing_keys() == {"nodes", "server", "owners"}
