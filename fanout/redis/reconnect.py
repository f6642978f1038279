"""How every connection to Redis is kept: one after another, for ever, with full jitter between those that fail."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from ...shared.backoff import full_jitter
from .address import Address, RedisAddress, SentinelAddress
from .connection import ask_server
from .errors import ConnectionLost, RedisError
from .sentinel import NoMaster, keep_informed

_log = structlog.get_logger("tannoy.redis")


async def keep_connected(
    connection: Callable[[], Awaitable[bool]], *, address: Address, what: str, base: float, cap: float
) -> None:
    """Run `connection` again and again; it ends when its connection is lost, and tells whether that was ever of use.

    `what` is the sentence for the log; `base` and `cap` of the back-off are in seconds. Only what no retry can mend
    gets out of here.
    """
    if not isinstance(address, SentinelAddress):
        await _keep(connection, address, what, base, cap)
        return
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_informed(address, ask_server))
        await _keep(connection, address, what, base, cap)


async def _keep(
    connection: Callable[[], Awaitable[bool]], address: Address, what: str, base: float, cap: float
) -> None:
    attempt = 0
    while True:
        tried = _named(address)
        try:
            attempt = 0 if await connection() else attempt + 1
        except (OSError, ConnectionLost, RedisError, NoMaster) as error:
            # Once an outage; whoever wants each attempt asks for DEBUG.
            log = _log.debug if attempt else _log.warning
            log(what, redis=str(address), error=str(error) or type(error).__name__)
            attempt += 1
        if _named(address) == tried:
            await _rest(address, full_jitter(attempt, base=base, cap=cap, uniform=random.uniform))


def _named(address: Address) -> RedisAddress | None:
    return address.newest.server if isinstance(address, SentinelAddress) and address.newest else None


async def _rest(address: Address, seconds: float) -> None:
    """At most `seconds`: a master that is named only now is tried at once."""
    if isinstance(address, SentinelAddress):
        await asyncio.wait((address.next_move(),), timeout=seconds)
    else:
        await asyncio.sleep(seconds)
