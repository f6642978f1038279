"""Heartbeats over a connection whose server the address may not lead to any more."""

import asyncio

from tannoy.fanout.scripts import HEARTBEAT

from tests.support.clock import on_manual_time
from tests.support.scripted_membership import VALID_SECONDS, ScriptedMembership


@on_manual_time
async def test_a_heartbeat_counts_from_when_its_server_was_last_confirmed() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.redis.unconfirmed_for = 0.75
    await process.beat()
    assert process.valid_until == VALID_SECONDS - 0.75


@on_manual_time
async def test_a_heartbeat_counts_from_when_it_was_sent_once_its_server_is_confirmed() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.redis.unconfirmed_for = 0.75
    await process.beat()
    process.redis.confirm()
    await asyncio.sleep(VALID_SECONDS - 0.1)
    assert process.membership.is_valid
    assert process.valid_until == VALID_SECONDS
    await asyncio.sleep(0.2)
    assert process.event_names == ["expired"]


@on_manual_time
async def test_no_heartbeat_goes_over_a_connection_that_was_not_confirmed_for_half_of_its_time() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.redis.calls.clear()
    process.redis.unconfirmed_for = VALID_SECONDS / 2 + 0.001
    await process.beat()
    assert not process.redis.arguments_of(HEARTBEAT)
    assert process.valid_until == VALID_SECONDS, "it was not extended"


@on_manual_time
async def test_a_heartbeat_goes_over_a_connection_that_was_confirmed_in_half_of_its_time() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.redis.calls.clear()
    process.redis.unconfirmed_for = VALID_SECONDS / 2
    await process.beat()
    assert process.redis.arguments_of(HEARTBEAT)
