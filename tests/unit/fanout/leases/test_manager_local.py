"""`available` mode: whom a node lets in while Redis is away, and what becomes of them when it is back."""

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

# ---- let in while Redis is away


async def refused(session: ScriptedSession) -> bool:
    try:
        await session.acquiring
    except Unavailable:
        return True
    return False


@pytest.mark.parametrize(("nodes", "let_in"), [(1, 4), (2, 2), (3, 1), (100, 1)])
@on_manual_time
async def test_in_available_mode_a_node_lets_in_its_share_and_no_more(nodes: int, let_in: int) -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    process.heartbeat.nodes_alive = nodes
    process.redis.disconnect()
    sessions = [process.start(f"s{number}") for number in range(let_in + 1)]
    turned_away = [await refused(session) for session in sessions]  # any of them: all have waited equally long
    assert turned_away.count(False) == let_in
    assert [session.lease.is_local for session in sessions] == [not away for away in turned_away]


@on_manual_time
async def test_the_share_is_each_owners_own() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    process.heartbeat.nodes_alive = 100
    process.redis.disconnect()
    for number in range(3):
        assert not await refused(process.start("s1", Owner(OwnerKind.AGENT, str(number))))


@on_manual_time
async def test_where_there_is_no_limit_everybody_is_let_in() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    process.redis.disconnect()
    for number in range(20):
        assert not await refused(process.start(f"s{number}", ADA))


@on_manual_time
async def test_a_redis_that_is_there_but_does_not_confirm_is_not_decided_for() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    process.redis.leave_unconfirmed(LEASE_ACQUIRE)
    assert await refused(process.start())


@on_manual_time
async def test_in_strict_mode_nobody_is_let_in_while_redis_is_away() -> None:
    process = ScriptedLeases()
    process.redis.disconnect()
    assert await refused(process.start())


@pytest.mark.parametrize("mode", LimitMode)
@on_manual_time
async def test_while_redis_is_away_it_is_waited_for_no_longer_than_the_deadline_and_never_asked(
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
async def test_a_redis_that_comes_back_in_time_is_asked(mode: LimitMode) -> None:
    process = ScriptedLeases(mode=mode)
    process.redis.disconnect()
    session = process.start()
    await asyncio.sleep(COMMAND_TIMEOUT / 2)
    assert process.redis.calls == []
    process.redis.connect()
    await session.acquiring
    assert (session.lease.is_local, session.lease.generation) == (False, "17")
    process.leases.release(session.lease)
    assert process.released == ["me|1|s1"]


@on_manual_time
async def test_whoever_was_let_in_and_goes_before_redis_has_heard_of_it_has_nothing_to_give_back() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await let_in_by_itself(process)
    process.leases.release(session.lease)
    assert (process.redis.calls, process.counts("known", "unreleased")) == ([], [0, 0])


@on_manual_time
async def test_whoever_gives_up_before_redis_was_asked_has_nothing_to_give_back() -> None:
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


def asked_for(process: ScriptedLeases) -> list[str]:
    return [words[0].decode() for words in process.redis.arguments_of(LEASE_ACQUIRE)]


async def let_in_together(process: ScriptedLeases, count: int) -> list[ScriptedSession]:
    """Guests whose owner has no limit."""
    process.redis.disconnect()
    sessions = [process.start(f"s{number}", ADA) for number in range(count)]
    await asyncio.gather(*(session.acquiring for session in sessions))
    process.redis.connect()
    return sessions


async def let_in_by_itself(process: ScriptedLeases) -> ScriptedSession:
    process.redis.disconnect()
    session = await process.connect()
    process.redis.connect()
    process.redis.calls.clear()
    return session


@on_manual_time
async def test_whoever_was_let_in_gets_a_place_once_redis_is_back() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await let_in_by_itself(process)
    await process.leases.confirm_local()
    assert (session.lease.is_local, session.lease.generation, session.close_orders) == (False, "17", [])
    await process.leases.confirm_local()
    assert len(process.redis.arguments_of(LEASE_ACQUIRE)) == 1


@on_manual_time
async def test_whoever_was_let_in_and_has_got_its_place_gives_it_back_when_it_goes() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await let_in_by_itself(process)
    await process.leases.confirm_local()
    process.leases.release(session.lease)
    await turns()
    assert process.redis.arguments_of(LEASE_RELEASE) == [[b"me|1|s1", b"17"]]
    assert process.counts("known", "unreleased") == [0, 0]


@on_manual_time
async def test_whoever_was_let_in_too_many_has_to_come_back_later() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await let_in_by_itself(process)
    process.redis.reply_with(LEASE_ACQUIRE, [b"full", 5, MAX])
    await process.leases.confirm_local()
    assert session.close_orders == [CloseOrder(CloseCode.TRY_AGAIN_LATER, OWNER, 5)]


@on_manual_time
async def test_whoever_has_to_wait_for_its_place_is_asked_for_again_next_time() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await let_in_by_itself(process)
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, WAIT, HELD)
    await process.leases.confirm_local()
    assert (session.lease.is_local, session.close_orders) == (True, [])
    await process.leases.confirm_local()
    await process.leases.confirm_local()
    assert session.lease.generation == "17"


@on_manual_time
async def test_while_redis_does_not_confirm_whoever_was_let_in_stays() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await let_in_by_itself(process)
    process.redis.leave_unconfirmed(LEASE_ACQUIRE)
    with pytest.raises(Unavailable):
        await process.leases.confirm_local()
    assert (session.lease.is_local, session.close_orders) == (True, [])


@on_manual_time
async def test_whoever_goes_before_its_turn_to_be_confirmed_takes_no_place() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    *others, last = await let_in_together(process, CONFIRM_AT_ONCE + 1)
    process.redis.hold(LEASE_ACQUIRE)
    confirming = asyncio.create_task(process.leases.confirm_local())
    await turns()
    process.leases.release(last.lease)
    process.redis.answer_held(LEASE_ACQUIRE)
    await confirming
    assert asked_for(process) == [session.lease.name for session in others]
    assert process.released == [], "Redis has never heard of it"


@on_manual_time
async def test_no_more_places_than_the_bound_are_confirmed_at_once() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    sessions = await let_in_together(process, 2 * CONFIRM_AT_ONCE + 1)
    process.redis.hold(LEASE_ACQUIRE)
    confirming = asyncio.create_task(process.leases.confirm_local())
    await turns(6)
    assert asked_for(process) == [session.lease.name for session in sessions[:CONFIRM_AT_ONCE]]
    process.redis.answer_held(LEASE_ACQUIRE, CONFIRM_AT_ONCE)
    await turns(6)
    assert asked_for(process) == [session.lease.name for session in sessions[: 2 * CONFIRM_AT_ONCE]]
    process.redis.answer_held(LEASE_ACQUIRE)
    await confirming
    assert asked_for(process) == [session.lease.name for session in sessions]
    assert {(session.lease.is_local, session.lease.generation) for session in sessions} == {(False, "17")}


@on_manual_time
async def test_whoever_has_to_wait_holds_up_nobody_who_is_asked_for_with_it() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    waits, stays = await let_in_together(process, 2)
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, HELD)
    process.redis.hold(LEASE_ACQUIRE)
    confirming = asyncio.create_task(process.leases.confirm_local())
    await turns()
    process.redis.answer_held(LEASE_ACQUIRE, 2)
    await turns()
    assert (waits.lease.is_local, stays.lease.is_local) == (True, False)
    await confirming


@on_manual_time
async def test_whoever_goes_while_its_place_is_asked_for_gives_it_back() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await let_in_by_itself(process)
    process.redis.hold(LEASE_ACQUIRE)
    confirming = asyncio.create_task(process.leases.confirm_local())
    await turns()
    process.leases.release(session.lease)
    process.redis.answer_held(LEASE_ACQUIRE)
    await confirming
    await turns()
    assert set(process.released) == {"me|1|s1"}
    assert process.counts("known", "unreleased") == [0, 0]
