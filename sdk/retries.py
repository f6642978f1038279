"""Repeating what was not confirmed, until it is or the time is over."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..shared.backoff import full_jitter
from ..shared.errors import Unavailable

BACKOFF_BASE, BACKOFF_CAP = 0.05, 1.0
"""Seconds between two tries, with full jitter."""

T = TypeVar("T")


async def repeat(
    attempt: Callable[[], Awaitable[T]],
    failed: Unavailable,
    *,
    deadline: float,
    is_final: Callable[[Unavailable], bool] = lambda failed: False,
    least_pause: Callable[[Unavailable], float] = lambda failed: 0.0,
) -> T:
    """The result of `attempt`, which has failed once with `failed`, at the first time that it succeeds.

    `deadline` is a time of the event loop. Raises the last Unavailable that is final, or came before the deadline.
    Repeating has to be harmless: the attempt that was cut off by the deadline may still succeed.
    """
    tries = 0
    try:
        async with asyncio.timeout_at(deadline):
            while not is_final(failed):
                pause = full_jitter(tries, base=BACKOFF_BASE, cap=BACKOFF_CAP, uniform=random.uniform)
                await asyncio.sleep(max(pause, least_pause(failed)))
                tries += 1
                try:
                    return await attempt()
                except Unavailable as error:
                    failed = error
    except TimeoutError:
        pass
    raise failed
