"""What a process states of its places, and what it does about the answers."""

import asyncio

import pytest
from tannoy.fanout.control.requests import Evict, LeaseGranted
from tannoy.fanout.scripts import LEASE_ACQUIRE, LEASE_RELEASE, LEASE_REPAIR
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import Unavailable
from tannoy.shared.policy import LimitMode, LimitPolicy
from tannoy.shared.sessions import CloseOrder

from tests.support.clock import on_manual_time, turns
from tests.unit.fanout.leases.office import KEYSPACE, OWNER, Office

ADA = Owner(OwnerKind.USER, "ada")
PART = OWNER.partition


async def restate(office: Office, *partitions: int, adding: bool = False) -> None:
    await office.leases.restate(office.redis, partitions or (PART,), adding)


# ---- stating


@pytest.mark.parametrize(("adding", "word"), [(True, b"1"), (False, b"0")])
@on_manual_time
async def test_what_is_held_is_stated_with_its_generation_and_its_info(adding: bool, word: bytes) -> None:
    office = Office()
    await office.admitted("s1")
    await restate(office, adding=adding)
    (words,) = office.redis.asked(LEASE_REPAIR)
    assert words == [b"me", b"agent:42", b"4", b"reject", word, b"1", b"me|1|s1", b"17", b'{"session_id":"s1"}']


@on_manual_time
async def test_what_is_only_asked_for_is_stated_without_a_generation() -> None:
    office = Office()
    office.redis.hold(LEASE_ACQUIRE)
    guest = office.comes()
    await turns()
    await restate(office)
    assert office.redis.asked(LEASE_REPAIR)[0][5:] == [b"1", b"me|1|s1", b"", b'{"session_id":"s1"}']
    guest.arrival.cancel()


@on_manual_time
async def test_where_nothing_is_held_nothing_is_stated() -> None:
    office = Office()
    await office.admitted("s1")
    await restate(office, (PART + 1) % 64)
    assert office.redis.asked(LEASE_REPAIR) == []


@on_manual_time
async def test_owners_of_whom_only_redis_knows_are_stated_to_be_empty() -> None:
    office = Office()
    office.redis.say("SMEMBERS", [b"agent:42"])
    await restate(office)
    assert office.redis.asked("SMEMBERS") == [[KEYSPACE.owners_of_node(PART, "me")]]
    assert office.redis.asked(LEASE_REPAIR) == [[b"me", b"agent:42", b"4", b"reject", b"0", b"0"]]


@on_manual_time
async def test_with_what_is_stated_goes_which_lease_was_the_newest_whoever_has_it() -> None:
    office = Office()
    await office.admitted("s1")
    second, _ = await office.admitted("s2"), await office.admitted("s3", ADA)
    office.leases.release(second.lease)
    await restate(office)
    (words,) = office.redis.asked(LEASE_REPAIR)
    assert words[5:] == [b"3", b"me|1|s1", b"17", b'{"session_id":"s1"}']


@on_manual_time
async def test_whoever_comes_behind_the_statement_is_newer_than_what_it_says() -> None:
    office = Office()
    await office.admitted("s1")
    office.redis.hold(LEASE_REPAIR)
    stating = asyncio.create_task(restate(office))
    await turns()
    newcomer = await office.admitted("s2")
    office.redis.answer_held(LEASE_REPAIR)
    await stating
    (words,) = office.redis.asked(LEASE_REPAIR)
    assert (words[5], newcomer.lease.name, newcomer.losses) == (b"1", "me|2|s2", [])


@pytest.mark.parametrize("what", [LEASE_REPAIR, "SMEMBERS"], ids=["the script", "the owners"])
@on_manual_time
async def test_what_redis_does_not_confirm_is_told_to_whoever_states(what: object) -> None:
    office = Office()
    await office.admitted()
    office.redis.refuse("SMEMBERS" if what == "SMEMBERS" else LEASE_REPAIR)
    with pytest.raises(Unavailable):
        await restate(office)


# ---- what comes of it


@on_manual_time
async def test_in_strict_mode_a_place_that_redis_does_not_know_is_lost() -> None:
    office = Office()
    first, second = await office.admitted("s1"), await office.admitted("s2")
    office.redis.say(LEASE_REPAIR, [[b"me|2|s2"], [], [], b"reject", 1])
    await restate(office)
    assert (first.losses, second.losses) == ([], [CloseOrder(CloseCode.LEASE_LOST, OWNER)])
    assert office.counts("lost") == [1]


@on_manual_time
async def test_in_available_mode_it_is_kept_until_it_can_be_confirmed() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    guest = await office.admitted()
    office.redis.say(LEASE_REPAIR, [[b"me|1|s1"], [], [], b"reject", 1])
    await restate(office)
    assert (guest.losses, guest.lease.is_local, guest.lease.generation) == ([], True, "")


@on_manual_time
async def test_a_place_that_was_given_back_meanwhile_is_nobodys_loss() -> None:
    office = Office()
    guest = await office.admitted()
    office.redis.refuse(LEASE_RELEASE)
    office.redis.say(LEASE_REPAIR, [[b"me|1|s1"], [], [], b"reject", 1])
    office.redis.hold(LEASE_REPAIR)
    stating = asyncio.create_task(restate(office))
    await turns()
    office.leases.release(guest.lease)
    office.redis.answer_held(LEASE_REPAIR)
    await stating
    assert (guest.losses, office.counts("lost")) == ([], [0])


@on_manual_time
async def test_whoever_gets_a_place_by_it_is_told() -> None:
    office = Office()
    await office.admitted()
    office.redis.say(LEASE_REPAIR, [[], [b"other|2|s2"], [], b"reject", 1])
    await restate(office)
    assert office.told == [("other", LeaseGranted(OWNER, "other|2|s2"))]


@pytest.mark.parametrize(
    ("policy", "code"),
    [(LimitPolicy.REJECT, CloseCode.TRY_AGAIN_LATER), (LimitPolicy.EVICT_OLDEST, CloseCode.EVICTED)],
)
@on_manual_time
async def test_whoever_is_too_many_is_sent_away(policy: LimitPolicy, code: CloseCode) -> None:
    office = Office()
    await office.admitted()
    office.redis.say(LEASE_REPAIR, [[], [], [b"other|2|s2"], policy.value.encode(), 9])
    await restate(office)
    assert office.told == [("other", Evict(OWNER, "other|2|s2", code, 9, ""))]
