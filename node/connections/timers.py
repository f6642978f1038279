"""A timer wheel, one per node, for the pings, pong deadlines and close deadlines of all connections.

A timer of the event loop for each connection would cost memory and a heap operation; here a deadline is an entry in
the set of its tick (a simple timing wheel, after Varghese and Lauck 1987, with a dictionary of slots).
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from ...shared.clock import Clock

TICK = 0.25
"""Seconds between two runs of the wheel: the precision of all its deadlines."""


class Timed(Protocol):
    """An object with a deadline."""

    tick: int
    """The tick of its deadline; 0: it has none. Only the wheel writes it."""

    def on_due(self, now: float) -> None:
        """Called once after the deadline; `now` is in monotonic seconds. It may schedule the next one."""
        ...


@dataclass(frozen=True, slots=True)
class TimerWheelStatistics:
    waiting: int
    """Objects that have a deadline."""


class TimerWheel:
    """Each object has at most one deadline at a time. A timer of the event loop runs only while there is a deadline."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ticks: dict[int, set[Timed]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = 0
        self.idle = asyncio.Event()
        """Set while no object has a deadline."""
        self.idle.set()

    def schedule(self, timed: Timed, seconds: float) -> None:
        """Call `timed.on_due` in `seconds`, or up to two ticks later; this replaces its earlier deadline."""
        self.cancel(timed)
        timed.tick = int((self._clock.monotonic() + seconds) / TICK) + 1
        self._ticks.setdefault(timed.tick, set()).add(timed)
        self._count_waiting(+1)
        if self._timer is None:
            self._start_timer()

    def cancel(self, timed: Timed) -> None:
        """Remove the object's deadline, if it has one."""
        if timed.tick:
            if waiting := self._ticks.get(timed.tick):
                waiting.discard(timed)
                if not waiting:
                    del self._ticks[timed.tick]
            timed.tick = 0
            self._count_waiting(-1)

    def _count_waiting(self, change: int) -> None:
        self._waiting += change
        if self._waiting:
            self.idle.clear()
        else:
            self.idle.set()

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK, self._run_tick)

    def _run_tick(self) -> None:
        try:
            self._call_due(self._clock.monotonic())
        finally:
            # Also if a call has raised: the remaining deadlines of this tick are called at the next one.
            self._timer = None
            if self._ticks:
                self._start_timer()

    def _call_due(self, now: float) -> None:
        current = int(now / TICK)
        for tick in sorted(tick for tick in self._ticks if tick <= current):
            waiting = self._ticks.get(tick, set())
            while waiting:  # `on_due` may cancel or reschedule others
                timed = waiting.pop()
                timed.tick = 0
                self._count_waiting(-1)
                timed.on_due(now)
            self._ticks.pop(tick, None)

    def close(self) -> None:
        """Stop: no deadline is called any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ticks.clear()

    def statistics(self) -> TimerWheelStatistics:
        return TimerWheelStatistics(self._waiting)
