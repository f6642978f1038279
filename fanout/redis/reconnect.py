"""Keep a connection to Redis: open one after another, for ever, with full jitter between attempts that fail."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from ...shared.backoff import full_jitter
from ...shared.logs import get_logger
from .address import RedisAddress
from .errors import ConnectionLost, RedisError
from .query import query_server
from .sentinel import MasterDiscovery, NoMaster, Target

_log = get_logger("tannoy.redis")


async def keep_connected(
    run_connection: Callable[[], Awaitable[bool]], *, target: Target, what: str, base: float, cap: float
) -> None:
    """Call `run_connection` again and again. It returns when its connection is lost: True if it had been in use.

    `what` is the sentence for the log; `base` and `cap` of the back-off are in seconds. Never returns. Raises what
    `run_connection` raises and no retry can mend: all but OSError, ConnectionLost, RedisError and NoMaster.
    """
    if isinstance(target, RedisAddress):
        await _keep(run_connection, target, what, base, cap)
        return
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(target.keep_current(query_server))
        await _keep(run_connection, target, what, base, cap)


async def _keep(
    run_connection: Callable[[], Awaitable[bool]], target: Target, what: str, base: float, cap: float
) -> None:
    attempt = 0
    while True:
        tried = _named(target)
        try:
            attempt = 0 if await run_connection() else attempt + 1
        except (OSError, ConnectionLost, RedisError, NoMaster) as error:
            # A warning for the first failed attempt of an outage, DEBUG for all further ones.
            log = _log.debug if attempt else _log.warning
            log(what, redis=str(target), error=str(error) or type(error).__name__)
            attempt += 1
        if _named(target) == tried:
            await _wait(target, full_jitter(attempt, base=base, cap=cap, uniform=random.uniform))


def _named(target: Target) -> RedisAddress | None:
    """The server that the Sentinels named last; None without Sentinels."""
    return target.newest.server if isinstance(target, MasterDiscovery) and target.newest else None


async def _wait(target: Target, seconds: float) -> None:
    """At most `seconds`: as soon as the Sentinels name another master, it is tried."""
    if isinstance(target, MasterDiscovery):
        await asyncio.wait((target.next_move(),), timeout=seconds)
    else:
        await asyncio.sleep(seconds)
