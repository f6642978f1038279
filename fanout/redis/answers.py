"""What a caller makes of the answer to a command, as a future of its own."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ...shared.errors import MalformedBytes, Unavailable
from ...shared.logs import EventLogger
from .connection import Reply

T = TypeVar("T")


def read_later(answer: "asyncio.Future[Reply]", read: Callable[[Reply], T]) -> "asyncio.Future[T]":
    """A future for what `read` makes of the answer.

    It raises Unavailable: what `answer` raises, or that `read` raised Unavailable, MalformedBytes or ValueError.
    """
    result: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def on_answer(answer: "asyncio.Future[Reply]") -> None:
        error = answer.exception()
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
            return
        try:
            result.set_result(read(answer.result()))
        except Unavailable as refusal:
            # Its traceback has this frame, which has the future: only the garbage collector would free the circle.
            result.set_exception(refusal.with_traceback(None))
        except (MalformedBytes, ValueError) as refusal:
            result.set_exception(Unavailable(str(refusal)))

    answer.add_done_callback(on_answer)
    return result


def ignore_failure(answer: "asyncio.Future[Reply]") -> None:
    """A done callback where a failure needs nothing: what Redis did not do now expires, or is found again."""
    if not answer.cancelled():
        answer.exception()


def log_failure(log: EventLogger, event: str) -> "Callable[[asyncio.Future[Reply]], None]":
    """A done callback where nobody waits for the answer: a failure is logged as this event."""

    def on_answer(answer: "asyncio.Future[Reply]") -> None:
        if error := answer.exception():
            log.warning(event, error=str(error))

    return on_answer
