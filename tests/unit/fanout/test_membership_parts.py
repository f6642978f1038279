"""The heartbeat in a Redis Cluster: one for each server's partitions, valid only with all of them."""

import asyncio
from collections.abc import Sequence

import pytest
from tannoy.fanout.scripts import HEARTBEAT, NODE_TELL
from tannoy.shared.errors import Unavailable

from tests.support.clock import on_manual_time, turns
from tests.support.scripted_membership import ALL, KEYSPACE, MOMENT_SECONDS, VALID_SECONDS, ScriptedMembership

LOW, HIGH = ALL[:32], ALL[32:]


async def connect(process: ScriptedMembership, partitions: Sequence[int]) -> None:
    await process.membership.on_connected(process.redis, partitions)


@on_manual_time
async def test_membership_is_not_valid_before_every_server_has_a_heartbeat() -> None:
    process = ScriptedMembership()
    await connect(process, LOW)
    assert process.membership.fence_if_expired()
    await connect(process, HIGH)
    assert process.membership.is_valid


@on_manual_time
async def test_a_server_gets_the_heartbeats_of_its_own_partitions_only() -> None:
    process = ScriptedMembership()
    await connect(process, HIGH)
    keys = {key for call in process.redis.calls for key in call.keys}
    assert keys == {name(part) for part in HIGH for name in (KEYSPACE.heartbeats, KEYSPACE.server)}
    assert process.membership.to_restate == set(HIGH)
    assert process.redis.arguments_of(NODE_TELL) == []  # the description of a node is in partition 0


@on_manual_time
async def test_validity_counts_from_the_oldest_heartbeat_of_any_server() -> None:
    process = ScriptedMembership()
    await connect(process, LOW)
    await asyncio.sleep(1)
    await connect(process, HIGH)
    assert process.valid_until == pytest.approx(VALID_SECONDS)
    await asyncio.sleep(1)
    await connect(process, HIGH)
    assert process.valid_until == pytest.approx(VALID_SECONDS)
    await connect(process, LOW)
    assert process.valid_until == pytest.approx(1 + VALID_SECONDS + 1)


@on_manual_time
async def test_a_heartbeat_to_one_server_does_not_end_an_expiry() -> None:
    process = ScriptedMembership()
    await connect(process, ALL)
    await asyncio.sleep(VALID_SECONDS + MOMENT_SECONDS)
    assert (process.event_names, process.membership.term) == (["expired"], 1)
    await connect(process, LOW)
    assert process.membership.fence_if_expired()
    assert (process.event_names, process.membership.term) == (["expired"], 1)
    await connect(process, HIGH)
    assert process.membership.is_valid


@on_manual_time
async def test_the_loss_of_one_server_is_restated_there_only() -> None:
    process = ScriptedMembership()
    await connect(process, ALL)
    process.answer_heartbeats(before="unknown", server="another")
    await connect(process, LOW)
    assert process.restated == [(LOW, True)]
    process.answer_heartbeats(before="expired", server="another", only=LOW)
    await connect(process, LOW)
    assert process.restated == [(LOW, True), (LOW, False)]


@on_manual_time
async def test_the_first_heartbeats_of_a_process_restate_nothing_on_any_server() -> None:
    process = ScriptedMembership()
    process.answer_heartbeats(before="unknown")
    await connect(process, LOW)
    await connect(process, HIGH)
    assert (process.restated, process.membership.is_valid) == ([], True)


@on_manual_time
async def test_a_failed_restate_is_retried_on_the_same_server_only() -> None:
    process = ScriptedMembership()
    await connect(process, ALL)
    process.answer_heartbeats(before="expired", only=HIGH)
    process.can_restate = False
    with pytest.raises(Unavailable):
        await connect(process, HIGH)
    process.can_restate = True
    process.answer_heartbeats()
    process.restated.clear()
    await connect(process, LOW)
    assert process.restated == []
    await connect(process, HIGH)
    assert process.restated == [(HIGH, False)]


@on_manual_time
async def test_a_reconnected_server_makes_a_heartbeat_go_to_all_at_once() -> None:
    process = ScriptedMembership()
    await connect(process, ALL)
    running = asyncio.create_task(process.membership.run(process.redis))
    await asyncio.sleep(1)
    process.redis.calls.clear()
    await connect(process, LOW)
    await turns(30)
    running.cancel()
    assert len(process.redis.arguments_of(HEARTBEAT)) == len(LOW) + len(ALL)
