"""The background tasks of a node. All have to run for as long as the node does: one that ends, ends the node."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

_log = structlog.get_logger("tannoy.node")


class BackgroundTasks:
    """`on_failure` is called when one has ended by itself: a node with a part missing must not go on."""

    def __init__(self, on_failure: Callable[[], None]) -> None:
        self.has_failed = False
        self._on_failure = on_failure
        self._tasks: list[asyncio.Task[None]] = []

    def keep(
        self, run: Callable[[], Coroutine[Any, Any, None]], name: str, *, may_end: bool = False
    ) -> asyncio.Task[None]:
        """Run this until `end`. `may_end`: it may return earlier."""
        task = asyncio.create_task(run(), name=f"tannoy-{name}")
        task.add_done_callback(partial(self._handle_end, may_end))
        self._tasks.append(task)
        return task

    def _handle_end(self, may_end: bool, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (may_end and task.exception() is None):
            return
        self.has_failed = True
        _log.critical("a task of the node has failed: the node ends", part=task.get_name(), exc_info=task.exception())
        self._on_failure()

    async def end(self) -> None:
        """Cancel all, and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
