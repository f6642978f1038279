"""The lease scripts after a loss, on a real Valkey: a new server recovers, and nodes restate their leases to it."""

from tannoy.fanout.lease_times import DEFAULT_TIMES

from tests.support.owner_leases import OwnerLeases
from tests.support.valkey import Valkey


async def test_acquire_before_the_server_is_identified_answers_recovering(valkey: Valkey) -> None:
    owner = OwnerLeases(valkey, max=2, policy="reject")
    await owner.send_heartbeats("n1")
    assert await owner.acquire("n1|1|a") == ["recovering", "-1"]
    await owner.identify_server()
    assert (await owner.acquire("n1|1|a"))[0] == "held"


async def test_acquire_on_a_new_server_waits_for_the_recovery_time(valkey: Valkey) -> None:
    owner = OwnerLeases(valkey, max=2, policy="reject")
    await owner.send_heartbeats("n1")
    await owner.identify_server(wait_ms=60_000)
    verdict, wait_ms = await owner.acquire("n1|1|a")
    assert verdict == "recovering"
    assert 0 < int(wait_ms) <= 60_000
    await owner.identify_server(wait_ms=0)
    assert (await owner.acquire("n1|1|a"))[0] == "recovering", "the server is known already, and the wait goes on"


async def test_repair_removes_leases_the_node_does_not_state_and_grants_reservations(evicting: OwnerLeases) -> None:
    _, generation = await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")
    await evicting.acquire("n2|2|d")
    missing, granted, surplus = await evicting.repair("n1", ("n1|1|a", generation))
    assert (missing, granted, surplus) == ([], ["n2|2|d"], [])
    assert await evicting.held() == ["n1|1|a", "n2|2|d"]


async def test_repair_returns_missing_leases_or_adds_them(rejecting: OwnerLeases) -> None:
    stated = ("n1|1|a", "1795000000000001")
    await rejecting.acquire("n2|1|b")
    assert await rejecting.repair("n1", stated) == [["n1|1|a"], [], []]
    assert await rejecting.held() == ["n2|1|b"]
    assert await rejecting.repair("n1", stated, adding=True) == [[], [], []]
    assert await rejecting.acquire("n1|1|a") == ["held", "1795000000000001"]


async def test_repair_leaves_leases_that_are_being_acquired(rejecting: OwnerLeases) -> None:
    await rejecting.acquire("n1|1|a")
    assert await rejecting.repair("n1", ("n1|1|a", ""), ("n1|2|b", "")) == [[], [], []]
    assert await rejecting.held() == ["n1|1|a"]


async def test_repair_leaves_leases_of_other_nodes(rejecting: OwnerLeases) -> None:
    await rejecting.acquire("n2|1|b")
    await rejecting.repair("n1")
    assert await rejecting.held() == ["n2|1|b"]


async def test_late_repair_leaves_leases_newer_than_it_states(rejecting: OwnerLeases) -> None:
    _, generation = await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n1|2|b")
    await rejecting.repair("n1", ("n1|1|a", generation), newest=1)
    assert await rejecting.held() == ["n1|1|a", "n1|2|b"]


async def test_repair_removes_reservations_the_node_does_not_state(evicting: OwnerLeases) -> None:
    _, generation = await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")
    await evicting.repair("n2")
    assert await evicting.release("n1|1|a", generation) == ""


async def test_recovery_after_a_clock_set_back_takes_at_most_one_lease_time(valkey: Valkey) -> None:
    owner = OwnerLeases(valkey, max=2, policy="reject")
    await owner.send_heartbeats("n1")
    await owner.identify_server(wait_ms=3_600_000)
    assert (await owner.acquire("n1|1|a"))[0] == "recovering"
    verdict, wait_ms = await owner.acquire("n1|1|a")
    assert (verdict, int(wait_ms) <= DEFAULT_TIMES.lease_ms) == ("recovering", True)


async def test_repair_during_recovery_reports_no_surplus(valkey: Valkey) -> None:
    owner = OwnerLeases(valkey, max=1, policy="reject")
    await owner.send_heartbeats("n1", "n2")
    await owner.identify_server(wait_ms=5000)
    await owner.repair("n1", ("n1|1|old", "1795000000000001"), adding=True)
    assert await owner.repair("n2", ("n2|1|new", "1795000000000002"), adding=True) == [[], [], []]
    assert len(await owner.held()) == 2


async def test_repair_during_recovery_reports_no_missing_leases(valkey: Valkey) -> None:
    owner = OwnerLeases(valkey, max=2, policy="reject")
    await owner.send_heartbeats("n1")
    stated = ("n1|1|a", "1795000000000001")
    assert await owner.repair("n1", stated) == [[], [], []]
    await owner.identify_server(wait_ms=5000)
    assert await owner.repair("n1", stated) == [[], [], []]


# ---- what a failover has left of those that wait


async def test_an_unstated_lease_makes_no_room_for_a_newcomer_during_recovery(evicting: OwnerLeases) -> None:
    """The former server may have granted it to another session, and its node has not stated that yet."""
    for lease in ("n1|1|a", "n1|2|b", "n2|1|c"):
        verdict, *_ = await evicting.acquire(lease)
    assert verdict == "wait"
    await evicting.begin_recovery()

    assert await evicting.repair("n1") == [[], [], []]
    assert await evicting.held() == []
    assert (await evicting.acquire("n2|1|c", again=True))[0] == "recovering"


async def test_a_released_lease_makes_no_room_for_a_newcomer_during_recovery(evicting: OwnerLeases) -> None:
    _, generation = await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    assert (await evicting.acquire("n2|1|c"))[0] == "wait"
    await evicting.begin_recovery()

    assert await evicting.release("n1|1|a", generation) == ""
    assert await evicting.held() == ["n1|2|b"]
    assert (await evicting.acquire("n2|1|c", again=True))[0] == "recovering"
