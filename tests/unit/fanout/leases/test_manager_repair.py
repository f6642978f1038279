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
from tests.support.scripted_leases import KEYSPACE, OWNER, ScriptedLeases

ADA = Owner(OwnerKind.USER, "ada")
PART = OWNER.partition


async def restate(process: ScriptedLeases, *partitions: int, add_missing: bool = False) -> None:
    await process.leases.restate(process.redis, partitions or (PART,), add_missing=add_missing)


# ---- stating


@pytest.mark.parametrize(("adding", "word"), [(True, b"1"), (False, b"0")])
@on_manual_time
async def test_what_is_held_is_stated_with_its_generation_and_its_info(adding: bool, word: bytes) -> None:
    process = ScriptedLeases()
    await process.connect("s1")
    await restate(process, add_missing=adding)
    (words,) = process.redis.arguments_of(LEASE_REPAIR)
    assert words == [b"me", b"agent:42", b"4", b"reject", word, b"1", b"me|1|s1", b"17", b'{"session_id":"s1"}']


@on_manual_time
async def test_what_is_only_asked_for_is_stated_without_a_generation() -> None:
    process = ScriptedLeases()
    process.redis.hold(LEASE_ACQUIRE)
    session = process.start()
    await turns()
    await restate(process)
    assert process.redis.arguments_of(LEASE_REPAIR)[0][5:] == [b"1", b"me|1|s1", b"", b'{"session_id":"s1"}']
    session.acquiring.cancel()


@on_manual_time
async def test_where_nothing_is_held_nothing_is_stated() -> None:
    process = ScriptedLeases()
    await process.connect("s1")
    await restate(process, (PART + 1) % 64)
    assert process.redis.arguments_of(LEASE_REPAIR) == []


@on_manual_time
async def test_owners_of_whom_only_redis_knows_are_stated_to_be_empty() -> None:
    process = ScriptedLeases()
    process.redis.reply_with("SMEMBERS", [b"agent:42"])
    await restate(process)
    assert process.redis.arguments_of("SMEMBERS") == [[KEYSPACE.owners_of_node(PART, "me")]]
    assert process.redis.arguments_of(LEASE_REPAIR) == [[b"me", b"agent:42", b"4", b"reject", b"0", b"0"]]


@on_manual_time
async def test_with_what_is_stated_goes_which_lease_was_the_newest_whoever_has_it() -> None:
    process = ScriptedLeases()
    await process.connect("s1")
    second, _ = await process.connect("s2"), await process.connect("s3", ADA)
    process.leases.release(second.lease)
    await restate(process)
    (words,) = process.redis.arguments_of(LEASE_REPAIR)
    assert words[5:] == [b"3", b"me|1|s1", b"17", b'{"session_id":"s1"}']


@on_manual_time
async def test_whoever_comes_behind_the_statement_is_newer_than_what_it_says() -> None:
    process = ScriptedLeases()
    await process.connect("s1")
    process.redis.hold(LEASE_REPAIR)
    stating = asyncio.create_task(restate(process))
    await turns()
    newcomer = await process.connect("s2")
    process.redis.answer_held(LEASE_REPAIR)
    await stating
    (words,) = process.redis.arguments_of(LEASE_REPAIR)
    assert (words[5], newcomer.lease.name, newcomer.close_orders) == (b"1", "me|2|s2", [])


@pytest.mark.parametrize("what", [LEASE_REPAIR, "SMEMBERS"], ids=["the script", "the owners"])
@on_manual_time
async def test_what_redis_does_not_confirm_is_told_to_whoever_states(what: object) -> None:
    process = ScriptedLeases()
    await process.connect()
    process.redis.leave_unconfirmed("SMEMBERS" if what == "SMEMBERS" else LEASE_REPAIR)
    with pytest.raises(Unavailable):
        await restate(process)


# ---- what comes of it


@on_manual_time
async def test_in_strict_mode_a_place_that_redis_does_not_know_is_lost() -> None:
    process = ScriptedLeases()
    first, second = await process.connect("s1"), await process.connect("s2")
    process.redis.reply_with(LEASE_REPAIR, [[b"me|2|s2"], [], [], b"reject", 1])
    await restate(process)
    assert (first.close_orders, second.close_orders) == ([], [CloseOrder(CloseCode.LEASE_LOST, OWNER)])
    assert process.counts("lost") == [1]


@on_manual_time
async def test_in_available_mode_it_is_kept_until_it_can_be_confirmed() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await process.connect()
    process.redis.reply_with(LEASE_REPAIR, [[b"me|1|s1"], [], [], b"reject", 1])
    await restate(process)
    assert (session.close_orders, session.lease.is_local, session.lease.generation) == ([], True, "")


@on_manual_time
async def test_a_place_that_was_given_back_meanwhile_is_nobodys_loss() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    process.redis.leave_unconfirmed(LEASE_RELEASE)
    process.redis.reply_with(LEASE_REPAIR, [[b"me|1|s1"], [], [], b"reject", 1])
    process.redis.hold(LEASE_REPAIR)
    stating = asyncio.create_task(restate(process))
    await turns()
    process.leases.release(session.lease)
    process.redis.answer_held(LEASE_REPAIR)
    await stating
    assert (session.close_orders, process.counts("lost")) == ([], [0])


@on_manual_time
async def test_whoever_gets_a_place_by_it_is_told() -> None:
    process = ScriptedLeases()
    await process.connect()
    process.redis.reply_with(LEASE_REPAIR, [[], [b"other|2|s2"], [], b"reject", 1])
    await restate(process)
    assert process.notices == [("other", LeaseGranted(OWNER, "other|2|s2"))]


@pytest.mark.parametrize(
    ("policy", "code"),
    [(LimitPolicy.REJECT, CloseCode.TRY_AGAIN_LATER), (LimitPolicy.EVICT_OLDEST, CloseCode.EVICTED)],
)
@on_manual_time
async def test_whoever_is_too_many_is_sent_away(policy: LimitPolicy, code: CloseCode) -> None:
    process = ScriptedLeases()
    await process.connect()
    process.redis.reply_with(LEASE_REPAIR, [[], [], [b"other|2|s2"], policy.value.encode(), 9])
    await restate(process)
    assert process.notices == [("other", Evict(OWNER, "other|2|s2", code, 9, ""))]
