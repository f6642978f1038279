"""Places that are given back, taken away, or run out; and limits that change while sessions are there."""

import orjson
import pytest
from tannoy.fanout.control.requests import Evict, LeaseGranted
from tannoy.fanout.leases import manager as leases_module
from tannoy.fanout.leases.limits import DEADLINE as LIMIT_DEADLINE
from tannoy.fanout.leases.manager import RELEASED_AT_ONCE
from tannoy.fanout.scripts import LEASE_ACQUIRE, LEASE_LIMIT, LEASE_LIST, LEASE_RELEASE
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import Unavailable
from tannoy.shared.policy import Limit, LimitMode, LimitPolicy
from tannoy.shared.sessions import CloseOrder

from tests.support.clock import on_manual_time, turns
from tests.support.records import session_info
from tests.unit.fanout.leases.office import KEYSPACE, MAX, OWNER, WAIT, Office, now

# ---- given back


@on_manual_time
async def test_a_place_is_given_back_under_the_generation_it_was_held_under() -> None:
    office = Office()
    guest = await office.admitted()
    office.leases.release(guest.lease)
    assert office.redis.asked(LEASE_RELEASE) == [[b"me|1|s1", b"17"]]
    await turns()
    assert office.counts("known", "unreleased") == [0, 0]


@on_manual_time
async def test_whoever_has_got_the_place_is_told_by_its_own_node() -> None:
    office = Office()
    guest = await office.admitted()
    office.redis.say(LEASE_RELEASE, b"other|3|s5")
    office.leases.release(guest.lease)
    await turns()
    assert office.told == [("other", LeaseGranted(OWNER, "other|3|s5"))]


@on_manual_time
async def test_a_place_is_given_back_again_and_again_until_redis_has_confirmed_it() -> None:
    office = Office()
    guest = await office.admitted()
    office.redis.refuse(LEASE_RELEASE)
    office.leases.release(guest.lease)
    await turns()
    office.leases.release_again()
    await turns()
    assert (office.released, office.counts("unreleased")) == (["me|1|s1"] * 2, [1])
    office.redis.accept(LEASE_RELEASE)
    office.leases.release_again()
    await turns()
    assert (office.released, office.counts("unreleased")) == (["me|1|s1"] * 3, [0])
    office.leases.release_again()
    assert len(office.released) == 3


async def released_all(office: Office, count: int) -> list[str]:
    """So many places that are given back at once; their leases."""
    guests = [await office.admitted(f"s{number}") for number in range(count)]
    for guest in guests:
        office.leases.release(guest.lease)
    return [guest.lease.name for guest in guests]


@on_manual_time
async def test_no_more_places_than_the_bound_are_given_back_at_once_and_each_confirmation_sends_the_next() -> None:
    office = Office()
    office.redis.hold(LEASE_RELEASE)
    leases = await released_all(office, RELEASED_AT_ONCE + 3)
    office.leases.release_again()
    assert office.released == leases[:RELEASED_AT_ONCE]
    office.redis.answer_held(LEASE_RELEASE, 2)
    await turns()
    assert office.released == leases[: RELEASED_AT_ONCE + 2]
    office.redis.answer_held(LEASE_RELEASE)
    await turns()
    assert (office.released, office.counts("unreleased")) == (leases, [0])


@on_manual_time
async def test_places_that_redis_does_not_confirm_are_given_back_behind_those_that_wait() -> None:
    office = Office()
    office.redis.refuse(LEASE_RELEASE)
    leases = await released_all(office, RELEASED_AT_ONCE + 1)
    await turns()
    assert (office.released, office.counts("unreleased")) == (leases[:-1], [RELEASED_AT_ONCE + 1])
    office.redis.accept(LEASE_RELEASE)
    office.redis.calls.clear()
    office.leases.release_again()
    await turns()
    assert (office.released, office.counts("unreleased")) == ([leases[-1], *leases[:-1]], [0])


@on_manual_time
async def test_while_redis_is_away_no_place_is_given_back_until_it_is_there() -> None:
    office = Office()
    guest = await office.admitted()
    office.redis.lose()
    office.leases.release(guest.lease)
    office.leases.release_again()
    assert (office.released, office.counts("known", "unreleased")) == ([], [0, 1])
    office.redis.connect()
    office.leases.release_again()
    await turns()
    assert (office.released, office.counts("unreleased")) == (["me|1|s1"], [0])


@on_manual_time
async def test_what_is_to_be_given_back_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "UNRELEASED_MAX", 3)
    office = Office()
    guests = [await office.admitted(f"s{number}") for number in range(5)]
    office.redis.lose()
    for guest in guests:
        office.leases.release(guest.lease)
    assert office.counts("known", "unreleased") == [0, 3]
    office.redis.connect()
    office.leases.release_again()
    await turns()
    assert (office.released, office.counts("unreleased")) == ([guest.lease.name for guest in guests[:3]], [0])
    office.leases.release((await office.admitted("s9")).lease)
    assert office.released[3:] == ["me|6|s9"], "there is room again"


# ---- taken away


@on_manual_time
async def test_whoever_is_sent_away_learns_why_and_keeps_its_place_until_its_socket_is_closed() -> None:
    office = Office()
    guest = await office.admitted()
    office.leases.run_errand(Evict(OWNER, "me|1|s1", CloseCode.EVICTED, 4, "s2"))
    assert guest.losses == [CloseOrder(CloseCode.EVICTED, OWNER, 4, "s2")]
    assert (office.released, office.counts("known", "evict_orders")) == ([], [1, 1])


@on_manual_time
async def test_whoever_still_waits_for_a_place_is_sent_away_too() -> None:
    office = Office()
    office.redis.say(LEASE_ACQUIRE, WAIT)
    guest = office.comes()
    await turns(6)
    office.leases.run_errand(Evict(OWNER, "me|1|s1", CloseCode.REPLACED, 4, "s1"))
    assert guest.losses == [CloseOrder(CloseCode.REPLACED, OWNER, 4, "s1")]
    guest.arrival.cancel()


@on_manual_time
async def test_a_lease_that_nobody_here_knows_is_given_back_since_nobody_else_can() -> None:
    office = Office()
    office.leases.run_errand(Evict(OWNER, "me|7|gone", CloseCode.EVICTED, 4, "s2"))
    assert office.redis.asked(LEASE_RELEASE) == [[b"me|7|gone", b""]]
    await turns()
    assert office.counts("unreleased") == [0]


@on_manual_time
async def test_a_lease_that_is_being_given_back_is_not_given_back_twice() -> None:
    office = Office()
    guest = await office.admitted()
    office.leases.release(guest.lease)
    office.leases.run_errand(Evict(OWNER, "me|1|s1", CloseCode.EVICTED, 4, "s2"))
    assert office.released == ["me|1|s1"]
    assert guest.losses == []


@on_manual_time
async def test_a_place_that_somebody_gets_who_has_gone_is_given_back() -> None:
    office = Office()
    office.leases.run_errand(LeaseGranted(OWNER, "me|7|gone"))
    assert office.redis.asked(LEASE_RELEASE) == [[b"me|7|gone", b""]]
    await turns()
    assert office.counts("unreleased") == [0]


@on_manual_time
async def test_a_place_that_somebody_gets_who_is_going_is_not_given_back_twice() -> None:
    office = Office()
    guest = await office.admitted()
    office.redis.refuse(LEASE_RELEASE)
    office.leases.release(guest.lease)
    office.leases.run_errand(LeaseGranted(OWNER, "me|1|s1"))
    await turns()
    office.leases.run_errand(LeaseGranted(OWNER, "me|1|s1"))
    assert (office.released, office.counts("unreleased")) == (["me|1|s1"], [1])


@on_manual_time
async def test_word_of_a_place_for_somebody_who_is_here_gives_nothing_back() -> None:
    office = Office()
    await office.admitted()
    office.leases.run_errand(LeaseGranted(OWNER, "me|1|s1"))
    assert office.released == []


# ---- run out


@on_manual_time
async def test_in_strict_mode_all_that_hold_a_place_lose_it_when_the_heartbeat_runs_out() -> None:
    office = Office()
    guests = [await office.admitted("s1"), await office.admitted("s2", Owner(OwnerKind.USER, "ada"))]
    office.heartbeat.fence()
    assert office.leases.fence_if_expired()
    assert [guest.losses for guest in guests] == [
        [CloseOrder(CloseCode.LEASE_LOST, OWNER)],
        [CloseOrder(CloseCode.LEASE_LOST, Owner(OwnerKind.USER, "ada"))],
    ]
    assert office.counts("lost") == [2]


@on_manual_time
async def test_whoever_still_waits_for_a_place_has_none_to_lose() -> None:
    office = Office()
    office.redis.say(LEASE_ACQUIRE, WAIT)
    guest = office.comes()
    await turns(6)
    office.heartbeat.fence()
    office.heartbeat.fence_if_expired()
    assert guest.losses == []
    guest.arrival.cancel()


@on_manual_time
async def test_in_available_mode_nobody_loses_anything_when_the_heartbeat_runs_out() -> None:
    office = Office(mode=LimitMode.AVAILABLE)
    guest = await office.admitted()
    office.heartbeat.fence()
    office.heartbeat.fence_if_expired()
    assert (office.leases.may_serve, office.leases.fence_if_expired(), guest.losses) == (True, False, [])


# ---- limits that change


@pytest.mark.parametrize(
    ("policy", "code"),
    [(LimitPolicy.REJECT, CloseCode.TRY_AGAIN_LATER), (LimitPolicy.EVICT_OLDEST, CloseCode.EVICTED)],
)
@on_manual_time
async def test_whoever_is_too_many_under_a_new_limit_is_sent_away(policy: LimitPolicy, code: CloseCode) -> None:
    office = Office()
    office.redis.say(LEASE_LIMIT, [7, [b"a|1|s1", b"b|2|s2"]], [7, []])
    assert await office.limits.set(OWNER, Limit(1, policy)) == 2
    assert office.told == [("a", Evict(OWNER, "a|1|s1", code, 7, "")), ("b", Evict(OWNER, "b|2|s2", code, 7, ""))]
    assert office.redis.asked(LEASE_LIMIT)[0] == [b"1", policy.value.encode()]


@on_manual_time
async def test_a_new_limit_that_all_fit_into_closes_nobody() -> None:
    office = Office()
    office.redis.say(LEASE_LIMIT, [7, []])
    assert await office.limits.set(OWNER, Limit(10, LimitPolicy.REJECT)) == 0
    assert office.told == []


@on_manual_time
async def test_a_new_limit_is_waited_for_until_all_have_gone_and_each_counts_once() -> None:
    office = Office()
    office.redis.say(LEASE_LIMIT, [7, [b"a|1|s1", b"b|2|s2"]], [7, [b"b|2|s2"]], [7, [b"b|2|s2"]], [7, []])
    assert await office.limits.set(OWNER, Limit(1, LimitPolicy.REJECT)) == 2
    assert len(office.redis.asked(LEASE_LIMIT)) == 4


@on_manual_time
async def test_whoever_does_not_go_is_not_waited_for_longer_than_the_deadline() -> None:
    office = Office()
    office.redis.say(LEASE_LIMIT, [7, [b"a|1|s1"]])
    before = now()
    assert await office.limits.set(OWNER, Limit(1, LimitPolicy.REJECT)) == 1
    assert now() - before == pytest.approx(LIMIT_DEADLINE, abs=0.1)


@on_manual_time
async def test_a_limit_that_redis_does_not_confirm_is_unavailable() -> None:
    office = Office()
    office.redis.refuse(LEASE_LIMIT)
    with pytest.raises(Unavailable):
        await office.limits.set(OWNER, Limit(1, LimitPolicy.REJECT))


@on_manual_time
async def test_the_roster_tells_the_limit_that_holds_and_who_is_there() -> None:
    office, listed = Office(), [session_info("s1"), session_info("s2")]
    office.redis.say(LEASE_LIST, [3, b"evict_oldest", [orjson.dumps(session.as_object()) for session in listed]])
    limit, sessions = await office.limits.roster(OWNER)
    assert (limit, sessions) == (Limit(3, LimitPolicy.EVICT_OLDEST), listed)
    assert office.redis.asked(LEASE_LIST) == [[str(MAX).encode(), b"reject"]]
    assert office.redis.calls[0].keys == tuple(KEYSPACE.leases(OWNER, "me"))


@pytest.mark.parametrize(("kind", "limit"), [(OwnerKind.AGENT, MAX), (OwnerKind.USER, 0)])
@on_manual_time
async def test_the_limit_of_a_kind_is_the_settings(kind: OwnerKind, limit: int) -> None:
    assert Office().limits.default(kind) == Limit(limit, LimitPolicy.REJECT)
