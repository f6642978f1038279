"""All external services of a process: opened together, checked again and again, closed in order, each in bounded time.

The order is that of use: a service may rest on those before it, so the last one is closed first. If a required one
can't be opened, all others are closed, and nothing is left over.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from ...shared.clock import Clock, rfc3339
from ...shared.errors import StartError, Unavailable
from ...shared.logs import get_logger
from .service import ExternalService, RecordedEvent, ServiceEvent, ServiceStatistics
from .window import TimeWindow

OPEN_TIMEOUT = 10.0
"""Seconds in which each service has to be opened."""
CHECK_PERIOD = 5.0
"""Seconds between two checks of a service."""
CHECK_TIMEOUT = 2.0
"""Seconds in which a service has to answer a check."""
CLOSE_TIMEOUT = 3.0
"""Seconds in which each service has to be closed; then it is left, and the next one is closed."""
EVENTS_KEPT = 32
"""Events of each service that its statistics list."""

OnEvent = Callable[[ExternalService, RecordedEvent], None]

_log = get_logger("tannoy.external")


def log_event(service: ExternalService, recorded: RecordedEvent) -> None:
    """An OnEvent: one line of the log for each."""
    is_bad = recorded.event in (ServiceEvent.NOT_OPENED, ServiceEvent.LOST, ServiceEvent.CLOSE_TIMED_OUT)
    log = _log.warning if is_bad else _log.info
    fields = {"reason": recorded.reason} if recorded.reason else {}
    log(f"{service.name}: {recorded.event.value.replace('_', ' ')}", address=service.address, **fields)


class _Watched:
    """One service, and what is known of it."""

    def __init__(self, service: ExternalService) -> None:
        self.service = service
        self.is_usable = False
        self.checks = self.checks_failed = 0
        self.checked = TimeWindow()
        self.events: deque[RecordedEvent] = deque(maxlen=EVENTS_KEPT)

    def statistics(self) -> ServiceStatistics:
        return ServiceStatistics(
            address=self.service.address,
            is_usable=self.is_usable,
            checks=self.checks,
            checks_failed=self.checks_failed,
            checked=self.checked.statistics(),
            events=tuple(self.events),
            work=self.service.statistics(),
        )


class ExternalServices:
    """Use `opened`, and run `run_checks` within it."""

    def __init__(
        self,
        services: Sequence[ExternalService],
        clock: Clock,
        on_event: OnEvent = log_event,
        open_timeout: float = OPEN_TIMEOUT,
    ) -> None:
        self._watched = [_Watched(service) for service in services]
        self._clock = clock
        self._on_event = on_event
        self._open_timeout = open_timeout

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """All services are open for the length of a block. Raises StartError: a required one can't be used."""
        try:
            await self._open_all()
            yield
        finally:
            for watched in reversed(self._watched):
                await self._close(watched)

    async def _open_all(self) -> None:
        """Raises StartError."""
        async with asyncio.TaskGroup() as tasks:
            opening = [tasks.create_task(self._open(watched)) for watched in self._watched]
        for watched, task in zip(self._watched, opening, strict=True):
            if (failure := task.result()) is None:
                watched.is_usable = True
                self._tell(watched, ServiceEvent.OPENED)
            else:
                self._tell(watched, ServiceEvent.NOT_OPENED, str(failure))
        for watched, task in zip(self._watched, opening, strict=True):
            if (failure := task.result()) is not None and watched.service.is_required:
                raise failure

    async def _open(self, watched: _Watched) -> StartError | None:
        service = watched.service
        try:
            async with asyncio.timeout(self._open_timeout):
                await service.open()
        except StartError as failure:
            return failure
        except TimeoutError:
            return StartError(
                f"the {service.name} at {service.address} does not answer within {self._open_timeout:g} s"
            )
        return None

    async def _close(self, watched: _Watched) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await watched.service.close()
        except TimeoutError:
            self._tell(watched, ServiceEvent.CLOSE_TIMED_OUT, f"not within {CLOSE_TIMEOUT:g} s")
        else:
            self._tell(watched, ServiceEvent.CLOSED)
        watched.is_usable = False

    # ---- checks

    async def run_checks(self) -> None:
        """Check each service, again and again. Never returns."""
        async with asyncio.TaskGroup() as tasks:
            for watched in self._watched:
                tasks.create_task(self._check_often(watched))

    async def _check_often(self, watched: _Watched) -> None:
        while True:
            await asyncio.sleep(CHECK_PERIOD)
            await self._check(watched)

    async def _check(self, watched: _Watched) -> None:
        started, failure = self._clock.monotonic(), ""
        watched.checks += 1
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                await watched.service.check()
        except Unavailable as error:
            failure = error.message
        except TimeoutError:
            failure = f"no answer within {CHECK_TIMEOUT:g} s"
        if failure:
            watched.checks_failed += 1
        else:
            watched.checked.record(self._clock.monotonic() - started)
        was_usable, watched.is_usable = watched.is_usable, not failure
        if was_usable and failure:
            self._tell(watched, ServiceEvent.LOST, failure)
        elif not was_usable and not failure:
            self._tell(watched, ServiceEvent.RECOVERED)

    def _tell(self, watched: _Watched, event: ServiceEvent, reason: str = "") -> None:
        recorded = RecordedEvent(rfc3339(self._clock.now()), event, reason)
        watched.events.append(recorded)
        self._on_event(watched.service, recorded)

    def statistics(self) -> Mapping[str, ServiceStatistics]:
        """By the name of each service."""
        return {watched.service.name: watched.statistics() for watched in self._watched}
