"""Acquiring a lease: what Redis may reply, and what a node does until it holds the lease."""

import asyncio

import pytest
from tannoy.fanout.control.requests import Evict, LeaseGranted
from tannoy.fanout.lease_times import DEFAULT_TIMES
from tannoy.fanout.leases.acquirer import ASK_AGAIN_SECONDS, HEARTBEAT_WAIT_SECONDS
from tannoy.fanout.script_batches import HOLD_SECONDS
from tannoy.fanout.scripts import LEASE_ACQUIRE
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import LimitReached, Unavailable
from tannoy.shared.sessions import CloseOrder

from tests.support.clock import on_manual_time, turns
from tests.support.scripted_leases import HELD, KEYSPACE, MAX, OWNER, WAIT, ScriptedLeases, generation, now

# ---- held, or full


@on_manual_time
async def test_an_acquired_lease_has_the_generation_of_the_reply() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    assert session.lease.generation == "17"
    assert process.counts("known", "acquired", "unreleased") == [1, 1, 0]


@on_manual_time
async def test_acquire_sends_the_lease_its_owner_and_the_limit() -> None:
    process = ScriptedLeases()
    await process.connect()
    (call,) = process.redis.calls
    assert call.keys == tuple(KEYSPACE.leases(OWNER, "me"))
    assert call.words == [b"me|1|s1", b'{"session_id":"s1"}', b"4", b"reject", b"agent:42", b"0"]


@on_manual_time
async def test_two_connections_of_one_session_have_two_leases() -> None:
    process = ScriptedLeases()
    first, second = await process.connect("s1"), await process.connect("s1")
    assert (first.lease.name, second.lease.name) == ("me|1|s1", "me|2|s1")


@on_manual_time
async def test_acquire_when_the_limit_is_reached_raises_it_and_releases_nothing() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, [b"full", 4, 3])
    with pytest.raises(LimitReached, match="agent 42 has 4 sessions, 3 are allowed") as refused:
        await process.connect()
    assert (refused.value.kind, refused.value.name, refused.value.count) == ("agent", "42", 4)
    assert process.released == []
    assert process.counts("known", "refused", "unreleased") == [0, 1, 0]


# ---- waiting for another session to be closed


@on_manual_time
async def test_waiting_for_a_lease_sends_evict_to_the_node_of_its_holder() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, HELD)
    await process.connect("s1")
    assert process.notices == [("other", Evict(OWNER, "other|9|s9", CloseCode.EVICTED, MAX, "s1"))]


@on_manual_time
async def test_waiting_for_a_lease_of_the_same_session_sends_evict_with_replaced() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, [b"wait", b"other|9|s1", b"", MAX, MAX], HELD)
    await process.connect("s1")
    assert process.notices == [("other", Evict(OWNER, "other|9|s1", CloseCode.REPLACED, MAX, "s1"))]


@on_manual_time
async def test_waiting_in_front_of_a_waiting_lease_evicts_that_one_too() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, [b"wait", b"a|1|s8", b"b|2|s9", MAX, MAX], HELD)
    await process.connect("s1")
    assert process.notices == [
        ("a", Evict(OWNER, "a|1|s8", CloseCode.EVICTED, MAX, "s1")),
        ("b", Evict(OWNER, "b|2|s9", CloseCode.EVICTED, MAX, "s1")),
    ]


@on_manual_time
async def test_a_granted_notice_ends_the_wait_of_acquire_at_once() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, HELD)
    before, session = now(), process.start()
    await turns(6)
    assert not session.acquiring.done()
    process.leases.handle_notice(LeaseGranted(OWNER, session.lease.name))
    await session.acquiring
    assert now() == before


@on_manual_time
async def test_a_granted_notice_before_the_reply_to_wait_is_not_lost() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, HELD)
    process.redis.hold(LEASE_ACQUIRE)
    before, session = now(), process.start()
    await turns()
    process.leases.handle_notice(LeaseGranted(OWNER, session.lease.name))
    process.redis.answer_held(LEASE_ACQUIRE)
    await session.acquiring
    assert now() == before


@on_manual_time
async def test_a_granted_notice_that_redis_does_not_confirm_is_followed_by_a_pause() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, WAIT, HELD)
    before, session = now(), process.start()
    await turns(6)
    process.leases.handle_notice(LeaseGranted(OWNER, session.lease.name))
    await session.acquiring
    assert now() - before == pytest.approx(ASK_AGAIN_SECONDS)


@on_manual_time
async def test_acquire_retries_without_a_granted_notice() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, WAIT, HELD)
    before = now()
    await process.connect()
    assert now() - before == pytest.approx(2 * ASK_AGAIN_SECONDS)
    assert process.has_waited == [b"0", b"1", b"1"]


@pytest.mark.parametrize(("namesake", "code"), [(b"", CloseCode.EVICTED), (b"other|3|s1", CloseCode.REPLACED)])
@on_manual_time
async def test_a_waiting_session_displaced_by_a_newer_one_is_closed(namesake: bytes, code: CloseCode) -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, [b"displaced", namesake])
    session = process.start()
    with pytest.raises(Unavailable, match="newer session"):
        await session.acquiring
    assert session.close_orders == [CloseOrder(code, OWNER)]
    assert process.released == ["me|1|s1"]
    assert process.counts("known", "unreleased") == [0, 1]
    await turns()
    assert process.counts("unreleased") == [0]


@on_manual_time
async def test_acquire_is_unavailable_at_the_deadline() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT)
    before = now()
    with pytest.raises(Unavailable, match="agent 42"):
        await process.connect()
    assert now() - before == pytest.approx(DEFAULT_TIMES.admission_seconds)
    assert (process.released, process.counts("known")) == (["me|1|s1"], [0])


# ---- a Redis that recovers, a node whose heartbeat has expired


@on_manual_time
async def test_acquire_from_a_recovering_redis_is_retried_after_its_delay_with_jitter() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, [b"recovering", 3000], HELD)
    before = now()
    await process.connect()
    assert 3 <= now() - before <= 3.1
    assert process.has_waited == [b"0", b"0"]


@on_manual_time
async def test_acquire_after_a_recovery_has_not_waited() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, [b"recovering", 1000], HELD)
    await process.connect()
    assert process.has_waited == [b"0", b"1", b"0"]


@on_manual_time
async def test_acquire_from_an_unknown_redis_requests_a_heartbeat_and_retries() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, [b"recovering", -1], HELD)
    before = now()
    await process.connect()
    assert process.heartbeat.beats_requested == 1
    assert 0.1 <= now() - before <= 0.2


@on_manual_time
async def test_acquire_by_a_fenced_node_requests_a_heartbeat_and_retries() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, [b"fenced"], HELD)
    before = now()
    await process.connect()
    assert process.heartbeat.beats_requested == 1
    assert now() - before == pytest.approx(HEARTBEAT_WAIT_SECONDS)


@on_manual_time
async def test_a_lease_granted_before_the_heartbeat_expired_is_acquired_again() -> None:
    process = ScriptedLeases()
    process.redis.hold(LEASE_ACQUIRE)
    session = process.start()
    await turns()
    process.heartbeat.expire()
    process.heartbeat.fence_if_expired()
    process.heartbeat.renew()
    process.redis.answer_held(LEASE_ACQUIRE)
    await turns(6)
    assert (session.acquiring.done(), session.lease.generation) == (False, "")
    process.redis.reply_with(LEASE_ACQUIRE, [b"held", b"18"])
    await session.acquiring
    assert generation(session.lease) == "18"


@on_manual_time
async def test_acquire_waits_while_the_heartbeat_has_expired() -> None:
    process = ScriptedLeases()
    process.heartbeat.expire()
    session = process.start()
    await asyncio.sleep(1)
    assert (session.acquiring.done(), session.lease.generation) == (False, "")
    assert process.heartbeat.beats_requested > 0
    process.heartbeat.renew()
    await session.acquiring
    assert generation(session.lease) == "17"


# ---- cancelled or unconfirmed


@on_manual_time
async def test_a_cancelled_acquire_releases_the_waiting_lease() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT)
    session = process.start()
    await turns(6)
    session.acquiring.cancel()
    await turns()
    assert session.acquiring.cancelled()
    assert process.released == ["me|1|s1"]
    assert process.counts("known", "unreleased") == [0, 0]


@on_manual_time
async def test_an_acquire_cancelled_before_the_reply_releases_the_lease() -> None:
    process = ScriptedLeases()
    process.redis.hold(LEASE_ACQUIRE)
    session = process.start()
    await turns()
    session.acquiring.cancel()
    await asyncio.sleep(HOLD_SECONDS * 1.5)
    assert process.released == ["me|1|s1"]


@on_manual_time
async def test_an_unconfirmed_acquire_releases_the_lease() -> None:
    process = ScriptedLeases()
    process.redis.leave_unconfirmed(LEASE_ACQUIRE)
    with pytest.raises(Unavailable):
        await process.connect()
    assert process.released == ["me|1|s1"]
    assert process.counts("known", "acquired") == [0, 0]
