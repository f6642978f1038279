"""The pace of what a run does by itself: load at a rate, a line of progress. Nothing waits for an effect by these."""

import asyncio
from collections.abc import AsyncGenerator

WATCH_EVERY = 0.05
"""Seconds."""


async def ticks(every: float) -> AsyncGenerator[None]:
    """Now, and then every `every` seconds, for ever. What a busy machine delays is not made up for."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every
        yield
        await asyncio.sleep(max(0.0, due - loop.time()))


class LoopLag:
    """How late the event loop of this process has been: the proxies to Redis and all clients are part of it."""

    def __init__(self) -> None:
        self.longest = 0.0
        """Seconds."""

    async def watch(self) -> None:
        """Runs until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + WATCH_EVERY
            await asyncio.sleep(WATCH_EVERY)
            self.longest = max(self.longest, loop.time() - due)
