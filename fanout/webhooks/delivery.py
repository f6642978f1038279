"""Delivers events to the target of the HTTP hooks: each at least once, those of a partition in order.

    read the oldest ──▶ send, again and again until the target has taken them ──▶ confirm: they leave the backlog

One process of the cluster delivers at a time. It leads for LEAD_SECONDS beyond its last sign; if it is killed, another
one reads what it has not confirmed, so a target may get events twice, with the same `id`. Two leaders at once, after a
frozen one wakes up, do no more harm than that.

An event that the target refuses for what it is (400, 413, 422) becomes a dead letter, and so does one that it has not
taken for too long. Everything else is sent again, with back-off, and what came after it waits.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Sequence

import orjson

from ...shared.backoff import full_jitter
from ...shared.clock import Clock
from ...shared.errors import TannoyError, Unavailable
from ...shared.hook_events import HookEvent
from ...shared.logs import get_logger
from ...shared.waiting import wait_up_to
from ..backlog import BacklogStatistics, summarize
from ..external.breaker import CircuitOpen
from .calls import HookCalls
from .events import QueuedEvent
from .statistics import DeliveryStatistics
from .target import HookTarget, Work

EVENTS_MAX = 100
"""Of one request."""
REQUEST_MAX_BYTES = 262_144
"""Of the entries of one request, about; one that is larger is sent alone."""
GATHER_SECONDS = 0.25
"""For which events are gathered into a request, where none waited."""
LEAD_SECONDS = 8.0
"""For which a process goes on leading without a sign, beyond the time of a request."""
LOOK_SECONDS = 2.0
"""Between two attempts of another process to lead."""
RETRY_BASE, RETRY_CAP = 0.2, 10.0
"""Seconds of the back-off, with full jitter, where Redis or the target is away."""
REFUSED_FOR_GOOD = frozenset({400, 413, 422})
"""Statuses of a target that does not take these events, and will not."""

_log = get_logger("tannoy.webhooks")


class EventsRefused(TannoyError):
    """The target does not take these events, and will not."""


class HookDelivery:
    """Run `run` once. `name` is different for each process.

    `timeout`: seconds of a request. `retry_seconds`: how long an event is sent again before it is a dead letter.
    `wanted`: others are dropped; nodes of other settings may queue them.
    """

    def __init__(
        self,
        calls: HookCalls,
        target: HookTarget,
        *,
        name: str,
        clock: Clock,
        timeout: float,
        retry_seconds: float,
        wanted: Collection[HookEvent],
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._calls = calls
        self._target = target
        self._name = name
        self._clock = clock
        self._lead_seconds = LEAD_SECONDS + timeout
        self._retry_seconds = retry_seconds
        self._wanted = frozenset(wanted)
        self._uniform = uniform
        self._never = asyncio.Event()
        self._leads_until = 0.0
        self._is_failing = False
        self._delivered = self._requests = self._retries = self._buried = 0
        self._backlog = BacklogStatistics(0, 0.0, 0)

    @property
    def leads(self) -> bool:
        return self._clock.monotonic() < self._leads_until

    async def run(self) -> None:
        """Deliver while no other process does. Never returns."""
        failures = 0
        try:
            while True:
                try:
                    seconds = await self._go_on()
                except Unavailable as error:
                    failures += 1
                    seconds = self._back_off(failures, error)
                else:
                    failures = 0
                if seconds:
                    await wait_up_to(seconds, self._never)
        finally:
            if self.leads:
                self._leads_until = 0.0
                await self._give_up_lead()

    async def _give_up_lead(self) -> None:
        """Another process need not wait until the lead has run out."""
        try:
            await self._calls.lead(self._name, 0)
        except Unavailable:
            pass  # then it runs out

    async def _go_on(self) -> float:
        """Deliver one request's worth of events; seconds to wait until the next. Raises Unavailable."""
        if not await self._lead():
            return LOOK_SECONDS
        events = await self._read()
        if not events:
            return GATHER_SECONDS
        if unwanted := [event for event in events if event.event["type"] not in self._wanted]:
            await self._calls.confirm(unwanted)
        if wanted := [event for event in events if event.event["type"] in self._wanted]:
            await self._deliver(wanted)
        return 0.0

    async def _lead(self) -> bool:
        started = self._clock.monotonic()
        if self._leads_until - started > self._lead_seconds - LOOK_SECONDS:
            return True
        is_leader = await self._calls.lead(self._name, round(self._lead_seconds * 1000))
        self._leads_until = started + self._lead_seconds if is_leader else 0.0
        return is_leader

    async def _read(self) -> list[QueuedEvent]:
        """The oldest events of all partitions in which some wait, each with a fair share. Raises Unavailable."""
        found = await self._calls.waiting()
        before, self._backlog = self._backlog, summarize(found)
        if self._backlog.lost > before.lost:
            _log.error(
                "events are lost to the target of the hooks: more waited than TANNOY_HOOK_BACKLOG allows",
                lost=self._backlog.lost - before.lost,
                waiting=self._backlog.waiting,
            )
        parts = sorted(
            (part for part, waiting in found.items() if waiting.entries), key=lambda part: -found[part].milliseconds
        )[:EVENTS_MAX]
        if not parts:
            return []
        share, size = max(1, EVENTS_MAX // len(parts)), max(1, REQUEST_MAX_BYTES // len(parts))
        read = await asyncio.gather(*(self._calls.read(part, share, size) for part in parts))
        return [event for events in read for event in events]

    # ---- sending

    async def _deliver(self, events: Sequence[QueuedEvent]) -> None:
        """Send them, and confirm. Raises Unavailable: they are to be sent again."""
        try:
            await self._send(events)
        except EventsRefused as refusal:
            await self._deliver_apart(events, str(refusal))
            return
        except Unavailable as error:
            self._retries += 1
            self._tell_failure(error.message)
            await self._bury_old(events, error.message)
            raise
        self._tell_success()
        self._requests += 1
        self._delivered += len(events)
        await self._calls.confirm(events)

    async def _send(self, events: Sequence[QueuedEvent]) -> None:
        """Raises EventsRefused, Unavailable."""
        body = orjson.dumps({"events": [event.event for event in events]})
        answer = await self._target.post(Work.EVENTS, body, is_answer)
        if answer.status in REFUSED_FOR_GOOD:
            raise EventsRefused(f"the answer is {answer.status}")

    async def _deliver_apart(self, events: Sequence[QueuedEvent], reason: str) -> None:
        """The target does not take one of them: send each half by itself, until it is found. Raises Unavailable."""
        if len(events) > 1:
            half = len(events) // 2
            await self._deliver(events[:half])
            await self._deliver(events[half:])
        else:
            await self._bury(events, reason)

    async def _bury_old(self, events: Sequence[QueuedEvent], reason: str) -> None:
        oldest_ms = (self._clock.now() - self._retry_seconds) * 1000
        if old := [event for event in events if event.milliseconds < oldest_ms]:
            await self._bury(old, f"not taken for {self._retry_seconds:g} s: {reason}")

    async def _bury(self, events: Sequence[QueuedEvent], reason: str) -> None:
        """Raises Unavailable; then some may be dead letters, and sent again."""
        await self._calls.bury([event.event for event in events], reason)
        self._buried += len(events)
        _log.error("events have become dead letters", events=len(events), first=events[0].event["id"], reason=reason)
        await self._calls.confirm(events)

    def _back_off(self, failures: int, error: Unavailable) -> float:
        if isinstance(error, CircuitOpen):
            return min(error.retry_after or RETRY_CAP, RETRY_CAP)
        return full_jitter(failures - 1, base=RETRY_BASE, cap=RETRY_CAP, uniform=self._uniform)

    # ---- what an operator is told

    def _tell_failure(self, reason: str) -> None:
        if not self._is_failing:
            self._is_failing = True
            _log.warning("the target of the hooks does not take events: they wait", reason=reason)

    def _tell_success(self) -> None:
        if self._is_failing:
            self._is_failing = False
            _log.info("the target of the hooks takes events again", waiting=self._backlog.waiting)

    def statistics(self) -> DeliveryStatistics:
        return DeliveryStatistics(
            self.leads, self._delivered, self._requests, self._retries, self._buried, self._backlog
        )


def is_answer(status: int) -> bool:
    """Whether a target that answers an event so need not be asked again."""
    return 200 <= status < 300 or status in REFUSED_FOR_GOOD
