"""`available` mode: whom a node lets in while Redis is away, and what becomes of them when it is back."""

import asyncio

import pytest
from tannoy.fanout.leases.manager import CONFIRMED_AT_ONCE
from tannoy.fanout.redis.in_flight import DEADLINE
from tannoy.fanout.scripts import LEASE_ACQUIRE, LEASE_RELEASE
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import Unavailable
from tannoy.shared.policy import LimitMode
from tannoy.shared.sessions import CloseOrder

from tests.support.clock import on_manual_time, turns
from tests.unit.fanout.leases.office import HELD, MAX, OWNER, WAIT, Guest, Office, now

ADA = Owner(OwnerKind.USER, "ada")

# ---- let in while Redis is away


async def refused(guest: Guest) -> bool:
    try:
        await guest.arrival
    except Unavailable:
        return True
    return False


@pytest.mark.parametrize(("nodes", "let_in"), [(1, 4), (2, 2), (3, 1), (100, 1)])
@on_manual_time
async def test_in_available_mode_a_node_lets_in_its_share_and_no_more(nodes: int, let_in: int) -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    office.heartbeat.nodes_alive = nodes
    office.redis.lose()
    guests = [office.comes(f"s{number}") for number in range(let_in + 1)]
    turned_away = [await refused(guest) for guest in guests]  # any of them: all have waited equally long
    assert turned_away.count(False) == let_in
    assert [guest.lease.is_local for guest in guests] == [not away for away in turned_away]


@on_manual_time
async def test_the_share_is_each_owners_own() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    office.heartbeat.nodes_alive = 100
    office.redis.lose()
    for number in range(3):
        assert not await refused(office.comes("s1", Owner(OwnerKind.AGENT, str(number))))


@on_manual_time
async def test_where_there_is_no_limit_everybody_is_let_in() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    office.redis.lose()
    for number in range(20):
        assert not await refused(office.comes(f"s{number}", ADA))


@on_manual_time
async def test_a_redis_that_is_there_but_does_not_confirm_is_not_decided_for() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    office.redis.refuse(LEASE_ACQUIRE)
    assert await refused(office.comes())


@on_manual_time
async def test_in_strict_mode_nobody_is_let_in_while_redis_is_away() -> None:
    office = Office()
    office.redis.lose()
    assert await refused(office.comes())


@pytest.mark.parametrize("mode", LimitMode)
@on_manual_time
async def test_while_redis_is_away_it_is_waited_for_no_longer_than_the_deadline_and_never_asked(
    mode: LimitMode,
) -> None:
    office = Office(mode=mode)
    office.redis.lose()
    before = now()
    assert await refused(office.comes()) is (mode is LimitMode.STRICT)
    assert now() - before == pytest.approx(DEADLINE)
    office.redis.connect()
    office.leases.release_again()
    await turns()
    assert (office.redis.calls, office.counts("unreleased")) == ([], [0])


@pytest.mark.parametrize("mode", LimitMode)
@on_manual_time
async def test_a_redis_that_comes_back_in_time_is_asked(mode: LimitMode) -> None:
    office = Office(mode=mode)
    office.redis.lose()
    guest = office.comes()
    await asyncio.sleep(DEADLINE / 2)
    assert office.redis.calls == []
    office.redis.connect()
    await guest.arrival
    assert (guest.lease.is_local, guest.lease.generation) == (False, "17")
    office.leases.release(guest.lease)
    assert office.released == ["me|1|s1"]


@on_manual_time
async def test_whoever_was_let_in_and_goes_before_redis_has_heard_of_it_has_nothing_to_give_back() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    guest = await let_in_by_itself(office)
    office.leases.release(guest.lease)
    assert (office.redis.calls, office.counts("known", "unreleased")) == ([], [0, 0])


@on_manual_time
async def test_whoever_gives_up_before_redis_was_asked_has_nothing_to_give_back() -> None:
    office = Office()
    office.redis.lose()
    guest = office.comes()
    await turns()
    guest.arrival.cancel()
    await turns()
    office.redis.connect()
    office.leases.release_again()
    assert (office.redis.calls, office.counts("known", "unreleased")) == ([], [0, 0])


# ---- confirmed once Redis is back


def asked_for(office: Office) -> list[str]:
    return [words[0].decode() for words in office.redis.asked(LEASE_ACQUIRE)]


async def let_in_together(office: Office, count: int) -> list[Guest]:
    """Guests whose owner has no limit."""
    office.redis.lose()
    guests = [office.comes(f"s{number}", ADA) for number in range(count)]
    await asyncio.gather(*(guest.arrival for guest in guests))
    office.redis.connect()
    return guests


async def let_in_by_itself(office: Office) -> Guest:
    office.redis.lose()
    guest = await office.admitted()
    office.redis.connect()
    office.redis.calls.clear()
    return guest


@on_manual_time
async def test_whoever_was_let_in_gets_a_place_once_redis_is_back() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    guest = await let_in_by_itself(office)
    await office.leases.confirm_local()
    assert (guest.lease.is_local, guest.lease.generation, guest.losses) == (False, "17", [])
    await office.leases.confirm_local()
    assert len(office.redis.asked(LEASE_ACQUIRE)) == 1


@on_manual_time
async def test_whoever_was_let_in_and_has_got_its_place_gives_it_back_when_it_goes() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    guest = await let_in_by_itself(office)
    await office.leases.confirm_local()
    office.leases.release(guest.lease)
    await turns()
    assert office.redis.asked(LEASE_RELEASE) == [[b"me|1|s1", b"17"]]
    assert office.counts("known", "unreleased") == [0, 0]


@on_manual_time
async def test_whoever_was_let_in_too_many_has_to_come_back_later() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    guest = await let_in_by_itself(office)
    office.redis.say(LEASE_ACQUIRE, [b"full", 5, MAX])
    await office.leases.confirm_local()
    assert guest.losses == [CloseOrder(CloseCode.TRY_AGAIN_LATER, OWNER, 5)]


@on_manual_time
async def test_whoever_has_to_wait_for_its_place_is_asked_for_again_next_time() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    guest = await let_in_by_itself(office)
    office.redis.say(LEASE_ACQUIRE, WAIT, WAIT, HELD)
    await office.leases.confirm_local()
    assert (guest.lease.is_local, guest.losses) == (True, [])
    await office.leases.confirm_local()
    await office.leases.confirm_local()
    assert guest.lease.generation == "17"


@on_manual_time
async def test_while_redis_does_not_confirm_whoever_was_let_in_stays() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    guest = await let_in_by_itself(office)
    office.redis.refuse(LEASE_ACQUIRE)
    with pytest.raises(Unavailable):
        await office.leases.confirm_local()
    assert (guest.lease.is_local, guest.losses) == (True, [])


@on_manual_time
async def test_whoever_goes_before_its_turn_to_be_confirmed_takes_no_place() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    *others, last = await let_in_together(office, CONFIRMED_AT_ONCE + 1)
    office.redis.hold(LEASE_ACQUIRE)
    confirming = asyncio.create_task(office.leases.confirm_local())
    await turns()
    office.leases.release(last.lease)
    office.redis.answer_held(LEASE_ACQUIRE)
    await confirming
    assert asked_for(office) == [guest.lease.name for guest in others]
    assert office.released == [], "Redis has never heard of it"


@on_manual_time
async def test_no_more_places_than_the_bound_are_confirmed_at_once() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    guests = await let_in_together(office, 2 * CONFIRMED_AT_ONCE + 1)
    office.redis.hold(LEASE_ACQUIRE)
    confirming = asyncio.create_task(office.leases.confirm_local())
    await turns(6)
    assert asked_for(office) == [guest.lease.name for guest in guests[:CONFIRMED_AT_ONCE]]
    office.redis.answer_held(LEASE_ACQUIRE, CONFIRMED_AT_ONCE)
    await turns(6)
    assert asked_for(office) == [guest.lease.name for guest in guests[: 2 * CONFIRMED_AT_ONCE]]
    office.redis.answer_held(LEASE_ACQUIRE)
    await confirming
    assert asked_for(office) == [guest.lease.name for guest in guests]
    assert {(guest.lease.is_local, guest.lease.generation) for guest in guests} == {(False, "17")}


@on_manual_time
async def test_whoever_has_to_wait_holds_up_nobody_who_is_asked_for_with_it() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    waits, stays = await let_in_together(office, 2)
    office.redis.say(LEASE_ACQUIRE, WAIT, HELD)
    office.redis.hold(LEASE_ACQUIRE)
    confirming = asyncio.create_task(office.leases.confirm_local())
    await turns()
    office.redis.answer_held(LEASE_ACQUIRE, 2)
    await turns()
    assert (waits.lease.is_local, stays.lease.is_local) == (True, False)
    await confirming


@on_manual_time
async def test_whoever_goes_while_its_place_is_asked_for_gives_it_back() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    guest = await let_in_by_itself(office)
    office.redis.hold(LEASE_ACQUIRE)
    confirming = asyncio.create_task(office.leases.confirm_local())
    await turns()
    office.leases.release(guest.lease)
    office.redis.answer_held(LEASE_ACQUIRE)
    await confirming
    await turns()
    assert set(office.released) == {"me|1|s1"}
    assert office.counts("known", "unreleased") == [0, 0]
