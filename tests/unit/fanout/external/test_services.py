import asyncio

import pytest
from tannoy.fanout.external.service import ExternalService, RecordedEvent, ServiceEvent, WorkStatistics
from tannoy.fanout.external.services import CHECK_PERIOD, CLOSE_TIMEOUT, EVENTS_KEPT, OPEN_TIMEOUT, ExternalServices
from tannoy.fanout.external.window import WindowStatistics
from tannoy.shared.errors import StartError, Unavailable

from tests.support.clock import manual_clock, on_manual_time

NO_WORK = WorkStatistics(0, 0, WindowStatistics(0, None, None), {})


class Service:
    """A service that does what the test has set, and notes what is asked of it in a list that services share."""

    def __init__(self, name: str, calls: list[str], *, is_required: bool = True) -> None:
        self.name = name
        self.address = f"{name}://host"
        self.is_required = is_required
        self.fails_to_open = self.hangs = False
        self.failure: str | None = None
        self._calls = calls

    async def open(self) -> None:
        self._calls.append(f"open {self.name}")
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails_to_open:
            raise StartError(f"{self.name} is not there")

    async def check(self) -> None:
        self._calls.append(f"check {self.name}")
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise Unavailable(self.failure)

    async def close(self) -> None:
        self._calls.append(f"close {self.name}")
        if self.hangs:
            await asyncio.Event().wait()

    def statistics(self) -> WorkStatistics:
        return NO_WORK


class Roof:
    """Two services under one roof: `redis`, which is required, and `database`, which is not."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.redis = Service("redis", self.calls)
        self.database = Service("database", self.calls, is_required=False)
        self.events: list[tuple[str, ServiceEvent, str]] = []
        self.services = ExternalServices((self.redis, self.database), manual_clock(), self._note)

    def _note(self, service: ExternalService, recorded: RecordedEvent) -> None:
        self.events.append((service.name, recorded.event, recorded.reason))

    async def open_and_close(self) -> None:
        async with self.services.opened():
            self.calls.append("work")


@on_manual_time
async def test_services_are_opened_in_order_and_closed_in_the_opposite_order() -> None:
    roof = Roof()
    await roof.open_and_close()

    assert roof.calls == ["open redis", "open database", "work", "close database", "close redis"]


@on_manual_time
async def test_a_required_service_that_cannot_be_opened_undoes_all_others() -> None:
    roof = Roof()
    roof.redis.fails_to_open = True

    with pytest.raises(StartError, match="redis is not there"):
        await roof.open_and_close()
    assert roof.calls == ["open redis", "open database", "close database", "close redis"]


@on_manual_time
async def test_an_optional_service_that_cannot_be_opened_is_told_and_found_by_a_later_check() -> None:
    roof = Roof()
    roof.database.fails_to_open = True
    async with roof.services.opened():
        assert ("database", ServiceEvent.NOT_OPENED, "database is not there") in roof.events
        assert not roof.services.statistics()["database"].is_usable
        checks = asyncio.create_task(roof.services.run_checks())
        await asyncio.sleep(CHECK_PERIOD + 0.1)
        checks.cancel()

        assert roof.services.statistics()["database"].is_usable
        assert roof.events[-1] == ("database", ServiceEvent.RECOVERED, "")


@on_manual_time
async def test_a_service_that_hangs_while_it_is_opened_fails_the_start_in_time() -> None:
    roof = Roof()
    roof.redis.hangs = True
    loop = asyncio.get_running_loop()
    started = loop.time()

    with pytest.raises(StartError, match=r"the redis at redis://host does not answer within 10 s"):
        await roof.open_and_close()
    assert loop.time() - started == OPEN_TIMEOUT + CLOSE_TIMEOUT


@on_manual_time
async def test_a_service_that_hangs_while_it_is_closed_does_not_keep_the_next_one_from_it() -> None:
    roof = Roof()
    async with roof.services.opened():
        roof.database.hangs = True

    assert roof.calls[-2:] == ["close database", "close redis"]
    assert ("database", ServiceEvent.CLOSE_TIMED_OUT, "not within 3 s") in roof.events


@on_manual_time
async def test_a_check_that_fails_is_told_once_and_so_is_the_recovery() -> None:
    roof = Roof()
    async with roof.services.opened():
        checks = asyncio.create_task(roof.services.run_checks())
        roof.database.failure = "it is away"
        await asyncio.sleep(2 * CHECK_PERIOD + 0.1)
        roof.database.failure = None
        await asyncio.sleep(2 * CHECK_PERIOD)
        checks.cancel()
        told = [(event, reason) for name, event, reason in roof.events if name == "database"]

        assert told[1:] == [(ServiceEvent.LOST, "it is away"), (ServiceEvent.RECOVERED, "")]
        statistics = roof.services.statistics()["database"]
        assert (statistics.checks, statistics.checks_failed, statistics.checked.count) == (4, 2, 2)


@on_manual_time
async def test_a_check_without_an_answer_fails_in_time_and_the_others_go_on() -> None:
    roof = Roof()
    async with roof.services.opened():
        checks = asyncio.create_task(roof.services.run_checks())
        roof.database.hangs = True
        await asyncio.sleep(2 * CHECK_PERIOD + 0.1)
        checks.cancel()

        assert ("database", ServiceEvent.LOST, "no answer within 2 s") in roof.events
        assert roof.calls.count("check redis") == 2


@on_manual_time
async def test_the_statistics_list_the_latest_events_alone() -> None:
    roof = Roof()
    for _ in range(EVENTS_KEPT):
        await roof.open_and_close()

    events = roof.services.statistics()["redis"].events
    assert len(events) == EVENTS_KEPT
    assert events[-1].event is ServiceEvent.CLOSED
