"""Asking several servers the same thing at once, so that a frozen one holds nobody up, and the newest answer counts."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from .address import RedisAddress

OTHERS_WITHIN = 0.1
"""Seconds that the others have to contradict the first one that knows."""

QueryServer = Callable[[RedisAddress, tuple[tuple[str, ...], ...]], Awaitable[list[Any]]]
"""(server, commands): the answer to each, an error among them as a value. Raises OSError or a TannoyError."""

T = TypeVar("T")


async def query_all(
    servers: Sequence[RedisAddress], question: Callable[[RedisAddress], Awaitable[T | str]], *, within: float
) -> dict[RedisAddress, T | str]:
    """What each knows, or in words why it knows nothing. Of those that are late it is that they do not answer."""
    loop = asyncio.get_running_loop()
    questions = {asyncio.ensure_future(question(server)): server for server in servers}
    answers: dict[RedisAddress, T | str] = dict.fromkeys(servers, "does not answer")
    deadline, waiting = loop.time() + within, set(questions)
    try:
        while waiting and (left := deadline - loop.time()) > 0:
            done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            answers |= {questions[each]: each.result() for each in done}
            if not all(isinstance(each.result(), str) for each in done):
                deadline = min(deadline, loop.time() + OTHERS_WITHIN)
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return answers
