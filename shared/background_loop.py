"""An event loop in a thread of its own, for callers that have none."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

STOP_SECONDS = 5.0
"""For which `stop` waits until what runs in the loop has been cancelled."""

T = TypeVar("T")


class BackgroundLoop:
    """Runs from its making until `stop`. The thread does not keep the process from ending. Raises OSError.

    `build_closed`: the exception of calls that `stop` has ended, or that come behind it.
    """

    def __init__(self, name: str, build_closed: Callable[[], Exception]) -> None:
        self._build_closed = build_closed
        self._started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._loop, self._stopping = self._started.result()

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.get_loop()
                runner.run(self._wait())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)  # there are no more files, for instance

    async def _wait(self) -> None:
        stopping = asyncio.Event()
        self._started.set_result((asyncio.get_running_loop(), stopping))
        await stopping.wait()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Its result, or what it raises. Raises the exception of `build_closed` if the loop is stopped before it ends.

        An exception in the calling thread, such as KeyboardInterrupt, cancels it.
        """
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:  # the loop is closed
            coroutine.close()
            raise self._build_closed() from None
        try:
            return future.result()
        except CancelledError:
            raise self._build_closed() from None
        finally:
            future.cancel()

    def stop(self) -> None:
        """Cancel what runs in the loop, and wait for that."""
        try:
            self._loop.call_soon_threadsafe(self._stopping.set)
        except RuntimeError:
            return  # it was stopped already
        self._thread.join(STOP_SECONDS)
