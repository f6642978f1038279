"""Signals: what would end the process closes its connections with `bye` first."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import structlog

from .log_queue import reopen_log_file

STOPPING = (signal.SIGTERM, signal.SIGINT)
"""Signals that a server handles itself."""
_NOT_ENDING = {
    *(signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH),
    *(signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
}
_NOT_TO_BE_HANDLED = {
    *(signal.SIGKILL, signal.SIGABRT),
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGTRAP),
}
"""SIGKILL can't be, and after the others the process is in no state to run a handler."""

_log = structlog.get_logger("tannoy.node")


def find_ending_signals() -> list[int]:
    """The signals, besides STOPPING, that would end this process as it is: those for which it has no handler."""
    others = signal.valid_signals() - {*STOPPING, *_NOT_ENDING, *_NOT_TO_BE_HANDLED}
    return sorted(number for number in others if signal.getsignal(number) is signal.SIG_DFL)


def handle_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[int], None]) -> None:
    """Install the handlers of a node process.

    SIGTERM and SIGINT call `stop` with their number, each time. SIGHUP opens TANNOY_LOG_FILE anew, and SIGUSR1 and
    SIGUSR2 do nothing.
    Whatever else would end the process calls `stop`, and so does SIGHUP where there is no such file.
    """
    stopped = False

    def stop_once(number: int) -> None:
        # A terminal that is closed may send SIGHUP twice; the second call of `stop` does not wait for clients.
        nonlocal stopped
        if not stopped:
            stopped = True
            stop(number)

    def hang_up() -> None:
        if not reopen_log_file():
            stop_once(signal.SIGHUP)

    ending = find_ending_signals()
    for each in STOPPING:
        loop.add_signal_handler(each, stop, each)
    for number in ending:
        match number:
            case signal.SIGHUP:
                loop.add_signal_handler(number, hang_up)
            case signal.SIGUSR1 | signal.SIGUSR2:
                loop.add_signal_handler(number, _log_ignored, number)
            case _:
                loop.add_signal_handler(number, stop_once, number)


def _log_ignored(number: int) -> None:
    _log.warning("this signal does nothing: SIGTERM stops a node", signal=signal.Signals(number).name)


@contextmanager
def run_before_signal_handlers(
    run: Callable[[], Coroutine[Any, Any, None]], *, on_interrupt: Callable[[], None]
) -> Generator[None]:
    """For the length of a block: on the first signal that ends the process, run `run()`, then what was set before.

    SIGINT, of a terminal, calls `on_interrupt` before that. A second signal does at once what was set before. Only in
    the main thread, where Python handles signals; elsewhere it does nothing. A server that handles signals by means of
    the event loop (hypercorn) is not delayed: it stops at once, while `run()` runs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    previous = {int(number): signal.getsignal(number) for number in (*STOPPING, *find_ending_signals())}

    def raise_again(number: int) -> None:
        signal.signal(number, previous[number])
        signal.raise_signal(number)

    def start(number: int) -> None:
        if number == signal.SIGINT:
            on_interrupt()
        task = loop.create_task(run())
        task.add_done_callback(lambda _: raise_again(number))

    def handle(number: int, frame: FrameType | None) -> None:
        for each in previous:
            signal.signal(each, previous[each])
        loop.call_soon_threadsafe(start, number)

    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in previous:
            if signal.getsignal(number) is handle:
                signal.signal(number, previous[number])
