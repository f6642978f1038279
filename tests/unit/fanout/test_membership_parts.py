"""The heartbeat in a Redis Cluster: each server is greeted for its own partitions; only all together they count."""

import asyncio
from collections.abc import Sequence

import pytest
from tannoy.fanout.scripts import HEARTBEAT, NODE_TELL
from tannoy.shared.errors import Unavailable

from tests.support.clock import on_manual_time, turns
from tests.unit.fanout.test_membership import A_WHILE, ALL, HOLDS, KEYSPACE, Heart

LOW, HIGH = ALL[:32], ALL[32:]


async def greet(heart: Heart, partitions: Sequence[int]) -> None:
    await heart.membership.on_connected(heart.redis, partitions)


@on_manual_time
async def test_nothing_is_trusted_before_every_server_was_greeted() -> None:
    heart = Heart()
    await greet(heart, LOW)
    assert heart.membership.fence_if_expired()
    await greet(heart, HIGH)
    assert heart.membership.is_valid


@on_manual_time
async def test_each_server_hears_of_its_own_partitions_alone() -> None:
    heart = Heart()
    await greet(heart, HIGH)
    keys = {key for call in heart.redis.calls for key in call.keys}
    assert keys == {name(part) for part in HIGH for name in (KEYSPACE.heartbeats, KEYSPACE.server)}
    assert heart.membership.to_restate == set(HIGH)
    assert heart.redis.arguments_of(NODE_TELL) == []  # what it tells of itself lies in partition 0


@on_manual_time
async def test_what_is_held_holds_from_the_oldest_heartbeat_on() -> None:
    heart = Heart()
    await greet(heart, LOW)
    await asyncio.sleep(1)
    await greet(heart, HIGH)
    assert heart.holds_until == pytest.approx(HOLDS)
    await asyncio.sleep(1)
    await greet(heart, HIGH)
    assert heart.holds_until == pytest.approx(HOLDS)
    await greet(heart, LOW)
    assert heart.holds_until == pytest.approx(1 + HOLDS + 1)


@on_manual_time
async def test_after_it_has_run_out_one_server_alone_does_not_bring_it_back() -> None:
    heart = Heart()
    await greet(heart, ALL)
    await asyncio.sleep(HOLDS + A_WHILE)
    assert (heart.words, heart.membership.term) == (["expired"], 1)
    await greet(heart, LOW)
    assert heart.membership.fence_if_expired()
    assert (heart.words, heart.membership.term) == (["expired"], 1)
    await greet(heart, HIGH)
    assert heart.membership.is_valid


@on_manual_time
async def test_what_one_server_has_forgotten_is_stated_there_alone() -> None:
    heart = Heart()
    await greet(heart, ALL)
    heart.finds(before="unknown", server="another")
    await greet(heart, LOW)
    assert heart.restated == [(LOW, True)]
    heart.finds(before="expired", server="another", only=LOW)
    await greet(heart, LOW)
    assert heart.restated == [(LOW, True), (LOW, False)]


@on_manual_time
async def test_a_process_that_has_just_begun_has_nothing_to_state_anywhere() -> None:
    heart = Heart()
    heart.finds(before="unknown")
    await greet(heart, LOW)
    await greet(heart, HIGH)
    assert (heart.restated, heart.membership.is_valid) == ([], True)


@on_manual_time
async def test_what_could_not_be_stated_at_one_server_is_stated_there_and_nowhere_else() -> None:
    heart = Heart()
    await greet(heart, ALL)
    heart.finds(before="expired", only=HIGH)
    heart.restates = False
    with pytest.raises(Unavailable):
        await greet(heart, HIGH)
    heart.restates = True
    heart.finds()
    heart.restated.clear()
    await greet(heart, LOW)
    assert heart.restated == []
    await greet(heart, HIGH)
    assert heart.restated == [(HIGH, False)]


@on_manual_time
async def test_once_a_server_is_back_there_is_a_beat_to_all_of_them_at_once() -> None:
    heart = Heart()
    await greet(heart, ALL)
    running = asyncio.create_task(heart.membership.run(heart.redis))
    await asyncio.sleep(1)
    heart.redis.calls.clear()
    await greet(heart, LOW)
    await turns(30)
    running.cancel()
    assert len(heart.redis.arguments_of(HEARTBEAT)) == len(LOW) + len(ALL)
