"""Background tasks of a run."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """A set of tasks. `check` raises the first failure; `close` cancels the rest and raises it too."""

    def __init__(self) -> None:
        self.running: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None

    def start(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(job)
        self.running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed = self._failed or error

    def check(self) -> None:
        if self._failed is not None:
            raise self._failed

    async def close(self) -> None:
        for task in tuple(self.running):
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)
        self.check()
