"""Waits whose outcome is part of the verdict: a condition that does not become true is a result, not an error."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.support.waiting import ASK_AGAIN


async def becomes_true(condition: Callable[[], Awaitable[bool]], within: float) -> bool:
    """Wait at most `within` seconds for the condition; returns whether it became true. `eventually` raises instead."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + within
    while not await condition():
        if loop.time() > give_up:
            return False
        await asyncio.sleep(ASK_AGAIN * 5)
    return True
