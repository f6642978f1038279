"""Calls a hook: bounded in time and in number, so that an application that hangs costs the node no more than that."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from ...shared.clock import Clock
from ...shared.errors import Unavailable
from ...shared.turns import Turns
from ..admission.sampled_lines import SampledLines
from .errors import Forbidden, HookFailed, HookLate, HookUnavailable, NotAuthenticated

T = TypeVar("T")

_log = structlog.get_logger("tannoy.hooks")


@dataclass(frozen=True, slots=True)
class HookStatistics:
    """Of one hook, since the start, but for `under_way` and `waiting`, which are now."""

    under_way: int
    waiting: int
    """Calls that wait for their turn."""
    calls: int
    forbidden: int
    """Calls that raised Forbidden."""
    failed: int
    """Calls that raised another error, or returned what they may not."""
    late: int
    """Calls that did not return in time, or could not begin."""
    lost: int
    """Calls of `on_disconnect` that were dropped, since too many waited."""


class HookRunner:
    """Of one hook. `timeout`: seconds of a call, with the wait for its turn. `at_once`: calls that are under way."""

    def __init__(self, name: str, clock: Clock, *, timeout: float, at_once: int) -> None:
        self._name = name
        self._timeout = timeout
        self._turns = Turns(at_once, is_open=lambda: True)
        self._lines = SampledLines(clock)
        self._calls = self._forbidden = self._failed = self._late = self._lost = 0

    async def run(self, call: Callable[[], Awaitable[T]], *, user: str | None = None) -> T:
        """Return the result of the hook. `user`: whose session it is about, where there is one.

        Raises Forbidden or NotAuthenticated if the hook does, HookUnavailable if it raises Unavailable, HookFailed if
        it raises anything else, and HookLate if it does not return in time. It is cancelled then; one that goes on
        nevertheless keeps its turn until it has ended.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._timeout
        if (turn := self._turns.begin(1)) is not None:
            await self._wait(turn, ends, user)
        self._calls += 1
        task = loop.create_task(_call(call), name=f"tannoy-{self._name}")
        task.add_done_callback(lambda _: self._turns.end(1))
        try:
            await asyncio.wait((task,), timeout=max(ends - loop.time(), 0.0))
        finally:
            if not task.done():
                task.cancel()
                task.add_done_callback(_ignore_result)
        if not task.done():
            raise self._record_late(user)
        return self._result_of(task, user)

    async def _wait(self, turn: asyncio.Future[None], ends: float, user: str | None) -> None:
        try:
            async with asyncio.timeout_at(ends):
                await turn
        except (asyncio.CancelledError, TimeoutError) as error:
            if not turn.cancelled():  # it has begun in the same moment
                self._turns.end(1)
            if isinstance(error, TimeoutError):
                raise self._record_late(user) from None
            raise

    def _result_of(self, task: "asyncio.Task[T]", user: str | None) -> T:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            return task.result()
        if isinstance(error, Forbidden):
            self._forbidden += 1
            raise Forbidden(error.message)  # one of our own: an application may raise the same object again and again
        if isinstance(error, NotAuthenticated):
            raise error
        if isinstance(error, Unavailable):
            raise self._record_unavailable(error, user) from error
        raise self.record_failure(error, user) from error

    # ---- what goes wrong: counted, and logged, sampled where there is much of it

    def record_failure(self, error: BaseException, user: str | None) -> HookFailed:
        """Return what a client is told of what the hook has done wrong."""
        self._failed += 1
        if (sampled := self._lines.admit("failed")) is not None:
            _log.error("a hook has failed", hook=self._name, user=user, exc_info=error, **sampled)
        return HookFailed(self._name)

    def _record_unavailable(self, error: Unavailable, user: str | None) -> HookUnavailable:
        self._failed += 1
        if (sampled := self._lines.admit("unavailable")) is not None:
            _log.error("a hook can't decide", hook=self._name, user=user, reason=error.message, **sampled)
        return HookUnavailable(self._name)

    def _record_late(self, user: str | None) -> HookLate:
        self._late += 1
        if (sampled := self._lines.admit("late")) is not None:
            seconds = self._timeout
            _log.error("a hook did not return in time", hook=self._name, user=user, seconds=seconds, **sampled)
        return HookLate(self._name, self._timeout)

    def record_lost(self, user: str) -> None:
        """A call is dropped, since too many wait."""
        self._lost += 1
        if (sampled := self._lines.admit("lost")) is not None:
            _log.error("a hook is not called: too many calls wait", hook=self._name, user=user, **sampled)

    def statistics(self) -> HookStatistics:
        turns = self._turns.statistics()
        return HookStatistics(
            turns.under_way, turns.waiting, self._calls, self._forbidden, self._failed, self._late, self._lost
        )


async def _call(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


def _ignore_result(task: "asyncio.Task[T]") -> None:
    """What a call that nobody waits for any more returns or raises is nobody's."""
    if not task.cancelled():
        task.exception()
