"""Tells the application of sessions that have ended: each once, in order of their ends, and few at once."""

import asyncio
from collections import deque
from functools import partial

import structlog

from ...shared.errors import Refused
from .hooks import LiveSession, OnDisconnect, SessionEnd
from .runner import HookRunner

ENDINGS_MAX = 65_536
"""Ends that wait for their call; beyond them the oldest is dropped, which is logged."""

_log = structlog.get_logger("tannoy.hooks")


class SessionEndings:
    """`at_once`: calls that are under way at once."""

    def __init__(self, hook: OnDisconnect, runner: HookRunner, *, at_once: int) -> None:
        self._hook = hook
        self._runner = runner
        self._at_once = at_once
        self._waiting: deque[tuple[LiveSession, SessionEnd]] = deque()
        self._calls: set[asyncio.Task[None]] = set()

    def add(self, session: LiveSession, end: SessionEnd) -> None:
        if len(self._waiting) >= ENDINGS_MAX:
            lost, _ = self._waiting.popleft()
            self._runner.record_lost(lost.user_id)
        self._waiting.append((session, end))
        self._start()

    def _start(self) -> None:
        while self._waiting and len(self._calls) < self._at_once:
            task = asyncio.get_running_loop().create_task(self._call(*self._waiting.popleft()), name="tannoy-ending")
            self._calls.add(task)
            task.add_done_callback(self._ended)

    async def _call(self, session: LiveSession, end: SessionEnd) -> None:
        try:
            await self._runner.run(partial(self._hook, session, end), user=session.user_id)
        except Refused:
            return  # the runner has logged it, and nobody is left to be told

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._start()

    async def finish(self, seconds: float) -> None:
        """Wait until all have been told, for so many seconds at most; what is left then is dropped, and logged."""
        try:
            async with asyncio.timeout(seconds):
                while self._calls:
                    await asyncio.wait(self._calls)
        except TimeoutError:
            left = len(self._waiting) + len(self._calls)
            self._waiting.clear()
            for task in self._calls:
                task.cancel()
            _log.error("the application was not told of the end of sessions: it ends itself", sessions=left)
