"""Manual time for tests: a clock that only a test advances, and an event loop that uses it.

A test marked `@on_manual_time` runs on a loop of its own. Its time stands still while anything is ready to run, and
jumps to the next timer when nothing is: deadlines of seconds pass at once, and always in the same order. It supports no
sockets: the time that the kernel takes is not on its clock.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

Parameters = ParamSpec("Parameters")

START = 1000.0
EPOCH = 1_795_000_000.0 - START


class ManualClock:
    """A Clock that changes only by `advance`."""

    def __init__(self) -> None:
        self._seconds = START

    def monotonic(self) -> float:
        return self._seconds

    def now(self) -> float:
        return EPOCH + self._seconds

    def advance(self, seconds: float) -> None:
        assert seconds >= 0
        self._seconds += seconds


class _JumpingSelector(selectors.SelectSelector):
    """A selector that advances the clock instead of waiting."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "every task waits, and no timer is set"
            self._clock.advance(max(timeout, 0))
        return ready


class ManualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = ManualClock()
        super().__init__(_JumpingSelector(self.clock))
        self.errors: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def time(self) -> float:
        return self.clock.monotonic()


def manual_clock() -> ManualClock:
    """The clock of the running test."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ManualLoop)
    return loop.clock


def loop_errors() -> list[dict[str, Any]]:
    """Exceptions of callbacks of the running test so far. A test that expects one removes it from the list."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ManualLoop)
    return loop.errors


def on_manual_time(
    test: Callable[Parameters, Coroutine[Any, Any, None]],
) -> Callable[Parameters, None]:
    """Run an async test on manual time. An exception in a callback, which a loop would only log, fails the test."""

    @wraps(test)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        loop = ManualLoop()
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(test(*args, **kwargs))
        assert not loop.errors, loop.errors

    return run


async def turns(count: int = 16) -> None:
    """Run `count` turns of the event loop, without advancing the time."""
    for _ in range(count):
        await asyncio.sleep(0)
