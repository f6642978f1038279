"""So much at once, by weight: what does not fit waits its turn, in the order in which it came.

It is fair among connections because each of them waits for one turn at a time. While `is_open` is false nothing waits:
Redis is away, and what begins then fails soon by its own deadline.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from .errors import Unavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TurnsStatistics:
    under_way: int
    """The weight of what has begun and has not ended."""
    waiting: int
    """What waits for its turn now."""
    waited: int
    """What has had to wait, since the start."""
    given_up: int
    """What has waited for too long, and was refused, since the start."""


class Turns:
    """`capacity` is the weight of all that is under way at once; what is heavier takes its turn alone.

    With `wait_max`, in seconds, `run` gives up after that.
    """

    def __init__(self, capacity: int, *, is_open: Callable[[], bool], wait_max: float | None = None) -> None:
        self._capacity = capacity
        self._is_open = is_open
        self._wait_max = wait_max
        self._under_way = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._waited = 0
        self._given_up = 0

    def begin(self, weight: int) -> asyncio.Future[None] | None:
        """None: it has begun, and owes one `end`. Otherwise it has to wait, and begins when the future is done.

        Who does not wait any longer cancels the future.
        """
        weight = min(weight, self._capacity)
        if not self._is_open() or (not self._waiting and self._under_way + weight <= self._capacity):
            self._under_way += weight
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((weight, turn))
        self._waited += 1
        return turn

    def end(self, weight: int) -> None:
        """What has begun with this weight has ended: the next ones begin."""
        self._under_way -= min(weight, self._capacity)
        waiting = self._waiting
        while waiting:
            weight, turn = waiting[0]
            if not turn.done():
                if self._is_open() and self._under_way + weight > self._capacity:
                    return
                self._under_way += weight
                turn.set_result(None)
            waiting.popleft()

    async def run(self, weight: int, start: Callable[[], Awaitable[T]]) -> T:
        """The result of what `start` begins, in its turn. Raises Unavailable if it has to wait for too long."""
        turn = self.begin(weight)
        if turn is not None:
            await self._wait(turn, weight)
        try:
            return await start()
        finally:
            self.end(weight)

    async def _wait(self, turn: asyncio.Future[None], weight: int) -> None:
        try:
            async with asyncio.timeout(self._wait_max):
                await turn
        except (asyncio.CancelledError, TimeoutError) as error:
            if not turn.cancelled():  # it has begun in the same moment
                self.end(weight)
            if isinstance(error, TimeoutError):
                self._given_up += 1
                raise Unavailable("too much is being read for others") from None
            raise

    def statistics(self) -> TurnsStatistics:
        waiting = sum(not turn.done() for _, turn in self._waiting)
        return TurnsStatistics(self._under_way, waiting, self._waited, self._given_up)
