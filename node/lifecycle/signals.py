"""Running a coroutine before the signal handlers of the ASGI server, which close the connections without a `bye`."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def run_before_signal_handlers(run: Callable[[], Coroutine[Any, Any, None]]) -> Generator[None]:
    """For the length of a block: on the first SIGTERM or SIGINT, run `run()`, then the handler installed before.

    A second signal runs that handler at once. Only in the main thread, where Python handles signals; elsewhere it does
    nothing. A server that handles signals by means of the event loop (hypercorn) is not delayed: it stops at once,
    while `run()` runs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    previous = {number: signal.getsignal(number) for number in SIGNALS}

    def raise_again(number: int) -> None:
        signal.signal(number, previous[signal.Signals(number)])
        signal.raise_signal(number)

    def start(number: int) -> None:
        task = loop.create_task(run())
        task.add_done_callback(lambda _: raise_again(number))

    def handle(number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, previous[each])
        loop.call_soon_threadsafe(start, number)

    for number in SIGNALS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in SIGNALS:
            if signal.getsignal(number) is handle:
                signal.signal(number, previous[number])
