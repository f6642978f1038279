"""Ask servers, on a connection of its own each; several at once, so that a frozen one does not delay the answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from .address import RedisAddress
from .dial import try_routes

OTHERS_WITHIN = 0.1
"""Seconds, after the first useful answer, that the other servers have to give a newer one."""

CREDENTIALS_SHARE = 0.75
"""Of the time for an answer, in which a provider has to give its credentials."""

Commands = tuple[tuple[str, ...], ...]
QueryServer = Callable[[RedisAddress, Commands, float], Awaitable[list[Any]]]
"""(server, commands, seconds): one reply for each command; an error reply is a value in the list.

Raises OSError or a TannoyError if the server can't be asked.
"""

T = TypeVar("T")


async def query_server(server: RedisAddress, commands: Commands, within: float) -> list[Any]:
    """Ask one server, by redis-py. An error reply is a RedisError in the list. `within` is in seconds.

    Raises OSError, TimeoutError, ConnectionLost, CannotConnect, and RedisError where Redis refuses the credentials.
    """
    from .redis_py import ask

    # Who asks stops to wait after `within` seconds, so a provider that hangs has to be told of before.
    login_within = CREDENTIALS_SHARE * within
    return await try_routes(
        server, lambda route: ask(route, commands, within), timeout=within, login_within=login_within
    )


async def query_all(
    servers: Sequence[RedisAddress], query: Callable[[RedisAddress], Awaitable[T | str]], *, within: float
) -> dict[RedisAddress, T | str]:
    """The answer of each server, or a string that says why it gave none. `within` is in seconds."""
    loop = asyncio.get_running_loop()
    queries = {asyncio.ensure_future(query(server)): server for server in servers}
    answers: dict[RedisAddress, T | str] = dict.fromkeys(servers, "does not answer")
    deadline, waiting = loop.time() + within, set(queries)
    try:
        while waiting and (left := deadline - loop.time()) > 0:
            done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            answers |= {queries[each]: each.result() for each in done}
            if not all(isinstance(each.result(), str) for each in done):
                deadline = min(deadline, loop.time() + OTHERS_WITHIN)
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return answers
