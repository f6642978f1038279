"""Waiting for an event, or until it is time."""

import asyncio

import pytest
from tannoy.shared.waiting import wait_up_to

from tests.support.clock import manual_clock, on_manual_time, turns


@on_manual_time
async def test_it_returns_when_the_time_has_passed() -> None:
    before = manual_clock().monotonic()
    await wait_up_to(3.0, asyncio.Event())
    assert manual_clock().monotonic() - before == pytest.approx(3.0)


@on_manual_time
async def test_it_returns_once_the_event_is_set() -> None:
    event = asyncio.Event()
    waiting = asyncio.create_task(wait_up_to(3.0, event))
    await asyncio.sleep(1.0)
    assert not waiting.done()
    event.set()
    await turns()
    assert waiting.done()


@on_manual_time
async def test_it_can_be_cancelled() -> None:
    waiting = asyncio.create_task(wait_up_to(3.0, asyncio.Event()))
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
