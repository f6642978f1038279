"""Samples of what a node uses: memory, CPU, open files, and how late its event loop is.

All is read on the event loop: a sample takes some microseconds, and a thread that takes it could be late itself.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from ...shared.clock import Clock
from .files import used_percent
from .memory import MEGABYTE, MemoryBound, MemoryReader

TICK = 0.25
"""Seconds after which the event loop is asked to call: by how much it is late then is its lag."""
SAMPLE_SECONDS = 1.0
"""Between two samples, or a little more."""

_log = structlog.get_logger("tannoy.node")


@dataclass(frozen=True, slots=True)
class ResourceSample:
    memory_mb: float | None
    """Megabytes in use; None: not measured."""
    cpu_percent: float
    """Of one core, by all threads of the process, since the last sample."""
    loop_lag_ms: float
    """By which the event loop was late at most, since the last sample."""
    files_percent: float
    """Of the open files that clients may have: sessions, other connections, and those of the node itself."""


class ResourceSampler:
    """Hands a sample to `observe` each second, while `run` runs. `cpu_seconds`: CPU time of the process so far."""

    def __init__(
        self,
        observe: Callable[[ResourceSample], None],
        bound: MemoryBound | None,
        clock: Clock,
        *,
        cpu_seconds: Callable[[], float] = time.process_time,
    ) -> None:
        self._observe = observe
        self._clock = clock
        self._cpu_seconds = cpu_seconds
        self._bound = bound
        self._memory: MemoryReader | None = None
        self._lag = 0.0
        self._last = (clock.monotonic(), cpu_seconds())

    async def run(self) -> None:
        """Take samples for ever."""
        self._open()
        self._last = (self._clock.monotonic(), self._cpu_seconds())
        try:
            while True:
                due = self._clock.monotonic() + TICK
                await asyncio.sleep(TICK)
                self.tick(due)
        finally:
            self._close()

    def tick(self, due: float) -> None:
        """Called when the event loop calls, which it should have done at `due`."""
        now = self._clock.monotonic()
        self._lag = max(self._lag, now - due)
        since, cpu_before = self._last
        if (passed := now - since) < SAMPLE_SECONDS:
            return
        cpu, lag = self._cpu_seconds(), self._lag
        self._last, self._lag = (now, cpu), 0.0
        self._observe(
            ResourceSample(self._read_memory(), 100 * (cpu - cpu_before) / passed, 1000 * lag, used_percent())
        )

    def _open(self) -> None:
        if self._bound is not None:
            try:
                self._memory = MemoryReader(self._bound)
            except OSError as error:
                self._warn_unmeasured(error)

    def _read_memory(self) -> float | None:
        if self._memory is None:
            return None
        try:
            return self._memory.read() / MEGABYTE
        except OSError as error:
            self._warn_unmeasured(error)
            self._close()
            return None

    def _warn_unmeasured(self, error: OSError) -> None:
        _log.warning("memory can't be measured: TANNOY_MEMORY_MAX_MB has no effect", error=str(error))

    def _close(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory = None
