"""Waiting for an event, or until it is time."""

import asyncio


async def wait_up_to(seconds: float, event: asyncio.Event) -> None:
    """Return once the event is set, or else when `seconds` have passed."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
