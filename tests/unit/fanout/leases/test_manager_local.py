"""`available` mode: the leases that a node grants locally without Redis, and their confirmation once it is back."""

import asyncio

import pytest
from tannoy.fanout.leases.manager import CONFIRM_AT_ONCE
from tannoy.fanout.redis.in_flight import COMMAND_TIMEOUT
from tannoy.fanout.scripts import LEASE_ACQUIRE, LEASE_RELEASE
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import Unavailable
from tannoy.shared.policy import LimitMode
from tannoy.shared.sessions import CloseOrder

from tests.support.clock import on_manual_time, turns
from tests.support.scripted_leases import HELD, MAX, OWNER, WAIT, ScriptedLeases, ScriptedSession, now

ADA = Owner(OwnerKind.USER, "ada")

# ---- granted locally without Redis


async def refused(session: ScriptedSession) -> bool:
    try:
        await session.acquiring
    except Unavailable:
        return True
    return False


@pytest.mark.parametrize(("nodes", "admitted"), [(1, 4), (2, 2), (3, 1), (100, 1)])
@on_manual_time
async def test_a_node_without_redis_admits_only_its_share_in_available_mode(nodes: int, admitted: int) -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    process.heartbeat.nodes_alive = nodes
    process.redis.disconnect()
    sessions = [process.start(f"s{number}") for number in range(admitted + 1)]
    refusals = [await refused(session) for session in sessions]  # any of them: all have waited equally long
    assert refusals.count(False) == admitted
    assert [session.lease.is_local for session in sessions] == [not refusal for refusal in refusals]


@on_manual_time
async def test_the_share_is_counted_per_owner() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    process.heartbeat.nodes_alive = 100
    process.redis.disconnect()
    for number in range(3):
        assert not await refused(process.start("s1", Owner(OwnerKind.AGENT, str(number))))


@on_manual_time
async def test_a_node_without_redis_admits_all_sessions_of_an_owner_without_a_limit() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    process.redis.disconnect()
    for number in range(20):
        assert not await refused(process.start(f"s{number}", ADA))


@on_manual_time
async def test_a_connected_redis_that_does_not_confirm_admits_no_session_locally() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    process.redis.leave_unconfirmed(LEASE_ACQUIRE)
    assert await refused(process.start())


@on_manual_time
async def test_a_node_without_redis_admits_no_session_in_strict_mode() -> None:
    process = ScriptedLeases()
    process.redis.disconnect()
    assert await refused(process.start())


@pytest.mark.parametrize("mode", LimitMode)
@on_manual_time
async def test_acquire_without_redis_ends_at_the_command_timeout_and_sends_nothing(
    mode: LimitMode,
) -> None:
    process = ScriptedLeases(mode=mode)
    process.redis.disconnect()
    before = now()
    assert await refused(process.start()) is (mode is LimitMode.STRICT)
    assert now() - before == pytest.approx(COMMAND_TIMEOUT)
    process.redis.connect()
    process.leases.send_pending_releases()
    await turns()
    assert (process.redis.calls, process.counts("unreleased")) == ([], [0])


@pytest.mark.parametrize("mode", LimitMode)
@on_manual_time
async def test_acquire_is_sent_when_redis_reconnects_within_the_timeout(mode: LimitMode) -> None:
    process = ScriptedLeases(mode=mode)
    process.redis.disconnect()
    session = process.start()
    await asyncio.sleep(COMMAND_TIMEOUT / 2)
    assert process.redis.calls == []
    process.redis.connect()
    await session.acquiring
    assert (session.lease.is_local, session.lease.generation) == (False, "17")
    process.leases.release(session.lease)
    await turns()
    assert process.released == ["me|1|s1"]


@on_manual_time
async def test_a_local_lease_released_before_it_is_confirmed_sends_no_release() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await with_a_local_lease(process)
    process.leases.release(session.lease)
    assert (process.redis.calls, process.counts("known", "unreleased")) == ([], [0, 0])


@on_manual_time
async def test_an_acquire_cancelled_before_it_was_sent_sends_no_release() -> None:
    process = ScriptedLeases()
    process.redis.disconnect()
    session = process.start()
    await turns()
    session.acquiring.cancel()
    await turns()
    process.redis.connect()
    process.leases.send_pending_releases()
    assert (process.redis.calls, process.counts("known", "unreleased")) == ([], [0, 0])


# ---- confirmed once Redis is back


def requested_leases(process: ScriptedLeases) -> list[str]:
    return [words[0].decode() for words in process.redis.arguments_of(LEASE_ACQUIRE)]


async def with_local_leases(process: ScriptedLeases, count: int) -> list[ScriptedSession]:
    """Sessions of an owner without a limit, with local leases."""
    process.redis.disconnect()
    sessions = [process.start(f"s{number}", ADA) for number in range(count)]
    await asyncio.gather(*(session.acquiring for session in sessions))
    process.redis.connect()
    return sessions


async def with_a_local_lease(process: ScriptedLeases) -> ScriptedSession:
    process.redis.disconnect()
    session = await process.connect()
    process.redis.connect()
    process.redis.calls.clear()
    return session


@on_manual_time
async def test_a_local_lease_is_acquired_once_redis_is_back() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await with_a_local_lease(process)
    await process.leases.confirm_local()
    assert (session.lease.is_local, session.lease.generation, session.close_orders) == (False, "17", [])
    await process.leases.confirm_local()
    assert len(process.redis.arguments_of(LEASE_ACQUIRE)) == 1


@on_manual_time
async def test_a_confirmed_local_lease_is_released_with_its_generation() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await with_a_local_lease(process)
    await process.leases.confirm_local()
    process.leases.release(session.lease)
    await turns()
    assert process.redis.arguments_of(LEASE_RELEASE) == [[b"me|1|s1", b"17"]]
    assert process.counts("known", "unreleased") == [0, 0]


@on_manual_time
async def test_a_local_lease_over_the_limit_is_closed_with_try_again_later() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await with_a_local_lease(process)
    process.redis.reply_with(LEASE_ACQUIRE, [b"full", 5, MAX])
    await process.leases.confirm_local()
    assert session.close_orders == [CloseOrder(CloseCode.TRY_AGAIN_LATER, OWNER, 5)]


@on_manual_time
async def test_a_local_lease_that_has_to_wait_is_retried_by_the_next_confirm() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await with_a_local_lease(process)
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, WAIT, HELD)
    await process.leases.confirm_local()
    assert (session.lease.is_local, session.close_orders) == (True, [])
    await process.leases.confirm_local()
    await process.leases.confirm_local()
    assert session.lease.generation == "17"


@on_manual_time
async def test_an_unconfirmed_confirm_keeps_the_local_lease() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await with_a_local_lease(process)
    process.redis.leave_unconfirmed(LEASE_ACQUIRE)
    with pytest.raises(Unavailable):
        await process.leases.confirm_local()
    assert (session.lease.is_local, session.close_orders) == (True, [])


@on_manual_time
async def test_a_local_lease_released_before_its_batch_is_not_acquired() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    *others, last = await with_local_leases(process, CONFIRM_AT_ONCE + 1)
    process.redis.hold(LEASE_ACQUIRE)
    confirming = asyncio.create_task(process.leases.confirm_local())
    await turns()
    process.leases.release(last.lease)
    process.redis.answer_held(LEASE_ACQUIRE)
    await confirming
    assert requested_leases(process) == [session.lease.name for session in others]
    assert process.released == [], "it was never sent to Redis"


@on_manual_time
async def test_local_leases_are_confirmed_in_batches_of_the_bound() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    sessions = await with_local_leases(process, 2 * CONFIRM_AT_ONCE + 1)
    process.redis.hold(LEASE_ACQUIRE)
    confirming = asyncio.create_task(process.leases.confirm_local())
    await turns(6)
    assert requested_leases(process) == [session.lease.name for session in sessions[:CONFIRM_AT_ONCE]]
    process.redis.answer_held(LEASE_ACQUIRE, CONFIRM_AT_ONCE)
    await turns()
    assert requested_leases(process) == [session.lease.name for session in sessions[: 2 * CONFIRM_AT_ONCE]]
    process.redis.answer_held(LEASE_ACQUIRE)
    await confirming
    assert requested_leases(process) == [session.lease.name for session in sessions]
    assert {(session.lease.is_local, session.lease.generation) for session in sessions} == {(False, "17")}


@on_manual_time
async def test_a_local_lease_that_has_to_wait_does_not_delay_its_batch() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    waits, stays = await with_local_leases(process, 2)
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, HELD)
    process.redis.hold(LEASE_ACQUIRE)
    confirming = asyncio.create_task(process.leases.confirm_local())
    await turns()
    process.redis.answer_held(LEASE_ACQUIRE, 2)
    await turns()
    assert (waits.lease.is_local, stays.lease.is_local) == (True, False)
    await confirming


@on_manual_time
async def test_a_local_lease_released_during_its_confirm_is_released_in_redis() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await with_a_local_lease(process)
    process.redis.hold(LEASE_ACQUIRE)
    confirming = asyncio.create_task(process.leases.confirm_local())
    await turns()
    process.leases.release(session.lease)
    process.redis.answer_held(LEASE_ACQUIRE)
    await confirming
    await turns()
    assert set(process.released) == {"me|1|s1"}
    assert process.counts("known", "unreleased") == [0, 0]
