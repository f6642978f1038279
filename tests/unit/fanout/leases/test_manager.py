"""Taking a place: what Redis may answer, and what a node does about it until the place is its own."""

import asyncio

import pytest
from tannoy.fanout.control.requests import Evict, LeaseGranted
from tannoy.fanout.lease_times import DEFAULT_TIMES
from tannoy.fanout.leases.acquirer import ASK_AGAIN_SECONDS, HEARTBEAT_WAIT_SECONDS
from tannoy.fanout.scripts import LEASE_ACQUIRE
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import LimitReached, Unavailable
from tannoy.shared.sessions import CloseOrder

from tests.support.clock import on_manual_time, turns
from tests.support.scripted_leases import HELD, KEYSPACE, MAX, OWNER, WAIT, ScriptedLeases, generation, now

# ---- held, or full


@on_manual_time
async def test_a_place_is_held_under_the_generation_that_redis_tells() -> None:
    process = ScriptedLeases()
    session = await process.connect()
    assert session.lease.generation == "17"
    assert process.counts("known", "acquired", "unreleased") == [1, 1, 0]


@on_manual_time
async def test_redis_is_told_who_asks_for_whose_place_and_under_which_limit() -> None:
    process = ScriptedLeases()
    await process.connect()
    (call,) = process.redis.calls
    assert call.keys == tuple(KEYSPACE.leases(OWNER, "me"))
    assert call.words == [b"me|1|s1", b'{"session_id":"s1"}', b"4", b"reject", b"agent:42", b"0", b"6000"]


@on_manual_time
async def test_two_connections_of_one_session_are_two_leases() -> None:
    process = ScriptedLeases()
    first, second = await process.connect("s1"), await process.connect("s1")
    assert (first.lease.name, second.lease.name) == ("me|1|s1", "me|2|s1")


@on_manual_time
async def test_where_all_is_full_the_limit_is_told_and_nothing_is_owed() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, [b"full", 4, 3])
    with pytest.raises(LimitReached, match="agent 42 has 4 sessions, 3 are allowed") as refused:
        await process.connect()
    assert (refused.value.kind, refused.value.name, refused.value.count) == ("agent", "42", 4)
    assert process.released == []
    assert process.counts("known", "refused", "unreleased") == [0, 1, 0]


# ---- waiting for somebody to go


@on_manual_time
async def test_whoever_has_to_make_room_is_sent_away_by_its_own_node() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, HELD)
    await process.connect("s1")
    assert process.notices == [("other", Evict(OWNER, "other|9|s9", CloseCode.EVICTED, MAX, "s1"))]


@on_manual_time
async def test_whoever_comes_again_under_its_own_name_is_replaced() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, [b"wait", b"other|9|s1", b"", MAX, MAX], HELD)
    await process.connect("s1")
    assert process.notices == [("other", Evict(OWNER, "other|9|s1", CloseCode.REPLACED, MAX, "s1"))]


@on_manual_time
async def test_a_newcomer_whose_turn_is_taken_over_is_sent_away_too() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, [b"wait", b"a|1|s8", b"b|2|s9", MAX, MAX], HELD)
    await process.connect("s1")
    assert process.notices == [
        ("a", Evict(OWNER, "a|1|s8", CloseCode.EVICTED, MAX, "s1")),
        ("b", Evict(OWNER, "b|2|s9", CloseCode.EVICTED, MAX, "s1")),
    ]


@on_manual_time
async def test_word_that_the_place_is_free_wakes_whoever_waits_for_it() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, HELD)
    before, session = now(), process.start()
    await turns(6)
    assert not session.acquiring.done()
    process.leases.handle_notice(LeaseGranted(OWNER, session.lease.name))
    await session.acquiring
    assert now() == before


@on_manual_time
async def test_word_that_comes_before_the_answer_to_wait_is_not_lost() -> None:
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
async def test_word_that_comes_too_early_does_not_make_it_ask_without_a_pause() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, WAIT, HELD)
    before, session = now(), process.start()
    await turns(6)
    process.leases.handle_notice(LeaseGranted(OWNER, session.lease.name))
    await session.acquiring
    assert now() - before == pytest.approx(ASK_AGAIN_SECONDS)


@on_manual_time
async def test_word_that_got_lost_is_made_good_by_asking_again() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, WAIT, HELD)
    before = now()
    await process.connect()
    assert now() - before == pytest.approx(2 * ASK_AGAIN_SECONDS)
    assert process.has_waited == [b"0", b"1", b"1"]


@pytest.mark.parametrize(("namesake", "code"), [(b"", CloseCode.EVICTED), (b"other|3|s1", CloseCode.REPLACED)])
@on_manual_time
async def test_whoever_loses_its_turn_to_a_newer_session_is_closed(namesake: bytes, code: CloseCode) -> None:
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
async def test_nobody_waits_longer_than_the_deadline() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT)
    before = now()
    with pytest.raises(Unavailable, match="agent 42"):
        await process.connect()
    assert now() - before == pytest.approx(DEFAULT_TIMES.admission_seconds)
    assert (process.released, process.counts("known")) == (["me|1|s1"], [0])


# ---- a Redis that may have forgotten, a node that may hold nothing


@on_manual_time
async def test_a_redis_that_recovers_is_asked_again_when_it_said_and_not_all_at_once() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, [b"recovering", 3000], HELD)
    before = now()
    await process.connect()
    assert 3 <= now() - before <= 3.1
    assert process.has_waited == [b"0", b"0"]


@on_manual_time
async def test_whoever_waited_for_a_place_that_redis_has_forgotten_asks_anew() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, WAIT, [b"recovering", 1000], HELD)
    await process.connect()
    assert process.has_waited == [b"0", b"1", b"0"]


@on_manual_time
async def test_a_redis_that_is_not_known_at_all_is_greeted_at_once() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, [b"recovering", -1], HELD)
    before = now()
    await process.connect()
    assert process.heartbeat.beats_requested == 1
    assert 0.1 <= now() - before <= 0.2


@on_manual_time
async def test_a_node_that_redis_takes_for_dead_hurries_its_heartbeat_and_asks_again() -> None:
    process = ScriptedLeases()
    process.redis.reply_with(LEASE_ACQUIRE, [b"fenced"], HELD)
    before = now()
    await process.connect()
    assert process.heartbeat.beats_requested == 1
    assert now() - before == pytest.approx(HEARTBEAT_WAIT_SECONDS)


@on_manual_time
async def test_a_place_that_was_given_before_the_heartbeat_ran_out_is_not_believed() -> None:
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
async def test_while_there_is_no_heartbeat_no_place_is_taken_for_held() -> None:
    process = ScriptedLeases()
    process.heartbeat.expire()
    session = process.start()
    await asyncio.sleep(1)
    assert (session.acquiring.done(), session.lease.generation) == (False, "")
    assert process.heartbeat.beats_requested > 0
    process.heartbeat.renew()
    await session.acquiring
    assert generation(session.lease) == "17"


# ---- giving up


@on_manual_time
async def test_whoever_gives_up_leaves_nothing_behind() -> None:
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
async def test_whoever_gives_up_before_redis_has_answered_gives_back_what_it_may_have_got() -> None:
    process = ScriptedLeases()
    process.redis.hold(LEASE_ACQUIRE)
    session = process.start()
    await turns()
    session.acquiring.cancel()
    await turns()
    assert process.released == ["me|1|s1"]


@on_manual_time
async def test_a_place_that_redis_does_not_confirm_is_given_back_in_case_it_was_given() -> None:
    process = ScriptedLeases()
    process.redis.leave_unconfirmed(LEASE_ACQUIRE)
    with pytest.raises(Unavailable):
        await process.connect()
    assert process.released == ["me|1|s1"]
    assert process.counts("known", "acquired") == [0, 0]
