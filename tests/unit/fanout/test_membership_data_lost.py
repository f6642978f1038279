"""A server that has lost data of a partition: the lives of all are read again, it recovers, and is restated to once."""

import asyncio

import pytest
from tannoy.fanout.lease_times import DEFAULT_TIMES
from tannoy.fanout.scripts import SERVER_ENSURE

from tests.support.clock import on_manual_time
from tests.support.scripted_membership import AFTER_LOSS, ALL, KEYSPACE, MOMENT_SECONDS, SERVER_OF, ScriptedMembership

RECOVERY_SECONDS = DEFAULT_TIMES.recovery_seconds


@on_manual_time
async def test_the_recovery_of_a_server_lasts_as_long_as_that_of_any_partition() -> None:
    process = ScriptedMembership()
    process.redis.reply_with(SERVER_ENSURE, [b"one", DEFAULT_TIMES.recovery_ms, 1, 0], [b"one", 0, 1, 0])
    await process.connect()
    assert process.lives.recovers_for == pytest.approx(RECOVERY_SECONDS)
    await asyncio.sleep(RECOVERY_SECONDS - 1)
    assert process.lives.recovers_for == pytest.approx(1)
    await asyncio.sleep(1 + MOMENT_SECONDS)
    assert process.lives.recovers_for == 0


@on_manual_time
async def test_a_server_that_has_lost_its_data_starts_a_recovery() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.redis.calls.clear()
    process.answer_heartbeats(before="unknown", server="", only=[7])
    await process.beat()
    asked = [call for call in process.redis.calls if call.what == SERVER_ENSURE]
    assert [(call.keys, call.words[0]) for call in asked] == [((KEYSPACE.server(part),), b"5500") for part in ALL]
    assert process.restated == [([7], True)]
    assert process.lives.recovers_for == pytest.approx(RECOVERY_SECONDS)


@on_manual_time
async def test_a_server_that_has_lost_its_data_is_restated_to_once() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.answer_heartbeats(before="unknown", server="", only=[7])
    await process.beat()
    process.answer_heartbeats(server=AFTER_LOSS, only=[7])
    for _ in range(3):
        await process.beat()
    assert process.restated == [([7], True)]


@on_manual_time
async def test_a_failed_restate_after_a_loss_of_data_is_retried_with_the_next_heartbeat() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.answer_heartbeats(before="unknown", server="", only=[7])
    process.can_restate = False
    await process.beat()
    process.can_restate = True
    process.answer_heartbeats(server=AFTER_LOSS, only=[7])
    await process.beat()
    assert process.restated == [([7], True), ([7], True)]


@on_manual_time
async def test_a_partition_without_a_life_makes_the_lives_of_all_be_read_again() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.answer_heartbeats(before="unknown", server="", only=[7])
    process.redis.reply_with(
        SERVER_ENSURE, lambda call: [b"two" if SERVER_OF[call.keys[0]] in (3, 7) else b"one", 0, 1, 0]
    )
    await process.beat()
    assert process.restated == [([3, 7], True)]


@pytest.mark.parametrize(("before", "restated"), [("alive", []), ("expired", [([7], False)])])
@on_manual_time
async def test_a_server_of_the_known_life_gets_no_leases_added(before: str, restated: list[object]) -> None:
    process = ScriptedMembership()
    await process.connect()
    process.answer_heartbeats(before=before, server="", only=[7])
    process.redis.reply_with(SERVER_ENSURE, [b"one", 0, 1, 0])
    await process.beat()
    assert process.restated == restated


@on_manual_time
async def test_the_life_of_a_known_server_is_not_checked_with_every_heartbeat() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.redis.calls.clear()
    await process.beat()
    assert process.redis.arguments_of(SERVER_ENSURE) == []
