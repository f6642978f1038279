"""One wheel of timers per node: pings, pong deadlines and closing handshakes of all connections.

A timer of the event loop per connection would cost memory and a heap operation each; here a connection that is due is
an entry in the set of its tick.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from ...shared.clock import Clock

TICK = 0.25
"""Seconds; nothing that rests on the wheel is more precise."""


class Timed(Protocol):
    tick: int
    """The wheel's mark; 0 while not on it. The owner keeps the slot, the wheel alone writes it."""

    def due(self, now: float) -> None: ...


@dataclass(frozen=True, slots=True)
class TimerWheelStatistics:
    waiting: int
    """Objects that have a deadline."""


class TimerWheel:
    """Each object has at most one deadline at a time. It has a timer of the event loop only while it is not empty."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ticks: dict[int, set[Timed]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = 0
        self.idle = asyncio.Event()
        """Set while no object has a deadline."""
        self.idle.set()

    def set(self, timed: Timed, seconds: float) -> None:
        """Call `timed.due` in `seconds`, or up to a tick later; replaces an earlier deadline."""
        self.clear(timed)
        timed.tick = int((self._clock.monotonic() + seconds) / TICK) + 1
        self._ticks.setdefault(timed.tick, set()).add(timed)
        self._count(+1)
        if self._timer is None:
            self._arm()

    def clear(self, timed: Timed) -> None:
        if timed.tick:
            if waiting := self._ticks.get(timed.tick):
                waiting.discard(timed)
                if not waiting:
                    del self._ticks[timed.tick]
            timed.tick = 0
            self._count(-1)

    def _count(self, change: int) -> None:
        self._waiting += change
        if self._waiting:
            self.idle.clear()
        else:
            self.idle.set()

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK, self._turn)

    def _turn(self) -> None:
        try:
            self._ring(self._clock.monotonic())
        finally:
            # Also when one has failed: the others, still on the wheel, are due at the next tick.
            self._timer = None
            if self._ticks:
                self._arm()

    def _ring(self, now: float) -> None:
        current = int(now / TICK)
        for tick in sorted(tick for tick in self._ticks if tick <= current):
            waiting = self._ticks.get(tick, set())
            while waiting:  # what is due may clear or move others
                timed = waiting.pop()
                timed.tick = 0
                self._count(-1)
                timed.due(now)
            self._ticks.pop(tick, None)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ticks.clear()

    def statistics(self) -> TimerWheelStatistics:
        return TimerWheelStatistics(self._waiting)
