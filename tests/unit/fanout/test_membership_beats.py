"""One heartbeat after the other: where each goes, what goes with it, and what it tells."""

import asyncio

import orjson
import pytest
from tannoy.fanout.lease_times import DEFAULT_TIMES
from tannoy.fanout.scripts import HEARTBEAT, NODE_TELL, NODES_LIST
from tannoy.shared.channels import PARTITIONS
from tannoy.shared.nodes import NodeInfo

from tests.support.clock import on_manual_time, turns
from tests.support.records import NODE
from tests.unit.fanout.test_membership import A_WHILE, ALL, BEAT, HOLDS, KEYSPACE, Heart


@on_manual_time
async def test_a_heartbeat_goes_to_every_partition_in_one_go() -> None:
    heart = Heart()
    await heart.greet()
    heart.redis.calls.clear()
    await heart.beat()
    beats = [call for call in heart.redis.calls if call.what == HEARTBEAT]
    assert [call.keys for call in beats] == [(KEYSPACE.heartbeats(part), KEYSPACE.server(part)) for part in ALL]
    assert {tuple(call.words) for call in beats} == {(b"me", b"%d" % DEFAULT_TIMES.lease_ms)}


@on_manual_time
async def test_with_the_heartbeat_goes_what_others_may_know_of_the_node() -> None:
    heart = Heart()
    await heart.greet()
    (call,) = [call for call in heart.redis.calls if call.what == NODE_TELL]
    incarnation, info = call.words
    assert (call.keys, incarnation) == ((KEYSPACE.node_info(),), b"me")
    assert NodeInfo.parse(orjson.loads(info)) == NODE


@on_manual_time
async def test_the_number_of_nodes_is_the_highest_that_any_partition_tells() -> None:
    heart = Heart()
    heart.redis.reply_with(HEARTBEAT, *([b"alive", nodes % 5, b"one"] for nodes in range(PARTITIONS)))
    await heart.greet()
    assert heart.membership.nodes_alive == 4


@on_manual_time
async def test_hurry_does_not_wait_for_the_next_heartbeats_time() -> None:
    heart = Heart()
    await heart.greet()
    running = asyncio.create_task(heart.membership.run(heart.redis))
    await turns()
    beats = heart.membership.statistics().beats
    heart.membership.beat_soon()
    await turns(10)
    running.cancel()
    assert heart.membership.statistics().beats == beats + 1


@on_manual_time
async def test_a_heartbeat_that_redis_does_not_confirm_is_counted_and_the_next_one_follows() -> None:
    heart = Heart()
    await heart.greet()
    running = asyncio.create_task(heart.membership.run(heart.redis))
    heart.redis.leave_unconfirmed(HEARTBEAT)
    await asyncio.sleep(BEAT + A_WHILE)
    assert heart.membership.statistics().missed == 1
    assert heart.holds_until == pytest.approx(HOLDS)
    heart.redis.confirm_again(HEARTBEAT)
    await asyncio.sleep(BEAT)
    running.cancel()
    assert heart.holds_until == pytest.approx(2 * BEAT + HOLDS)


@on_manual_time
async def test_without_a_connection_no_heartbeat_is_queued() -> None:
    heart = Heart()
    heart.redis.disconnect()
    running = asyncio.create_task(heart.membership.run(heart.redis))
    await asyncio.sleep(5 * BEAT)
    running.cancel()
    assert heart.redis.calls == []


@on_manual_time
async def test_whoever_leaves_lets_its_heartbeat_run_out_in_every_partition() -> None:
    heart = Heart()
    await heart.membership.leave(heart.redis)
    assert heart.redis.arguments_of(HEARTBEAT) == [[b"me", b"0"]] * PARTITIONS


@on_manual_time
async def test_the_living_nodes_are_told_as_they_described_themselves() -> None:
    heart = Heart()
    heart.redis.reply_with(NODES_LIST, [orjson.dumps(NODE.as_object())])
    assert await heart.membership.list_nodes(heart.redis) == [NODE]
