"""What a heartbeat may find, another server or itself taken for dead, and what is stated before it is extended."""

import asyncio

import pytest
from tannoy.fanout.lease_times import DEFAULT_TIMES
from tannoy.fanout.redis.errors import ConnectionLost
from tannoy.fanout.scripts import HEARTBEAT, NODE_TELL, SERVER_ENSURE
from tannoy.shared.errors import Unavailable

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.unit.fanout.test_membership import A_WHILE, AFTER_LOSS, ALL, BEAT, HOLDS, KEYSPACE, SERVER_OF, Heart

RECOVERY = DEFAULT_TIMES.recovery_seconds

# ---- greeting a connection


@on_manual_time
async def test_a_new_connection_is_asked_which_server_it_is_before_the_heartbeat_goes_out() -> None:
    heart = Heart()
    await heart.greet()
    assert [call.what for call in heart.redis.calls] == [SERVER_ENSURE] * 64 + [HEARTBEAT] * 64 + [NODE_TELL]


@on_manual_time
async def test_after_a_new_connection_every_partition_is_looked_at() -> None:
    heart = Heart()
    await heart.greet()
    assert heart.membership.to_restate == set(ALL)


@on_manual_time
async def test_a_process_that_has_just_begun_has_nothing_to_state() -> None:
    heart = Heart()
    heart.finds(before="unknown", server="one")
    await heart.greet()
    assert (heart.restated, heart.membership.is_valid) == ([], True)


@on_manual_time
async def test_a_connection_that_is_lost_while_it_is_greeted_extends_nothing() -> None:
    heart = Heart()
    heart.redis.leave_unconfirmed(HEARTBEAT)
    with pytest.raises(ConnectionLost):
        await heart.greet()
    assert not heart.membership.is_valid


@on_manual_time
async def test_a_server_that_may_have_forgotten_gives_no_places_for_the_longest_time_that_any_partition_asks() -> None:
    heart = Heart()
    heart.redis.reply_with(SERVER_ENSURE, [b"one", DEFAULT_TIMES.recovery_ms], [b"one", 0])
    await heart.greet()
    assert heart.lives.recovers_for == pytest.approx(RECOVERY)
    await asyncio.sleep(RECOVERY - 1)
    assert heart.lives.recovers_for == pytest.approx(1)
    await asyncio.sleep(1 + A_WHILE)
    assert heart.lives.recovers_for == 0


# ---- what was lost


@on_manual_time
async def test_where_all_is_well_nothing_is_stated() -> None:
    heart = Heart()
    await heart.greet()
    for _ in range(3):
        await heart.beat()
    assert heart.restated == []


@pytest.mark.parametrize("before", ["expired", "unknown"])
@on_manual_time
async def test_where_it_was_taken_for_dead_what_is_missing_is_not_added(before: str) -> None:
    heart = Heart()
    await heart.greet()
    heart.finds(before=before, only=[3, 60])
    await heart.beat()
    assert heart.restated == [([3, 60], False)]


@on_manual_time
async def test_where_it_is_another_server_what_is_missing_is_added() -> None:
    heart = Heart()
    await heart.greet()
    heart.finds(server="two", only=[0, 63])
    await heart.beat()
    assert heart.restated == [([0, 63], True)]


@on_manual_time
async def test_another_server_that_does_not_know_it_is_stated_to_once() -> None:
    heart = Heart()
    await heart.greet()
    heart.finds(before="unknown", server="two")
    await heart.beat()
    assert heart.restated == [(ALL, True)]


@on_manual_time
async def test_another_server_is_stated_to_once_and_not_with_every_heartbeat() -> None:
    heart = Heart()
    await heart.greet()
    heart.finds(server="two")
    for _ in range(3):
        await heart.beat()
    assert heart.restated == [(ALL, True)]


@pytest.mark.parametrize(("before", "server"), [("expired", "one"), ("alive", "two"), ("unknown", "")])
@on_manual_time
async def test_it_is_stated_before_the_lease_is_extended(before: str, server: str) -> None:
    heart = Heart()
    await heart.greet()
    heart.finds(before, server, only=[7])
    await asyncio.sleep(BEAT)
    await heart.beat()
    ((word, held_until),) = heart.told
    assert word == "restate"
    assert held_until == pytest.approx(HOLDS)
    assert heart.holds_until == pytest.approx(BEAT + HOLDS)


@pytest.mark.parametrize(("before", "server"), [("expired", "one"), ("alive", "two"), ("unknown", "")])
@on_manual_time
async def test_while_it_can_not_be_stated_the_lease_is_not_extended(before: str, server: str) -> None:
    heart = Heart()
    await heart.greet()
    heart.finds(before, server, only=[7])
    heart.restates = False
    await asyncio.sleep(BEAT)
    await heart.beat()
    assert heart.words == ["restate"]
    assert heart.holds_until == pytest.approx(HOLDS)


@pytest.mark.parametrize("greets", [True, False], ids=["on a new connection", "on the same connection"])
@on_manual_time
async def test_what_could_not_be_stated_to_another_server_is_stated_with_the_next_heartbeat(greets: bool) -> None:
    heart = Heart()
    await heart.greet()
    heart.finds(server="two", only=[7])
    heart.restates = False
    await heart.beat()
    heart.restates = True
    await (heart.greet() if greets else heart.beat())
    assert heart.restated == [([7], True), ([7], True)]


@pytest.mark.parametrize("greets", [True, False], ids=["on a new connection", "on the same connection"])
@on_manual_time
async def test_what_could_not_be_stated_when_it_was_taken_for_dead_is_stated_with_the_next_heartbeat(
    greets: bool,
) -> None:
    heart = Heart()
    await heart.greet()
    heart.finds(before="expired", only=[7])
    heart.restates = False
    await heart.beat()
    heart.restates = True
    heart.finds()
    await (heart.greet() if greets else heart.beat())
    assert heart.restated == [([7], False), ([7], False)]


@pytest.mark.parametrize("fails", ["the heartbeat of another partition", "what the node tells of itself"])
@on_manual_time
async def test_what_a_heartbeat_found_is_not_forgotten_where_the_rest_of_it_fails(fails: str) -> None:
    heart = Heart()
    await heart.greet()
    answers: list[object] = [[b"alive", 1, b"one"] for _ in ALL]
    answers[7] = [b"expired", 1, b"one"]
    if "heartbeat" in fails:
        answers[8] = Unavailable("not now")
    else:
        heart.redis.reply_with(NODE_TELL, Unavailable("not now"), 1)
    heart.redis.reply_with(HEARTBEAT, *answers, [b"alive", 1, b"one"])
    await heart.beat()
    assert heart.membership.statistics().missed == 1
    await heart.beat()
    assert heart.restated == [([7], False)]


@on_manual_time
async def test_what_was_lost_is_looked_at_again() -> None:
    heart = Heart()
    await heart.greet()
    heart.membership.to_restate.clear()
    heart.finds(before="expired", only=[1])
    await heart.beat()
    heart.finds(server="two", only=[2])
    await heart.beat()
    assert heart.membership.to_restate == {1, 2}


@on_manual_time
async def test_a_server_that_has_lost_its_data_is_made_to_wait_before_it_gives_places() -> None:
    heart = Heart()
    await heart.greet()
    heart.redis.calls.clear()
    heart.finds(before="unknown", server="", only=[7])
    await heart.beat()
    asked = [call for call in heart.redis.calls if call.what == SERVER_ENSURE]
    assert [(call.keys, call.words) for call in asked] == [((KEYSPACE.server(part),), [b"5500"]) for part in ALL]
    assert heart.restated == [([7], True)]
    assert heart.lives.recovers_for == pytest.approx(RECOVERY)


@on_manual_time
async def test_a_server_that_has_lost_its_data_is_stated_to_once() -> None:
    heart = Heart()
    await heart.greet()
    heart.finds(before="unknown", server="", only=[7])
    await heart.beat()
    heart.finds(server=AFTER_LOSS, only=[7])
    for _ in range(3):
        await heart.beat()
    assert heart.restated == [([7], True)]


@on_manual_time
async def test_what_could_not_be_stated_to_a_server_that_has_lost_its_data_is_stated_with_the_next_heartbeat() -> None:
    heart = Heart()
    await heart.greet()
    heart.finds(before="unknown", server="", only=[7])
    heart.restates = False
    await heart.beat()
    heart.restates = True
    heart.finds(server=AFTER_LOSS, only=[7])
    await heart.beat()
    assert heart.restated == [([7], True), ([7], True)]


@on_manual_time
async def test_the_lives_of_all_partitions_are_taken_as_they_are_once_one_was_found_empty() -> None:
    heart = Heart()
    await heart.greet()
    heart.finds(before="unknown", server="", only=[7])
    heart.redis.reply_with(SERVER_ENSURE, lambda call: [b"two" if SERVER_OF[call.keys[0]] in (3, 7) else b"one", 0])
    await heart.beat()
    assert heart.restated == [([3, 7], True)]


@pytest.mark.parametrize(("before", "restated"), [("alive", []), ("expired", [([7], False)])])
@on_manual_time
async def test_where_the_life_is_the_one_that_was_known_nothing_is_added(before: str, restated: list[object]) -> None:
    heart = Heart()
    await heart.greet()
    heart.finds(before=before, server="", only=[7])
    heart.redis.reply_with(SERVER_ENSURE, [b"one", 0])
    await heart.beat()
    assert heart.restated == restated


@on_manual_time
async def test_a_server_that_is_known_is_not_asked_again_with_every_heartbeat() -> None:
    heart = Heart()
    await heart.greet()
    heart.redis.calls.clear()
    await heart.beat()
    assert heart.redis.arguments_of(SERVER_ENSURE) == []


@on_manual_time
async def test_what_has_run_out_while_redis_answered_is_told_before_it_holds_again() -> None:
    heart = Heart()
    await heart.greet()
    await asyncio.sleep(HOLDS - 1)
    heart.redis.hold(NODE_TELL)
    beating = asyncio.create_task(heart.membership.run(heart.redis))
    heart.membership.beat_soon()
    await turns(10)
    manual_clock().advance(2)  # frozen: the answer and the timer are due at once, and the answer comes first
    heart.redis.answer_held(NODE_TELL)
    await turns(10)
    beating.cancel()
    assert (heart.words, heart.membership.term) == (["expired"], 1)
    assert heart.holds_until == pytest.approx(HOLDS - 1 + HOLDS)


@on_manual_time
async def test_what_has_run_out_while_it_was_stated_is_told_before_it_holds_again() -> None:
    heart = Heart()
    await heart.greet()
    await asyncio.sleep(HOLDS - A_WHILE)
    heart.finds(server="two", only=[7])
    heart.redis.hold(NODE_TELL)
    beating = asyncio.create_task(heart.greet())
    await asyncio.sleep(2 * A_WHILE)
    heart.redis.answer_held(NODE_TELL)
    await beating
    assert heart.words == ["expired", "restate"]
    assert heart.membership.is_valid
