"""Waiting for a condition in another process: asked again and again, within a bound. Never a sleep and a hope."""

import asyncio
import time
from collections.abc import Awaitable, Callable

ASK_AGAIN = 0.02
"""Seconds between the first looks at a condition, and between all of them where a test is about the time."""
ASK_AGAIN_MAX = 0.1
"""Seconds between two looks at a condition that takes long: each look costs its test and its node CPU."""
_SHARE = 0.1
"""Of the time that has passed: what a later look adds to a wait at most."""
PATIENCE = 60.0
"""Seconds for what has to come, on however busy a machine: it only bounds a failure, and no test is about it."""


async def eventually(condition: Callable[[], Awaitable[bool]], *, within: float = PATIENCE, what: str) -> float:
    """Seconds until `condition` held. Fails with `what` if it does not within `within` seconds.

    Give `within` only where the test is about that time.
    """
    started = time.monotonic()
    while not await condition():
        if time.monotonic() - started > within:
            raise AssertionError(f"not within {within:g} s: {what}")
        await asyncio.sleep(_pause(time.monotonic() - started) if within == PATIENCE else ASK_AGAIN)
    return time.monotonic() - started


def _pause(passed: float) -> float:
    """Seconds until the next look."""
    return min(max(ASK_AGAIN, passed * _SHARE), ASK_AGAIN_MAX)


async def value_becomes(read: Callable[[], Awaitable[object]], wanted: object, *, within: float = PATIENCE) -> None:
    """Wait until `read()` gives `wanted`; on failure say what it gave instead."""
    last: list[object] = [None]

    async def matches() -> bool:
        last[0] = await read()
        return last[0] == wanted

    try:
        await eventually(matches, within=within, what="")
    except AssertionError:
        raise AssertionError(f"wanted {wanted!r} within {within:g} s, last was {last[0]!r}") from None
