"""Heartbeats: where each is sent, what is sent with it, and what its reply says."""

import asyncio

import orjson
import pytest
from tannoy.fanout.lease_times import DEFAULT_TIMES
from tannoy.fanout.scripts import HEARTBEAT, NODE_TELL, NODES_LIST, SERVER_ENSURE
from tannoy.fanout.server_life import SeenData
from tannoy.shared.channels import PARTITIONS
from tannoy.shared.nodes import NodeInfo

from tests.support.clock import on_manual_time, turns
from tests.support.records import NODE
from tests.support.scripted_membership import (
    ALL,
    HEARTBEAT_SECONDS,
    KEYSPACE,
    MOMENT_SECONDS,
    VALID_SECONDS,
    ScriptedMembership,
)


@on_manual_time
async def test_a_heartbeat_is_sent_in_every_partition() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.redis.calls.clear()
    await process.beat()
    beats = [call for call in process.redis.calls if call.what == HEARTBEAT]
    assert [call.keys for call in beats] == [(KEYSPACE.heartbeats(part), KEYSPACE.server(part)) for part in ALL]
    assert process.redis.shared_words_of(HEARTBEAT) == [[b"me", b"%d" % DEFAULT_TIMES.lease_ms]] * 2


@on_manual_time
async def test_a_heartbeat_and_a_new_connection_state_the_most_beats_that_were_seen_in_this_life() -> None:
    process = ScriptedMembership()
    process.redis.reply_with(HEARTBEAT, [b"alive", 1, b"one", 3, 7, 0])
    await process.connect()
    process.redis.reply_with(HEARTBEAT, [b"alive", 1, b"one", 3, 5, 0])
    await process.beat()
    process.redis.calls.clear()
    await process.connect()
    assert {tuple(call[-2:]) for call in process.redis.arguments_of(HEARTBEAT)} == {(b"3", b"7")}
    assert {tuple(call[-2:]) for call in process.redis.arguments_of(SERVER_ENSURE)} == {(b"3", b"7")}


@on_manual_time
async def test_the_beats_of_another_life_are_counted_from_what_its_data_says() -> None:
    process = ScriptedMembership()
    process.redis.reply_with(HEARTBEAT, [b"alive", 1, b"one", 3, 7, 0])
    await process.connect()
    process.redis.reply_with(HEARTBEAT, [b"alive", 1, b"two", 4, 5, 0])
    await process.beat()
    assert {process.lives.seen(part) for part in ALL} == {SeenData(4, 5)}


@on_manual_time
async def test_the_description_of_the_node_is_sent_with_the_heartbeat() -> None:
    process = ScriptedMembership()
    await process.connect()
    (call,) = [call for call in process.redis.calls if call.what == NODE_TELL]
    incarnation, info = call.words
    assert (call.keys, incarnation) == ((KEYSPACE.node_info(),), b"me")
    assert NodeInfo.parse(orjson.loads(info)) == NODE


@on_manual_time
async def test_nodes_alive_is_the_highest_count_of_any_partition() -> None:
    process = ScriptedMembership()
    process.redis.reply_with(HEARTBEAT, *([b"alive", nodes % 5, b"one", 1, 1, 0] for nodes in range(PARTITIONS)))
    await process.connect()
    assert process.membership.nodes_alive == 4


@on_manual_time
async def test_beat_soon_sends_a_heartbeat_at_once() -> None:
    process = ScriptedMembership()
    await process.connect()
    running = asyncio.create_task(process.membership.run(process.redis))
    await turns()
    beats = process.membership.statistics().beats
    process.membership.beat_soon()
    await turns(10)
    running.cancel()
    assert process.membership.statistics().beats == beats + 1


@on_manual_time
async def test_an_unconfirmed_heartbeat_is_counted_and_the_next_one_is_sent() -> None:
    process = ScriptedMembership()
    await process.connect()
    running = asyncio.create_task(process.membership.run(process.redis))
    process.redis.leave_unconfirmed(HEARTBEAT)
    await asyncio.sleep(HEARTBEAT_SECONDS + MOMENT_SECONDS)
    assert process.membership.statistics().missed == 1
    assert process.valid_until == pytest.approx(VALID_SECONDS)
    process.redis.confirm_again(HEARTBEAT)
    await asyncio.sleep(HEARTBEAT_SECONDS)
    running.cancel()
    assert process.valid_until == pytest.approx(2 * HEARTBEAT_SECONDS + VALID_SECONDS)


@on_manual_time
async def test_no_heartbeat_is_queued_without_a_connection() -> None:
    process = ScriptedMembership()
    process.redis.disconnect()
    running = asyncio.create_task(process.membership.run(process.redis))
    await asyncio.sleep(5 * HEARTBEAT_SECONDS)
    running.cancel()
    assert process.redis.calls == []


@on_manual_time
async def test_leave_ends_the_heartbeat_in_every_partition() -> None:
    process = ScriptedMembership()
    await process.membership.leave(process.redis)
    assert process.redis.arguments_of(HEARTBEAT) == [[b"0", b"0"]] * PARTITIONS
    assert process.redis.shared_words_of(HEARTBEAT) == [[b"me", b"0"]]


@on_manual_time
async def test_list_nodes_returns_the_descriptions_of_the_nodes() -> None:
    process = ScriptedMembership()
    process.redis.reply_with(NODES_LIST, [orjson.dumps(NODE.as_object())])
    assert await process.membership.list_nodes(process.redis) == [NODE]
