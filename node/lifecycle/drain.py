"""How a node leaves: its clients go to other nodes, as fast as those can take them, and nobody is refused.

announced   not ready any more, so that balancers send nobody here; who comes all the same is served (DRAIN_DELAY)
closing     nothing new is accepted; sessions get `bye` 4001, each in its turn (DRAIN_SECONDS)
closed      what was left was closed in batches, and clients had CLOSE_TIMEOUT to answer the close frame
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from ...shared.backoff import spread_retry_after
from ...shared.clock import Clock
from ...shared.codes import CloseCode
from ...shared.errors import Unavailable
from ...shared.nodes import NodeInfo
from ...shared.waiting import wait_up_to

TAKEN_PER_SECOND = 250.0
"""Clients that an idle node takes in a second while it serves its own: half of what it is thought to take at first
(`node/connections/join_turns.py`). One that is busy takes as much less as its load."""
TAKEN_LEAST = 0.1
"""Of TAKEN_PER_SECOND, however busy a node is."""
CLOSED_LEAST_PER_SECOND = 50.0
"""Sessions that are closed in a second at least, so that few do not take long."""
TICK = 0.1
"""Seconds between two groups of sessions that are closed."""
BATCH = 500
"""Sessions that are closed at once in the end."""
RETRY_WITHIN = 1.0
"""Seconds over which those of one group are asked to spread their reconnects: less than PRESENCE_GRACE."""
RETRY_WITHIN_MOST = 10.0
"""The same, where all that is left is closed at once."""
CLOSE_TIMEOUT = 2.0
"""Seconds that clients have to answer the close frame before the node ends without their answer."""

_log = structlog.get_logger("tannoy.node")


class Closable(Protocol):
    """A session, as the drain sees it."""

    def close(self, code: CloseCode, *, retry_after: float | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """How sessions are closed."""

    seconds: float
    """Over which they are closed in turn; 0: all at once."""
    per_second: float
    """That the other nodes take: no more are closed in a second while they have their turns."""


AT_ONCE = DrainPlan(0.0, 0.0)
"""Where no other node takes anybody, or nobody wants to wait."""


def plan_drain(sessions: int, others: Sequence[NodeInfo], most_seconds: float) -> DrainPlan:
    """Plan to close this many sessions within `most_seconds`, at the pace at which the other nodes take clients."""
    takers = [node for node in others if node.ready and not node.draining]
    taken = sum(TAKEN_PER_SECOND * max(TAKEN_LEAST, 1.0 - node.load) for node in takers)
    if not taken:
        return AT_ONCE
    pace = min(taken, max(CLOSED_LEAST_PER_SECOND, sessions / max(most_seconds, TICK)))
    return DrainPlan(min(most_seconds, sessions / pace), taken)


def count_due(left: int, seconds_left: float, per_second: float) -> int:
    """How many of those left are closed in this TICK."""
    return min(math.ceil(left * TICK / max(seconds_left, TICK)), math.ceil(per_second * TICK))


class Drain:
    """Of one node. `sessions` gives those that are open; `all_closed` is set while no connection waits for its peer.

    `list_others` gives the other nodes; it raises Unavailable. `delay` and `seconds` are DRAIN_DELAY and DRAIN_SECONDS.
    """

    def __init__(
        self,
        sessions: Callable[[], Collection[Closable]],
        all_closed: asyncio.Event,
        list_others: Callable[[], Awaitable[Sequence[NodeInfo]]],
        clock: Clock,
        *,
        delay: float,
        seconds: float,
    ) -> None:
        self.is_announced = False
        """The node is not ready any more."""
        self.is_closing = False
        """It takes nobody any more."""
        self._sessions = sessions
        self._all_closed = all_closed
        self._list_others = list_others
        self._clock = clock
        self._delay = delay
        self._seconds = seconds
        self._is_hurried = asyncio.Event()
        self._is_given_up = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def announce(self) -> None:
        self.is_announced = True

    def hurry(self) -> None:
        """Wait neither for balancers nor for turns from now on."""
        self._is_hurried.set()

    def give_up(self) -> None:
        """Wait for nothing from now on, not for clients either."""
        self._is_hurried.set()
        self._is_given_up.set()

    async def run(self, stop_listening: Callable[[], None] = lambda: None) -> None:
        """Return when all sessions are closed. `stop_listening` is called once nothing new is accepted.

        Where it runs already, return with it.
        """
        if self._running is None:
            self._running = asyncio.create_task(self._run(stop_listening), name="tannoy-drain")
        await asyncio.shield(self._running)

    async def _run(self, stop_listening: Callable[[], None]) -> None:
        self.announce()
        await wait_up_to(self._delay, self._is_hurried)
        self.is_closing = True
        stop_listening()
        plan = await self._make_plan()
        if plan is not AT_ONCE:
            await self._close_in_turn(plan)
        await self._close_rest(plan)
        await self._wait_for_clients()

    async def _make_plan(self) -> DrainPlan:
        sessions = len(self._sessions())
        if self._is_hurried.is_set() or not sessions:
            return AT_ONCE
        try:
            others = await self._list_others()
        except Unavailable:
            plan = DrainPlan(self._seconds, TAKEN_PER_SECOND)  # there may be others all the same
        else:
            plan = plan_drain(sessions, others, self._seconds)
        _log.info("closing the sessions", sessions=sessions, seconds=round(plan.seconds, 1))
        return plan

    async def _close_in_turn(self, plan: DrainPlan) -> None:
        ends = self._clock.monotonic() + plan.seconds
        while not self._is_hurried.is_set() and (sessions := self._sessions()):
            if (left := ends - self._clock.monotonic()) <= 0:
                return
            due = count_due(len(sessions), left, plan.per_second)
            for session, _ in zip(sessions, range(due), strict=False):
                session.close(CloseCode.DRAINING, retry_after=spread_retry_after(0, RETRY_WITHIN))
            await wait_up_to(TICK, self._is_hurried)

    async def _close_rest(self, plan: DrainPlan) -> None:
        """Close what is left in batches, with a turn of the event loop between."""
        sessions = tuple(self._sessions())
        within = len(sessions) / plan.per_second if plan.per_second else 2 * RETRY_WITHIN
        within = min(max(within, RETRY_WITHIN), RETRY_WITHIN_MOST)
        for at in range(0, len(sessions), BATCH):
            for session in sessions[at : at + BATCH]:
                session.close(CloseCode.DRAINING, retry_after=spread_retry_after(0, within))
            await asyncio.sleep(0)

    async def _wait_for_clients(self) -> None:
        """Wait until they have answered the close frame, CLOSE_TIMEOUT at most."""
        answered = asyncio.create_task(self._all_closed.wait())
        given_up = asyncio.create_task(self._is_given_up.wait())
        await asyncio.wait((answered, given_up), timeout=CLOSE_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            _log.warning("not all clients have answered the close frame")
        for task in (answered, given_up):
            task.cancel()
