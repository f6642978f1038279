"""Places that are given back, taken away, or run out; and limits that change while sessions are there."""

import orjson
import pytest
from tannoy.fanout.control.requests import Evict, LeaseGranted
from tannoy.fanout.leases import releases
from tannoy.fanout.leases.limits import CLOSE_SECONDS
from tannoy.fanout.scripts import LEASE_ACQUIRE, LEASE_LIMIT, LEASE_LIST, LEASE_RELEASE
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import Unavailable
from tannoy.shared.policy import Limit, LimitMode, LimitPolicy
from tannoy.shared.sessions import CloseOrder

from tests.support.clock import on_manual_time, turns
from tests.support.records import session_info
from tests.support.scripted_leases import KEYSPACE, MAX, OWNER, WAIT, ScriptedLeases, now

# ---- given back


@on_manual_time
async def test_a_place_is_given_back_under_the_generation_it_was_held_under() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    process.leases.release(session.lease)
    assert process.redis.arguments_of(LEASE_RELEASE) == [[b"me|1|s1", b"17"]]
    await turns()
    assert process.counts("known", "unreleased") == [0, 0]


@on_manual_time
async def test_whoever_has_got_the_place_is_told_by_its_own_node() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    process.redis.reply_with(LEASE_RELEASE, b"other|3|s5")
    process.leases.release(session.lease)
    await turns()
    assert process.notices == [("other", LeaseGranted(OWNER, "other|3|s5"))]


@on_manual_time
async def test_a_place_is_given_back_again_and_again_until_redis_has_confirmed_it() -> None:
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


async def released_all(process: ScriptedLeases, count: int) -> list[str]:
    """So many places that are given back at once; their leases."""
    sessions = [await process.connect(f"s{number}") for number in range(count)]
    for session in sessions:
        process.leases.release(session.lease)
    return [session.lease.name for session in sessions]


@on_manual_time
async def test_no_more_places_than_the_bound_are_given_back_at_once_and_each_confirmation_sends_the_next() -> None:
    process = ScriptedLeases()
    process.redis.hold(LEASE_RELEASE)
    leases = await released_all(process, releases.AT_ONCE + 3)
    process.leases.send_pending_releases()
    assert process.released == leases[: releases.AT_ONCE]
    process.redis.answer_held(LEASE_RELEASE, 2)
    await turns()
    assert process.released == leases[: releases.AT_ONCE + 2]
    process.redis.answer_held(LEASE_RELEASE)
    await turns()
    assert (process.released, process.counts("unreleased")) == (leases, [0])


@on_manual_time
async def test_places_that_redis_does_not_confirm_are_given_back_behind_those_that_wait() -> None:
    process = ScriptedLeases()
    process.redis.leave_unconfirmed(LEASE_RELEASE)
    leases = await released_all(process, releases.AT_ONCE + 1)
    await turns()
    assert (process.released, process.counts("unreleased")) == (leases[:-1], [releases.AT_ONCE + 1])
    process.redis.confirm_again(LEASE_RELEASE)
    process.redis.calls.clear()
    process.leases.send_pending_releases()
    await turns()
    assert (process.released, process.counts("unreleased")) == ([leases[-1], *leases[:-1]], [0])


@on_manual_time
async def test_while_redis_is_away_no_place_is_given_back_until_it_is_there() -> None:
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
async def test_what_is_to_be_given_back_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert process.released[3:] == ["me|6|s9"], "there is room again"


# ---- taken away


@on_manual_time
async def test_whoever_is_sent_away_learns_why_and_keeps_its_place_until_its_socket_is_closed() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    process.leases.handle_notice(Evict(OWNER, "me|1|s1", CloseCode.EVICTED, 4, "s2"))
    assert session.close_orders == [CloseOrder(CloseCode.EVICTED, OWNER, 4, "s2")]
    assert (process.released, process.counts("known", "evict_orders")) == ([], [1, 1])


@on_manual_time
async def test_whoever_still_waits_for_a_place_is_sent_away_too() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT)
    session = process.start()
    await turns(6)
    process.leases.handle_notice(Evict(OWNER, "me|1|s1", CloseCode.REPLACED, 4, "s1"))
    assert session.close_orders == [CloseOrder(CloseCode.REPLACED, OWNER, 4, "s1")]
    session.acquiring.cancel()


@on_manual_time
async def test_a_lease_that_nobody_here_knows_is_given_back_since_nobody_else_can() -> None:
    process = ScriptedLeases()
    process.leases.handle_notice(Evict(OWNER, "me|7|gone", CloseCode.EVICTED, 4, "s2"))
    assert process.redis.arguments_of(LEASE_RELEASE) == [[b"me|7|gone", b""]]
    await turns()
    assert process.counts("unreleased") == [0]


@on_manual_time
async def test_a_lease_that_is_being_given_back_is_not_given_back_twice() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    process.leases.release(session.lease)
    process.leases.handle_notice(Evict(OWNER, "me|1|s1", CloseCode.EVICTED, 4, "s2"))
    assert process.released == ["me|1|s1"]
    assert session.close_orders == []


@on_manual_time
async def test_a_place_that_somebody_gets_who_has_gone_is_given_back() -> None:
    process = ScriptedLeases()
    process.leases.handle_notice(LeaseGranted(OWNER, "me|7|gone"))
    assert process.redis.arguments_of(LEASE_RELEASE) == [[b"me|7|gone", b""]]
    await turns()
    assert process.counts("unreleased") == [0]


@on_manual_time
async def test_a_place_that_somebody_gets_who_is_going_is_not_given_back_twice() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    process.redis.leave_unconfirmed(LEASE_RELEASE)
    process.leases.release(session.lease)
    process.leases.handle_notice(LeaseGranted(OWNER, "me|1|s1"))
    await turns()
    process.leases.handle_notice(LeaseGranted(OWNER, "me|1|s1"))
    assert (process.released, process.counts("unreleased")) == (["me|1|s1"], [1])


@on_manual_time
async def test_word_of_a_place_for_somebody_who_is_here_gives_nothing_back() -> None:
    process = ScriptedLeases()
    await process.connect()
    process.leases.handle_notice(LeaseGranted(OWNER, "me|1|s1"))
    assert process.released == []


# ---- run out


@on_manual_time
async def test_in_strict_mode_all_that_hold_a_place_lose_it_when_the_heartbeat_runs_out() -> None:
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
async def test_whoever_still_waits_for_a_place_has_none_to_lose() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT)
    session = process.start()
    await turns(6)
    process.heartbeat.expire()
    process.heartbeat.fence_if_expired()
    assert session.close_orders == []
    session.acquiring.cancel()


@on_manual_time
async def test_in_available_mode_nobody_loses_anything_when_the_heartbeat_runs_out() -> None:
    process = ScriptedLeases(mode=LimitMode.AVAILABLE)
    session = await process.connect()
    process.heartbeat.expire()
    process.heartbeat.fence_if_expired()
    assert (process.leases.may_serve, process.leases.fence_if_expired(), session.close_orders) == (True, False, [])


# ---- limits that change


@pytest.mark.parametrize(
    ("policy", "code"),
    [(LimitPolicy.REJECT, CloseCode.TRY_AGAIN_LATER), (LimitPolicy.EVICT_OLDEST, CloseCode.EVICTED)],
)
@on_manual_time
async def test_whoever_is_too_many_under_a_new_limit_is_sent_away(policy: LimitPolicy, code: CloseCode) -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_LIMIT, [7, [b"a|1|s1", b"b|2|s2"]], [7, []])
    assert await process.limits.set(OWNER, Limit(1, policy)) == 2
    assert process.notices == [("a", Evict(OWNER, "a|1|s1", code, 7, "")), ("b", Evict(OWNER, "b|2|s2", code, 7, ""))]
    assert process.redis.arguments_of(LEASE_LIMIT)[0] == [b"1", policy.value.encode()]


@on_manual_time
async def test_a_new_limit_that_all_fit_into_closes_nobody() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_LIMIT, [7, []])
    assert await process.limits.set(OWNER, Limit(10, LimitPolicy.REJECT)) == 0
    assert process.notices == []


@on_manual_time
async def test_a_new_limit_is_waited_for_until_all_have_gone_and_each_counts_once() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_LIMIT, [7, [b"a|1|s1", b"b|2|s2"]], [7, [b"b|2|s2"]], [7, [b"b|2|s2"]], [7, []])
    assert await process.limits.set(OWNER, Limit(1, LimitPolicy.REJECT)) == 2
    assert len(process.redis.arguments_of(LEASE_LIMIT)) == 4


@on_manual_time
async def test_whoever_does_not_go_is_not_waited_for_longer_than_the_deadline() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_LIMIT, [7, [b"a|1|s1"]])
    before = now()
    assert await process.limits.set(OWNER, Limit(1, LimitPolicy.REJECT)) == 1
    assert now() - before == pytest.approx(CLOSE_SECONDS, abs=0.1)


@on_manual_time
async def test_a_limit_that_redis_does_not_confirm_is_unavailable() -> None:
    process = ScriptedLeases()
    process.redis.leave_unconfirmed(LEASE_LIMIT)
    with pytest.raises(Unavailable):
        await process.limits.set(OWNER, Limit(1, LimitPolicy.REJECT))


@on_manual_time
async def test_the_roster_tells_the_limit_that_holds_and_who_is_there() -> None:
    process, listed = ScriptedLeases(), [session_info("s1"), session_info("s2")]
    process.redis.reply_with(
        LEASE_LIST, [3, b"evict_oldest", [orjson.dumps(session.as_object()) for session in listed]]
    )
    limit, sessions = await process.limits.list_sessions(OWNER)
    assert (limit, sessions) == (Limit(3, LimitPolicy.EVICT_OLDEST), listed)
    assert process.redis.arguments_of(LEASE_LIST) == [[str(MAX).encode(), b"reject"]]
    assert process.redis.calls[0].keys == tuple(KEYSPACE.leases(OWNER, "me"))


@pytest.mark.parametrize(("kind", "limit"), [(OwnerKind.AGENT, MAX), (OwnerKind.USER, 0)])
@on_manual_time
async def test_the_limit_of_a_kind_is_the_settings(kind: OwnerKind, limit: int) -> None:
    assert ScriptedLeases().limits.default(kind) == Limit(limit, LimitPolicy.REJECT)
