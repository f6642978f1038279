"""The pace of what a run does by itself: load at a rate, a line of progress. Nothing waits for an effect by these."""

import asyncio
from collections.abc import AsyncGenerator


async def ticks(every: float) -> AsyncGenerator[None]:
    """Now, and then every `every` seconds, for ever. What a busy machine delays is not made up for."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every
        yield
        await asyncio.sleep(max(0.0, due - loop.time()))
