"""How every connection to Redis is kept: one after another, for ever, with full jitter between those that fail."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from ..shared.policy import full_jitter
from .wire import RedisAddress, ServerRefused, WireLost

_log = structlog.get_logger("tannoy.redis")


async def keep_connected(
    connection: Callable[[], Awaitable[bool]], *, address: RedisAddress, what: str, base: float, cap: float
) -> None:
    """Run `connection` again and again; it ends when its connection is lost, and tells whether that was ever of use.

    `what` is the sentence for the log; `base` and `cap` of the back-off are in seconds. Only what no retry can mend
    gets out of here.
    """
    attempt = 0
    while True:
        try:
            attempt = 0 if await connection() else attempt + 1
        except (OSError, TimeoutError, WireLost, ServerRefused) as error:
            # Once an outage; whoever wants each attempt asks for DEBUG.
            log = _log.debug if attempt else _log.warning
            log(what, redis=str(address), error=str(error) or type(error).__name__)
            attempt += 1
        await asyncio.sleep(full_jitter(attempt, base=base, cap=cap, uniform=random.uniform))
