"""A circuit breaker: what has failed several times in a row is not tried for a while, so that nobody waits for it.

    CLOSED     work is tried; FAILURES_IN_A_ROW failures open it
    OPEN       work is refused at once, for a time that doubles with each further failure, with full jitter
    HALF_OPEN  one piece of work is tried: its success closes the circuit, its failure opens it again

Each class of work has a breaker of its own: where writes fail, reads may succeed.
"""

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from ...shared.backoff import full_jitter
from ...shared.clock import Clock
from ...shared.errors import Unavailable

FAILURES_IN_A_ROW = 3
"""That open the circuit."""
OPEN_BASE, OPEN_CAP = 0.5, 10.0
"""Seconds for which it is open: up to the first after the first opening, doubling up to the second."""
OPEN_LEAST = 0.1
"""Seconds for which it is open at least: full jitter may draw 0."""


class CircuitState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitOpen(Unavailable):
    """Refused without a try, since what it needs has failed several times in a row."""


@dataclass(frozen=True, slots=True)
class BreakerStatistics:
    state: CircuitState
    succeeded: int
    failed: int
    refused: int
    """Work that was refused at once."""
    opened: int
    """Times that the circuit has opened."""


class CircuitBreaker:
    """`what` is the subject of the sentence that tells a refusal: `the database (reads)`."""

    def __init__(self, what: str, clock: Clock, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._what = what
        self._clock = clock
        self._uniform = uniform
        self._failures = 0
        self._open_until: float | None = None  # None: closed
        self._is_tried = False
        self._succeeded = self._failed = self._refused = self._opened = 0

    @property
    def state(self) -> CircuitState:
        if self._open_until is None:
            return CircuitState.CLOSED
        return CircuitState.OPEN if self._clock.monotonic() < self._open_until else CircuitState.HALF_OPEN

    @contextmanager
    def guard(self) -> Generator[None]:
        """Try one piece of work in a block. Raises CircuitOpen instead of entering it while the circuit is open.

        Unavailable in the block is a failure. Every other error is none: what was asked has answered. A block that is
        cancelled says nothing.
        """
        is_trial = self._admit()
        try:
            yield
        except Unavailable:
            self._fail()
            raise
        except Exception:
            self._succeed()
            raise
        else:
            self._succeed()
        finally:
            if is_trial:
                self._is_tried = False

    def _admit(self) -> bool:
        """Whether it is the one piece of work that is tried in HALF_OPEN. Raises CircuitOpen."""
        if self._open_until is None:
            return False
        left = self._open_until - self._clock.monotonic()
        if left > 0 or self._is_tried:
            self._refused += 1
            raise CircuitOpen(
                f"{self._what} failed {self._failures} times in a row, and is tried again later",
                retry_after=round(max(left, OPEN_LEAST), 2),
            )
        self._is_tried = True
        return True

    def _succeed(self) -> None:
        self._succeeded += 1
        self._failures = 0
        self._open_until = None

    def _fail(self) -> None:
        self._failed += 1
        self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            attempt = self._failures - FAILURES_IN_A_ROW
            seconds = full_jitter(attempt, base=OPEN_BASE, cap=OPEN_CAP, uniform=self._uniform)
            self._open_until = self._clock.monotonic() + max(seconds, OPEN_LEAST)
            self._opened += 1

    def statistics(self) -> BreakerStatistics:
        return BreakerStatistics(self.state, self._succeeded, self._failed, self._refused, self._opened)
