"""Leases that are released, evicted or expired; and limits that change while sessions hold leases."""

import asyncio

import orjson
import pytest
from tannoy.fanout.control.requests import Evict, LeaseGranted
from tannoy.fanout.leases import releases
from tannoy.fanout.leases.limits import CLOSE_SECONDS
from tannoy.fanout.script_batches import CALLS_AT_ONCE, HOLD_SECONDS
from tannoy.fanout.scripts import LEASE_ACQUIRE, LEASE_LIMIT, LEASE_LIST, LEASE_RELEASE
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import Unavailable
from tannoy.shared.policy import Limit, LimitMode, LimitPolicy
from tannoy.shared.sessions import CloseOrder

from tests.support.clock import on_manual_time, turns
from tests.support.records import session_info
from tests.support.scripted_leases import KEYSPACE, MAX, OWNER, WAIT, ScriptedLeases, now

# ---- released


@on_manual_time
async def test_a_release_sends_the_generation_of_the_lease() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    process.leases.release(session.lease)
    await turns()
    assert process.redis.arguments_of(LEASE_RELEASE) == [[b"me|1|s1", b"17"]]
    assert process.counts("known", "unreleased") == [0, 0]


@on_manual_time
async def test_a_lease_granted_by_a_release_is_notified_to_its_node() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    process.redis.reply_with(LEASE_RELEASE, b"other|3|s5")
    process.leases.release(session.lease)
    await turns()
    assert process.notices == [("other", LeaseGranted(OWNER, "other|3|s5"))]


@on_manual_time
async def test_a_release_is_retried_until_redis_confirms_it() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    process.redis.leave_unconfirmed(LEASE_RELEASE)
    process.leases.release(session.lease)
    await turns()
    process.leases.send_pending_releases()
    await turns()
    assert (process.released, process.counts("unreleased")) == (["me|1|s1"] * 2, [1])
    process.redis.confirm_again(LEASE_RELEASE)
    process.leases.send_pending_releases()
    await turns()
    assert (process.released, process.counts("unreleased")) == (["me|1|s1"] * 3, [0])
    process.leases.send_pending_releases()
    assert len(process.released) == 3


async def release_all(process: ScriptedLeases, count: int) -> list[str]:
    """Acquire `count` leases, release them at once, and return their names."""
    sessions = [await process.connect(f"s{number}") for number in range(count)]
    for session in sessions:
        process.leases.release(session.lease)
    return [session.lease.name for session in sessions]


@on_manual_time
async def test_releases_in_flight_are_bounded_and_each_confirmation_sends_the_next() -> None:
    process = ScriptedLeases()
    process.redis.hold(LEASE_RELEASE)
    leases = await release_all(process, releases.AT_ONCE + CALLS_AT_ONCE + 3)
    process.leases.send_pending_releases()
    await turns()
    assert process.released == leases[: releases.AT_ONCE]
    process.redis.answer_held(LEASE_RELEASE, CALLS_AT_ONCE)
    await asyncio.sleep(HOLD_SECONDS * 1.5)
    assert process.released == leases[: releases.AT_ONCE + CALLS_AT_ONCE]
    process.redis.answer_held(LEASE_RELEASE)
    await asyncio.sleep(HOLD_SECONDS * 1.5)
    assert (process.released, process.counts("unreleased")) == (leases, [0])


@on_manual_time
async def test_unconfirmed_releases_are_retried_after_those_not_yet_sent() -> None:
    process = ScriptedLeases()
    process.redis.leave_unconfirmed(LEASE_RELEASE)
    leases = await release_all(process, releases.AT_ONCE + 1)
    await turns()
    assert (process.released, process.counts("unreleased")) == (leases[:-1], [releases.AT_ONCE + 1])
    process.redis.confirm_again(LEASE_RELEASE)
    process.redis.calls.clear()
    process.leases.send_pending_releases()
    await turns()
    assert (process.released, process.counts("unreleased")) == ([leases[-1], *leases[:-1]], [0])


@on_manual_time
async def test_a_release_without_a_connection_is_sent_once_connected() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    process.redis.disconnect()
    process.leases.release(session.lease)
    process.leases.send_pending_releases()
    assert (process.released, process.counts("known", "unreleased")) == ([], [0, 1])
    process.redis.connect()
    process.leases.send_pending_releases()
    await turns()
    assert (process.released, process.counts("unreleased")) == (["me|1|s1"], [0])


@on_manual_time
async def test_pending_releases_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "PENDING_MAX", 3)
    process = ScriptedLeases()
    sessions = [await process.connect(f"s{number}") for number in range(5)]
    process.redis.disconnect()
    for session in sessions:
        process.leases.release(session.lease)
    assert process.counts("known", "unreleased") == [0, 3]
    process.redis.connect()
    process.leases.send_pending_releases()
    await turns()
    assert (process.released, process.counts("unreleased")) == ([session.lease.name for session in sessions[:3]], [0])
    process.leases.release((await process.connect("s9")).lease)
    await turns()
    assert process.released[3:] == ["me|6|s9"], "there is space again"


# ---- evicted


@on_manual_time
async def test_an_evicted_session_is_closed_with_the_reason_and_keeps_its_lease() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    process.leases.handle_notice(Evict(OWNER, "me|1|s1", CloseCode.EVICTED, 4, "s2"))
    assert session.close_orders == [CloseOrder(CloseCode.EVICTED, OWNER, 4, "s2")]
    assert (process.released, process.counts("known", "evict_orders")) == ([], [1, 1])


@on_manual_time
async def test_an_evicted_session_that_waits_for_its_lease_is_closed() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT)
    session = process.start()
    await turns(6)
    process.leases.handle_notice(Evict(OWNER, "me|1|s1", CloseCode.REPLACED, 4, "s1"))
    assert session.close_orders == [CloseOrder(CloseCode.REPLACED, OWNER, 4, "s1")]
    session.acquiring.cancel()


@on_manual_time
async def test_evict_of_an_unknown_lease_releases_it() -> None:
    process = ScriptedLeases()
    process.leases.handle_notice(Evict(OWNER, "me|7|gone", CloseCode.EVICTED, 4, "s2"))
    await turns()
    assert process.redis.arguments_of(LEASE_RELEASE) == [[b"me|7|gone", b""]]
    assert process.counts("unreleased") == [0]


@on_manual_time
async def test_evict_of_a_lease_being_released_sends_no_second_release() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    process.leases.release(session.lease)
    process.leases.handle_notice(Evict(OWNER, "me|1|s1", CloseCode.EVICTED, 4, "s2"))
    await turns()
    assert process.released == ["me|1|s1"]
    assert session.close_orders == []


@on_manual_time
async def test_granted_of_an_unknown_lease_releases_it() -> None:
    process = ScriptedLeases()
    process.leases.handle_notice(LeaseGranted(OWNER, "me|7|gone"))
    await turns()
    assert process.redis.arguments_of(LEASE_RELEASE) == [[b"me|7|gone", b""]]
    assert process.counts("unreleased") == [0]


@on_manual_time
async def test_granted_of_a_lease_being_released_sends_no_second_release() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    process.redis.leave_unconfirmed(LEASE_RELEASE)
    process.leases.release(session.lease)
    process.leases.handle_notice(LeaseGranted(OWNER, "me|1|s1"))
    await turns()
    process.leases.handle_notice(LeaseGranted(OWNER, "me|1|s1"))
    assert (process.released, process.counts("unreleased")) == (["me|1|s1"], [1])


@on_manual_time
async def test_granted_of_a_held_lease_releases_nothing() -> None:
    process = ScriptedLeases()
    await process.connect()
    process.leases.handle_notice(LeaseGranted(OWNER, "me|1|s1"))
    assert process.released == []


# ---- expired


@on_manual_time
async def test_an_expired_heartbeat_closes_all_holders_in_strict_mode() -> None:
    process = ScriptedLeases()
    sessions = [await process.connect("s1"), await process.connect("s2", Owner(OwnerKind.USER, "ada"))]
    process.heartbeat.expire()
    assert process.leases.fence_if_expired()
    assert [session.close_orders for session in sessions] == [
        [CloseOrder(CloseCode.LEASE_LOST, OWNER)],
        [CloseOrder(CloseCode.LEASE_LOST, Owner(OwnerKind.USER, "ada"))],
    ]
    assert process.counts("lost") == [2]


@on_manual_time
async def test_an_expired_heartbeat_does_not_close_a_waiting_session() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT)
    session = process.start()
    await turns(6)
    process.heartbeat.expire()
    process.heartbeat.fence_if_expired()
    assert session.close_orders == []
    session.acquiring.cancel()


@on_manual_time
async def test_an_expired_heartbeat_closes_no_session_in_available_mode() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await process.connect()
    process.heartbeat.expire()
    process.heartbeat.fence_if_expired()
    assert (process.leases.may_serve, process.leases.fence_if_expired(), session.close_orders) == (True, False, [])


# ---- changed limits


@pytest.mark.parametrize(
    ("policy", "code"),
    [(LimitPolicy.REJECT, CloseCode.TRY_AGAIN_LATER), (LimitPolicy.EVICT_OLDEST, CloseCode.EVICTED)],
)
@on_manual_time
async def test_a_new_limit_evicts_the_surplus_sessions(policy: LimitPolicy, code: CloseCode) -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_LIMIT, [7, [b"a|1|s1", b"b|2|s2"]], [7, []])
    assert await process.limits.set(OWNER, Limit(1, policy)) == 2
    assert process.notices == [("a", Evict(OWNER, "a|1|s1", code, 7, "")), ("b", Evict(OWNER, "b|2|s2", code, 7, ""))]
    assert process.redis.arguments_of(LEASE_LIMIT)[0] == [b"6000", b"1", policy.value.encode()]


@on_manual_time
async def test_a_new_limit_without_surplus_closes_no_session() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_LIMIT, [7, []])
    assert await process.limits.set(OWNER, Limit(10, LimitPolicy.REJECT)) == 0
    assert process.notices == []


@on_manual_time
async def test_setting_a_limit_waits_until_the_surplus_has_closed_and_counts_each_once() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_LIMIT, [7, [b"a|1|s1", b"b|2|s2"]], [7, [b"b|2|s2"]], [7, [b"b|2|s2"]], [7, []])
    assert await process.limits.set(OWNER, Limit(1, LimitPolicy.REJECT)) == 2
    assert len(process.redis.arguments_of(LEASE_LIMIT)) == 4


@on_manual_time
async def test_setting_a_limit_returns_at_the_deadline_if_a_session_stays() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_LIMIT, [7, [b"a|1|s1"]])
    before = now()
    assert await process.limits.set(OWNER, Limit(1, LimitPolicy.REJECT)) == 1
    assert now() - before == pytest.approx(CLOSE_SECONDS, abs=0.1)


@on_manual_time
async def test_an_unconfirmed_limit_is_unavailable() -> None:
    process = ScriptedLeases()
    process.redis.leave_unconfirmed(LEASE_LIMIT)
    with pytest.raises(Unavailable):
        await process.limits.set(OWNER, Limit(1, LimitPolicy.REJECT))


@on_manual_time
async def test_list_sessions_returns_the_limit_and_the_sessions() -> None:
    process, listed = ScriptedLeases(), [session_info("s1"), session_info("s2")]
    process.redis.reply_with(
        LEASE_LIST, [3, b"evict_oldest", [orjson.dumps(session.as_object()) for session in listed]]
    )
    limit, sessions = await process.limits.list_sessions(OWNER)
    assert (limit, sessions) == (Limit(3, LimitPolicy.EVICT_OLDEST), listed)
    assert process.redis.arguments_of(LEASE_LIST) == [[b"6000", str(MAX).encode(), b"reject"]]
    assert process.redis.calls[0].keys == tuple(KEYSPACE.leases(OWNER, "me"))


@pytest.mark.parametrize(("kind", "limit"), [(OwnerKind.AGENT, MAX), (OwnerKind.USER, 0)])
@on_manual_time
async def test_the_default_limit_of_a_kind_is_from_the_settings(kind: OwnerKind, limit: int) -> None:
    assert ScriptedLeases().limits.default(kind) == Limit(limit, LimitPolicy.REJECT)
