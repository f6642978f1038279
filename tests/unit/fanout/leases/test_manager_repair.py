"""Rerestating the leases of a process to Redis: what is sent, and what follows from the reply."""

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


# ---- what is sent


@pytest.mark.parametrize(("add_missing", "word"), [(True, b"1"), (False, b"0")])
@on_manual_time
async def test_restate_sends_held_leases_with_generation_and_info(add_missing: bool, word: bytes) -> None:
    process = ScriptedLeases()
    await process.connect("s1")
    await restate(process, add_missing=add_missing)
    (words,) = process.redis.arguments_of(LEASE_REPAIR)
    assert words == [
        b"6000",
        b"me",
        b"agent:42",
        b"4",
        b"reject",
        word,
        b"1",
        b"me|1|s1",
        b"17",
        b'{"session_id":"s1"}',
    ]


@on_manual_time
async def test_restate_sends_leases_being_acquired_without_a_generation() -> None:
    process = ScriptedLeases()
    process.redis.hold(LEASE_ACQUIRE)
    session = process.start()
    await turns()
    await restate(process)
    assert process.redis.arguments_of(LEASE_REPAIR)[0][6:] == [b"1", b"me|1|s1", b"", b'{"session_id":"s1"}']
    session.acquiring.cancel()


@on_manual_time
async def test_restate_of_a_partition_without_leases_sends_nothing() -> None:
    process = ScriptedLeases()
    await process.connect("s1")
    await restate(process, (PART + 1) % 64)
    assert process.redis.arguments_of(LEASE_REPAIR) == []


@on_manual_time
async def test_restate_sends_an_owner_known_only_to_redis_as_empty() -> None:
    process = ScriptedLeases()
    process.redis.reply_with("SMEMBERS", [b"agent:42"])
    await restate(process)
    assert process.redis.arguments_of("SMEMBERS") == [[KEYSPACE.owners_of_node(PART, "me")]]
    assert process.redis.arguments_of(LEASE_REPAIR) == [[b"6000", b"me", b"agent:42", b"4", b"reject", b"0", b"0"]]


@on_manual_time
async def test_restate_sends_the_number_of_the_newest_lease_of_any_owner() -> None:
    process = ScriptedLeases()
    await process.connect("s1")
    second, _ = await process.connect("s2"), await process.connect("s3", ADA)
    process.leases.release(second.lease)
    await restate(process)
    (words,) = process.redis.arguments_of(LEASE_REPAIR)
    assert words[6:] == [b"3", b"me|1|s1", b"17", b'{"session_id":"s1"}']


@on_manual_time
async def test_a_lease_acquired_during_restate_is_newer_than_the_number_sent() -> None:
    process = ScriptedLeases()
    await process.connect("s1")
    process.redis.hold(LEASE_REPAIR)
    restating = asyncio.create_task(restate(process))
    await turns()
    newer = await process.connect("s2")
    process.redis.answer_held(LEASE_REPAIR)
    await restating
    (words,) = process.redis.arguments_of(LEASE_REPAIR)
    assert (words[6], newer.lease.name, newer.close_orders) == (b"1", "me|2|s2", [])


@pytest.mark.parametrize("what", [LEASE_REPAIR, "SMEMBERS"], ids=["the script", "the owners"])
@on_manual_time
async def test_an_unconfirmed_restate_is_unavailable(what: object) -> None:
    process = ScriptedLeases()
    await process.connect()
    process.redis.leave_unconfirmed("SMEMBERS" if what == "SMEMBERS" else LEASE_REPAIR)
    with pytest.raises(Unavailable):
        await restate(process)


# ---- what follows from the reply


@on_manual_time
async def test_a_lease_missing_in_redis_is_lost_in_strict_mode() -> None:
    process = ScriptedLeases()
    first, second = await process.connect("s1"), await process.connect("s2")
    process.redis.reply_with(LEASE_REPAIR, [[b"me|2|s2"], [], [], b"reject", 1])
    await restate(process)
    assert (first.close_orders, second.close_orders) == ([], [CloseOrder(CloseCode.LEASE_LOST, OWNER)])
    assert process.counts("lost") == [1]


@on_manual_time
async def test_a_lease_missing_in_redis_becomes_local_in_available_mode() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await process.connect()
    process.redis.reply_with(LEASE_REPAIR, [[b"me|1|s1"], [], [], b"reject", 1])
    await restate(process)
    assert (session.close_orders, session.lease.is_local, session.lease.generation) == ([], True, "")


@on_manual_time
async def test_a_lease_released_during_restate_is_not_lost() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    process.redis.leave_unconfirmed(LEASE_RELEASE)
    process.redis.reply_with(LEASE_REPAIR, [[b"me|1|s1"], [], [], b"reject", 1])
    process.redis.hold(LEASE_REPAIR)
    restating = asyncio.create_task(restate(process))
    await turns()
    process.leases.release(session.lease)
    process.redis.answer_held(LEASE_REPAIR)
    await restating
    assert (session.close_orders, process.counts("lost")) == ([], [0])


@on_manual_time
async def test_a_lease_granted_by_restate_is_notified() -> None:
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
async def test_surplus_leases_found_by_restate_are_evicted(policy: LimitPolicy, code: CloseCode) -> None:
    process = ScriptedLeases()
    await process.connect()
    process.redis.reply_with(LEASE_REPAIR, [[], [], [b"other|2|s2"], policy.value.encode(), 9])
    await restate(process)
    assert process.notices == [("other", Evict(OWNER, "other|2|s2", code, 9, ""))]
