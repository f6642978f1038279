"""Until when a process may act on its heartbeat, and what happens when it expires."""

import asyncio

import pytest
from tannoy.fanout.scripts import HEARTBEAT

from tests.support.clock import manual_clock, on_manual_time
from tests.support.scripted_membership import (
    HEARTBEAT_SECONDS,
    MOMENT_SECONDS,
    VALID_SECONDS,
    ClockBehind,
    ScriptedMembership,
)


@on_manual_time
async def test_membership_before_the_first_heartbeat_is_not_valid_and_does_not_expire() -> None:
    process = ScriptedMembership()
    assert process.membership.fence_if_expired()
    assert (process.events, process.membership.term) == ([], 0)


@on_manual_time
async def test_a_heartbeat_is_valid_from_before_it_was_sent() -> None:
    process = ScriptedMembership()
    process.redis.hold(HEARTBEAT)
    connecting = asyncio.create_task(process.connect())
    await asyncio.sleep(0.4)
    process.redis.answer_held(HEARTBEAT)
    await connecting
    assert process.valid_until == pytest.approx(VALID_SECONDS)


@on_manual_time
async def test_the_expiry_is_reported_by_a_timer() -> None:
    process = ScriptedMembership()
    await process.connect()
    await asyncio.sleep(VALID_SECONDS - MOMENT_SECONDS)
    assert (process.event_names, process.membership.is_valid) == ([], True)
    await asyncio.sleep(2 * MOMENT_SECONDS)
    assert (process.event_names, process.membership.is_valid, process.membership.term) == (["expired"], False, 1)


@on_manual_time
async def test_the_expiry_is_reported_although_its_timer_fires_early() -> None:
    # uvloop counts whole milliseconds from a rounded now: half of its timers fire up to 1.2 ms early.
    clock = ClockBehind()
    process = ScriptedMembership(clock)
    await process.connect()
    clock.behind = 0.001
    await asyncio.sleep(VALID_SECONDS + 1)
    assert process.event_names == ["expired"]


@on_manual_time
async def test_fence_if_expired_after_a_freeze_reports_the_expiry() -> None:
    process = ScriptedMembership()
    await process.connect()
    manual_clock().advance(VALID_SECONDS)  # no timer has run
    assert process.event_names == []
    assert process.membership.fence_if_expired()
    assert process.event_names == ["expired"]


@on_manual_time
async def test_the_expiry_is_reported_once() -> None:
    process = ScriptedMembership()
    await process.connect()
    await asyncio.sleep(VALID_SECONDS + MOMENT_SECONDS)
    for _ in range(3):
        assert process.membership.fence_if_expired()
    assert (process.event_names, process.membership.term) == (["expired"], 1)


@on_manual_time
async def test_regular_heartbeats_keep_membership_valid() -> None:
    process = ScriptedMembership()
    await process.connect()
    running = asyncio.create_task(process.membership.run(process.redis))
    await asyncio.sleep(100)
    running.cancel()
    assert (process.event_names, process.membership.is_valid) == ([], True)
    assert (
        process.membership.statistics().beats == 1 + 100 / HEARTBEAT_SECONDS - 1
    )  # the last is due at this very moment


@on_manual_time
async def test_a_reply_after_the_expiry_does_not_undo_it() -> None:
    process = ScriptedMembership()
    await process.connect()
    await asyncio.sleep(VALID_SECONDS - 1)
    process.redis.hold(HEARTBEAT)
    connecting = asyncio.create_task(process.connect())
    await asyncio.sleep(1.5)
    process.redis.answer_held(HEARTBEAT)
    await connecting
    assert (process.event_names, process.membership.term) == (["expired"], 1)
    assert process.valid_until == pytest.approx(VALID_SECONDS - 1 + VALID_SECONDS), (
        "valid again from the new heartbeat on"
    )


@on_manual_time
async def test_a_reply_after_its_own_validity_does_not_make_membership_valid() -> None:
    process = ScriptedMembership()
    process.redis.hold(HEARTBEAT)
    connecting = asyncio.create_task(process.connect())
    await asyncio.sleep(VALID_SECONDS + MOMENT_SECONDS)
    process.redis.answer_held(HEARTBEAT)
    await connecting
    assert process.membership.fence_if_expired()
