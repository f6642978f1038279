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

    Where all weighs 1 it may be changed, for the next turns. With `wait_max`, in seconds, `run` gives up after that.
    """

    def __init__(
        self,
        capacity: int,
        *,
        is_open: Callable[[], bool],
        wait_max: float | None = None,
        too_long: str = "too much is being read for others",
    ) -> None:
        """`too_long`: what is said to who has waited for too long."""
        self.capacity = capacity
        self._is_open = is_open
        self._wait_max = wait_max
        self._too_long = too_long
        self._under_way = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._waited = 0
        self._given_up = 0

    def begin(self, weight: int) -> asyncio.Future[None] | None:
        """None: it has begun, and owes one `end`. Otherwise it has to wait, and begins when the future is done.

        Who does not wait any longer cancels the future.
        """
        weight = min(weight, self.capacity)
        if not self._is_open() or (not self._waiting and self._under_way + weight <= self.capacity):
            self._under_way += weight
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((weight, turn))
        self._waited += 1
        return turn

    def end(self, weight: int) -> None:
        """What has begun with this weight has ended: the next ones begin."""
        self._under_way -= min(weight, self.capacity)
        waiting = self._waiting
        while waiting:
            weight, turn = waiting[0]
            if not turn.done():
                if self._is_open() and self._under_way + weight > self.capacity:
                    return
                self._under_way += weight
                turn.set_result(None)
            waiting.popleft()

    async def run(self, weight: int, start: Callable[[], Awaitable[T]], *, at_most: float | None = None) -> T:
        """The result of what `start` begins, in its turn. Raises Unavailable if it has to wait for too long.

        `at_most`: seconds after which its turn ends, although it goes on.
        """
        turn = self.begin(weight)
        if turn is not None:
            await self._wait(turn, weight)
        if at_most is not None:
            return await self._run_at_most(weight, start, at_most)
        try:
            return await start()
        finally:
            self.end(weight)

    async def _run_at_most(self, weight: int, start: Callable[[], Awaitable[T]], seconds: float) -> T:
        has_ended = False

        def end() -> None:
            nonlocal has_ended
            if not has_ended:
                has_ended = True
                self.end(weight)

        timer = asyncio.get_running_loop().call_later(seconds, end)
        try:
            return await start()
        finally:
            timer.cancel()
            end()

    async def _wait(self, turn: asyncio.Future[None], weight: int) -> None:
        try:
            async with asyncio.timeout(self._wait_max):
                await turn
        except (asyncio.CancelledError, TimeoutError) as error:
            if not turn.cancelled():  # it has begun in the same moment
                self.end(weight)
            if isinstance(error, TimeoutError):
                self._given_up += 1
                raise Unavailable(self._too_long) from None
            raise

    @property
    def waiting(self) -> int:
        """How many wait for their turn, those that have just given up among them."""
        return len(self._waiting)

    def statistics(self) -> TurnsStatistics:
        waiting = sum(not turn.done() for _, turn in self._waiting)
        return TurnsStatistics(self._under_way, waiting, self._waited, self._given_up)
