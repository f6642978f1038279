"""Send the same query to several servers at once, so that one that is frozen does not delay the answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from .address import RedisAddress

OTHERS_WITHIN = 0.1
"""Seconds, after the first useful answer, that the other servers have to give a newer one."""

QueryServer = Callable[[RedisAddress, tuple[tuple[str, ...], ...]], Awaitable[list[Any]]]
"""(server, commands): one reply for each command; an error reply is a value in the list.

Raises OSError or a TannoyError if the server can't be asked.
"""

T = TypeVar("T")


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
