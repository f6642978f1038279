"""How many joins are under way at once: as many as leave the event loop and Redis quick, as the node finds out itself.

A thousand joins at once would each wait for a thousand answers of Redis, beyond the deadline of its commands, and the
answers would be worked off in few long turns of the event loop, in which nobody else is served. So a join waits for
its turn before it asks Redis for anything.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from ...shared.clock import Clock
from ...shared.errors import Unavailable
from ...shared.turns import Turns
from ..admission.finish_rate import FinishRate

T = TypeVar("T")

AT_ONCE_FIRST = 32
"""Joins at once, until the node knows better."""
AT_ONCE_LEAST = 8
"""However slowly it goes."""
SLOW_TURN = 0.005
"""Seconds of one turn of the event loop while joins wait, from which on there are too many at once."""
SLOW_JOIN = 0.2
"""Seconds of one join, from which on Redis may have too many: each of its commands has 0.45."""
SLOW_RATIO = 2.0
"""Of what the quickest join takes, where Redis is far away: from there on it has too many."""
QUICKEST_SECONDS = 10.0
"""For which the quickest join is remembered, and for as long again: how far away Redis is may change."""
MORE_PER_ROUND = 4
"""By which there may be more at once whenever as many joins as are at once have ended, all of them quickly."""
LESS = 0.7
"""By which there may be less when one is slow; those that began before it do not count again."""
LEASE_SECONDS = 0.1
"""For which one that acquires leases counts among the joins at once, at most."""
FIRST_PER_SECOND = 500.0
"""Joins, until the node has measured how many it finishes."""
WAIT_MAX = 10.0
"""Seconds that a join waits for its turn. A handshake is refused long before; commands of sessions are not."""


class JoinsAtOnce:
    """How many: more while all goes quickly, fewer when it does not. Pure."""

    def __init__(self) -> None:
        self._value = float(AT_ONCE_FIRST)
        self._until_next_cut = 0
        self._quickest = self._quickest_before = math.inf
        self._window_began = -math.inf

    @property
    def value(self) -> int:
        return int(self._value)

    def observe(self, now: float, join: float, turn: float, *, has_failed: bool, others_wait: bool) -> None:
        """A join took so long, in seconds, and so did the turn of the loop that was measured last.

        `has_failed`: Redis has not answered it in time.
        """
        self._until_next_cut = max(0, self._until_next_cut - 1)
        if not has_failed:
            self._note_quickest(now, join)
        if has_failed or turn > SLOW_TURN or join > self._slow_join:
            if not self._until_next_cut:
                self._value = max(float(AT_ONCE_LEAST), self._value * LESS)
                self._until_next_cut = self.value
        elif others_wait:
            self._value += MORE_PER_ROUND / self._value

    @property
    def _slow_join(self) -> float:
        return max(SLOW_JOIN, SLOW_RATIO * min(self._quickest, self._quickest_before, 1.0))

    def _note_quickest(self, now: float, join: float) -> None:
        if now - self._window_began > QUICKEST_SECONDS:
            self._window_began, self._quickest_before, self._quickest = now, self._quickest, join
        self._quickest = min(self._quickest, join)


@dataclass(frozen=True, slots=True)
class JoinTurnsStatistics:
    under_way: int
    """Joins that have begun and have not ended."""
    at_once: int
    """How many may be under way now."""
    waiting: int
    """Joins that wait for their turn now."""
    waited: int
    """Joins that have had to wait, since the start."""
    given_up: int
    """Joins that have waited for too long, and were refused, since the start."""
    per_second: int
    """Joins that the node finishes while others wait, as it was last measured."""


class JoinTurns:
    """`is_open`: Redis takes commands. While it does not no join waits: each fails soon by its own deadline."""

    def __init__(self, clock: Clock, *, is_open: Callable[[], bool]) -> None:
        self._clock = clock
        self._at_once = JoinsAtOnce()
        self._turns = Turns(AT_ONCE_FIRST, is_open=is_open, wait_max=WAIT_MAX, too_long="too many join at once")
        self._rate = FinishRate(clock, FIRST_PER_SECOND)
        self._turn = 0.0
        self._measures = False

    @property
    def wait(self) -> float:
        """Seconds that a join waits for its turn, by what was measured last."""
        return self._turns.waiting / self._rate.per_second

    async def run(self, join: Callable[[], Awaitable[T]]) -> T:
        """The result of a join, in its turn. Raises Unavailable if that has not come within WAIT_MAX."""
        return await self._turns.run(1, partial(self._measure, join))

    async def run_lease(self, acquire: Callable[[], Awaitable[T]]) -> T:
        """The result of acquiring leases, in the turn of a join. Raises Unavailable, as `run` does.

        It has its turn for LEASE_SECONDS at most: a lease waits for others where Redis recovers, or where its agent's
        oldest session has to be closed first.
        """
        return await self._turns.run(1, acquire, at_most=LEASE_SECONDS)

    async def _measure(self, join: Callable[[], Awaitable[T]]) -> T:
        began = self._clock.monotonic()
        try:
            result = await join()
        except Unavailable:
            self._end(began, has_failed=True)
            raise
        self._end(began, has_failed=False)
        return result

    def _end(self, began: float, *, has_failed: bool) -> None:
        """One that its client has cancelled does not come here: it says nothing."""
        now, others_wait = self._clock.monotonic(), self._turns.waiting > 0
        self._rate.finish(others_wait=others_wait)
        self._at_once.observe(now, now - began, self._turn, has_failed=has_failed, others_wait=others_wait)
        self._turns.capacity = self._at_once.value
        if not self._measures:
            self._measures = True
            asyncio.get_running_loop().call_soon(self._end_turn, now)

    def _end_turn(self, began: float) -> None:
        """The event loop calls this in its next turn, and does not wait for anything before."""
        self._measures = False
        self._turn = self._clock.monotonic() - began

    def statistics(self) -> JoinTurnsStatistics:
        turns = self._turns.statistics()
        return JoinTurnsStatistics(
            turns.under_way,
            self._at_once.value,
            turns.waiting,
            turns.waited,
            turns.given_up,
            round(self._rate.per_second),
        )
