"""Waiting for a condition about which a verdict is to be found: that it does not become true is a result."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.support.waiting import ASK_AGAIN


async def holds(condition: Callable[[], Awaitable[bool]], within: float) -> bool:
    """Like `eventually`, for what a verdict is to be found about: whether it held at last."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + within
    while not await condition():
        if loop.time() > give_up:
            return False
        await asyncio.sleep(ASK_AGAIN * 5)
    return True
