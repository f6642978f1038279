"""Under another server: say goodbye before its own signal handler closes the sockets without a word."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def goodbye_first(say_goodbye: Callable[[], Coroutine[Any, Any, None]]) -> Generator[None]:
    """Inside it, the first SIGTERM or SIGINT says goodbye and then does what it would have done; a second one at once.

    Only in the main thread, where signals arrive. A server that handles signals by the event loop's own means (as
    hypercorn does) is not held back: then both happen at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def go_on(number: int) -> None:
        signal.signal(number, before[signal.Signals(number)])
        signal.raise_signal(number)

    def begin(number: int) -> None:
        task = loop.create_task(say_goodbye())
        task.add_done_callback(lambda _: go_on(number))

    def handle(number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, before[each])
        loop.call_soon_threadsafe(begin, number)

    for number in SIGNALS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in SIGNALS:
            if signal.getsignal(number) is handle:
                signal.signal(number, before[number])
