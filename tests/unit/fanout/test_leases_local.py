"""`available` mode: whom a node lets in while Redis is away, and what becomes of them when it is back."""

import asyncio

import pytest
from tannoy.fanout.lease import Closing
from tannoy.fanout.scripts import LEASE_ACQUIRE
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.close import CloseCode
from tannoy.shared.errors import Unavailable
from tannoy.shared.policy import LimitMode

from tests.support.clock import on_manual_time, turns
from tests.unit.fanout.office import HELD, MAX, OWNER, WAIT, Guest, Office

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
    assert [await refused(guest) for guest in guests] == [False] * let_in + [True]
    assert [guest.lease.is_local for guest in guests] == [True] * let_in + [False]


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


# ---- confirmed once Redis is back


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
async def test_whoever_was_let_in_too_many_has_to_come_back_later() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    guest = await let_in_by_itself(office)
    office.redis.say(LEASE_ACQUIRE, [b"full", 5, MAX])
    await office.leases.confirm_local()
    assert guest.losses == [Closing(CloseCode.TRY_AGAIN_LATER, OWNER, 5)]


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
    await let_in_by_itself(office)
    second = await let_in_by_itself(office)
    office.redis.hold(LEASE_ACQUIRE)
    confirming = asyncio.create_task(office.leases.confirm_local())
    await turns()
    office.leases.release(second.lease)
    office.redis.answer_held(LEASE_ACQUIRE)
    await confirming
    assert [words[0] for words in office.redis.asked(LEASE_ACQUIRE)] == [b"me|1|s1"]
