"""The handshakes of a node, one after the other: so many wait as it answers in a second, and further ones come later.

A load balancer that has lost a node sends all of its clients at once. Whoever has a session does not notice: each turn
of the event loop answers few of them. Whoever is admitted is served: those who would wait for longer are told when to
come back, spread as the node can take them.
"""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from ...shared.clock import Clock
from .finish_rate import FinishRate
from .handshake import Rejected, unavailable
from .loop_shares import LoopShares
from .refusals import Reason

WAIT_SECONDS = 1.0
"""For which a handshake waits for its turn, and its join for its own, by what the node has measured."""
WAITING_LEAST = 64
"""Handshakes that may wait in any case."""
FIRST_PER_SECOND = 1000.0
"""Handshakes, until the node has measured how many it answers."""
RETRY_AFTER_LEAST, RETRY_AFTER_MOST = 1, 10
"""Seconds until a refused client may come back."""


@dataclass(frozen=True, slots=True)
class HandshakeStatistics:
    waiting: int
    """Handshakes that wait for their turn now."""
    waited: int
    """Those that have had to wait, since the start."""
    refused: int
    """Those that were refused because too many waited, since the start."""
    per_second: int
    """Handshakes that the node answers while others wait, as it was last measured."""


class ReturnTimes:
    """When refused clients are asked to come back: one after the other, as the node can take them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._taken_until = 0.0

    def take(self, per_second: float, wait: float) -> int:
        """Whole seconds until the next one may come. `wait`: seconds until who waits now is served."""
        now = self._clock.monotonic()
        self._taken_until = min(max(self._taken_until, now + wait) + 1 / per_second, now + RETRY_AFTER_MOST)
        return max(RETRY_AFTER_LEAST, math.ceil(self._taken_until - now))


_TOO_MANY = {
    seconds: unavailable(
        "more clients connect at once than this node can serve: another one, or this one later, may take you",
        Reason.HANDSHAKES,
        seconds,
    )
    for seconds in range(RETRY_AFTER_LEAST, RETRY_AFTER_MOST + 1)
}


class HandshakeQueue:
    """`join_wait`: seconds that a join waits for its turn now, as far as is known."""

    def __init__(self, clock: Clock, join_wait: Callable[[], float]) -> None:
        self._join_wait = join_wait
        self._shares = LoopShares(clock)
        self._rate = FinishRate(clock, FIRST_PER_SECOND)
        self._returns = ReturnTimes(clock)
        self._waited = 0
        self._refused = 0

    def find_refusal(self) -> Rejected | None:
        """Return how one more handshake is refused; None: it may wait for its turn."""
        waiting, per_second = self._shares.waiting, self._rate.per_second
        wait = 0.0 if waiting < WAITING_LEAST else waiting / per_second
        wait = max(wait, self._join_wait())
        if wait <= WAIT_SECONDS:
            return None
        self._refused += 1
        return _TOO_MANY[self._returns.take(per_second, wait - WAIT_SECONDS)]

    def run(self, owner: Hashable, answer: Callable[[], None]) -> bool:
        """Answer a handshake, or the token in a first frame, in its turn. Returns whether that is done."""

        def answer_one() -> None:
            try:
                answer()
            finally:
                self._rate.finish(others_wait=self._shares.waiting > 0)

        is_done = self._shares.run(owner, answer_one)
        self._waited += not is_done
        return is_done

    def remove(self, owner: Hashable) -> None:
        """The client has gone: if its handshake waits, it is not answered."""
        self._shares.remove(owner)

    def statistics(self) -> HandshakeStatistics:
        return HandshakeStatistics(self._shares.waiting, self._waited, self._refused, round(self._rate.per_second))
