"""Tells the HTTP hooks which sessions of this process have opened and closed, and which those of dead processes were.

Redis remembers the open sessions of each process, beside the event with which they have opened. When a process is
killed, whichever one delivers the hooks tells that its sessions have ended.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from ...shared.clock import Clock, rfc3339
from ...shared.errors import Unavailable
from ...shared.hook_events import HookEvent
from ...shared.logs import get_logger
from .calls import HookCalls, SessionChange
from .events import Event, closed_id
from .statistics import SessionEventStatistics

WAITING_MAX = 65_536
"""Changes that wait for Redis; beyond them the oldest is dropped, and counted."""
CHANGES_AT_ONCE = 200
"""Changes in one call of a script."""
RETRY_SECONDS = 0.5
"""Between two attempts to reach Redis."""
LOOK_SECONDS = 2.0
"""Between two looks for dead processes."""
LOOKS = 3
"""That have to find a process dead, one after another: where the clock of Redis was set forward, all are dead until
their next heartbeat."""

_log = get_logger("tannoy.webhooks")


@dataclass(frozen=True, slots=True)
class TellRules:
    """`told`: out of SESSION_EVENTS. `node` is the node's ID."""

    incarnation: str
    node: str
    told: Collection[HookEvent]


class OpenSession:
    """A session that the hooks were told of."""

    __slots__ = ("event", "number")

    def __init__(self, number: int, event: Event) -> None:
        self.number = number
        self.event = event


class SessionEvents:
    """Needs `run` running. `opened` and `closed` return at once, whatever Redis does."""

    def __init__(self, calls: HookCalls, rules: TellRules, clock: Clock) -> None:
        self._calls = calls
        self._rules = rules
        self._clock = clock
        self._numbers = itertools.count(1)
        self._waiting: deque[SessionChange] = deque()
        self._is_there = asyncio.Event()
        self._is_sent = asyncio.Event()
        self._is_sent.set()
        self._lost = 0

    def opened(self, fields: Event) -> OpenSession:
        """A session is open. `fields`: what the event says of it."""
        number = next(self._numbers)
        event: Event = {
            "id": f"{self._rules.incarnation}-{number}-opened",
            "type": HookEvent.SESSION_OPENED.value,
            "timestamp": rfc3339(self._clock.now()),
            **fields,
            "node": self._rules.node,
        }
        self._add(SessionChange(True, HookEvent.SESSION_OPENED in self._rules.told, number, event))
        return OpenSession(number, event)

    def closed(self, session: OpenSession, code: int | None, reason: str) -> None:
        """`code`: a close code; None: the connection was lost."""
        event = {
            **session.event,
            "id": closed_id(str(session.event["id"])),
            "type": HookEvent.SESSION_CLOSED.value,
            "timestamp": rfc3339(self._clock.now()),
            "code": code,
            "reason": reason,
        }
        self._add(SessionChange(False, HookEvent.SESSION_CLOSED in self._rules.told, session.number, event))

    def _add(self, change: SessionChange) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            if not self._lost:
                _log.error("the hooks are not told of sessions: too many wait for Redis", waiting=WAITING_MAX)
            self._lost += 1
        self._waiting.append(change)
        self._is_sent.clear()
        self._is_there.set()

    async def run(self) -> None:
        """Hand what waits to Redis. Never returns."""
        while True:
            await self._is_there.wait()
            changes = list(itertools.islice(self._waiting, CHANGES_AT_ONCE))
            lost = self._lost
            try:
                await self._calls.tell_sessions(self._rules.incarnation, changes)
            except Unavailable as error:
                _log.debug("Redis does not take what the hooks are told of sessions", error=error.message)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for _ in range(len(changes) - (self._lost - lost)):  # those that were dropped meanwhile are gone already
                self._waiting.popleft()
            if not self._waiting:
                self._is_there.clear()
                self._is_sent.set()

    async def finish(self, seconds: float) -> None:
        """Wait until Redis has taken what waits, for so many seconds at most; what is left another node tells."""
        try:
            async with asyncio.timeout(seconds):
                await self._is_sent.wait()
        except TimeoutError:
            _log.error("Redis was not told of the end of sessions: another node does it", sessions=len(self._waiting))

    def statistics(self, ended: int) -> SessionEventStatistics:
        return SessionEventStatistics(len(self._waiting), self._lost, ended)


class DeadProcesses:
    """Tells of the ends of sessions whose process is dead. Needs `run` running; works while this process delivers."""

    def __init__(
        self,
        calls: HookCalls,
        *,
        list_alive: Callable[[], Awaitable[Collection[str]]],
        leads: Callable[[], bool],
        is_told: bool,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """`list_alive` raises Unavailable."""
        self._calls = calls
        self._list_alive = list_alive
        self._leads = leads
        self._is_told = is_told
        self._look_seconds = look_seconds
        self._looks: dict[str, int] = {}  # bounded: the processes that Redis has, of those that are dead
        self.ended = 0

    async def run(self) -> None:
        """Never returns."""
        while True:
            await asyncio.sleep(self._look_seconds)
            if not self._leads():
                self._looks.clear()
                continue
            try:
                await self.look()
            except Unavailable as error:
                _log.debug("could not look for dead nodes with sessions", error=error.message)

    async def look(self) -> None:
        """Raises Unavailable."""
        processes = await self._calls.list_processes()
        alive = await self._list_alive() if processes else ()
        self._looks = {name: self._looks.get(name, 0) + 1 for name in processes if name not in alive}
        for name, looks in self._looks.items():
            if looks >= LOOKS:
                await self._end(name)

    async def _end(self, process: str) -> None:
        """Raises Unavailable."""
        left = 1
        while left > 0:
            left = await self._calls.end_dead(process, is_told=self._is_told)
        if left == 0:
            self.ended += 1
            _log.info("the hooks are told that the sessions of a dead node have ended", process=process)
