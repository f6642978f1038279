"""When a node asks Redis how streams stand, and what it says about its sessions."""

import asyncio
from typing import Any

from tannoy.fanout.history.tracker import Deliveries
from tannoy.fanout.streams.stored import StoredStream
from tannoy.node.delivery.hub import Hub
from tannoy.node.delivery.stream_delivery import StreamTables
from tannoy.node.delivery.stream_watch import READ_AGAIN_AFTER, READS_AT_ONCE, StreamWatch
from tannoy.shared.channels import Channel
from tannoy.shared.errors import Unavailable
from tannoy.shared.names import StreamId
from tannoy.shared.streams import StreamPublication, StreamRead, StreamSnapshot, StreamStatus

from tests.support.clock import ManualClock, manual_clock, on_manual_time, turns
from tests.support.hub_members import LOBBY, RecordingMember
from tests.support.stream_events import header


class ScriptedReading:
    """A StreamReading whose answers the test gives."""

    def __init__(self) -> None:
        self.listed: list[Channel] = []
        self.reads: list[StreamId] = []
        self.told: list[int] = []
        self.answers: dict[str, asyncio.Future[Any]] = {}
        self.open: list[str] = []
        self.refuses = False

    def list_open(self, channel: Channel) -> "asyncio.Future[list[StreamId]]":
        self.listed.append(channel)
        return self._answer([StreamId(each) for each in self.open])

    def read(self, channel: Channel, stream_id: StreamId) -> "asyncio.Future[StoredStream | None]":
        self.reads.append(stream_id)
        future = self.answers[stream_id] = asyncio.get_running_loop().create_future()
        return future

    def tell_listeners(self, channel: Channel, sessions: int) -> "asyncio.Future[int]":
        self.told.append(sessions)
        return self._answer(sessions)

    def _answer(self, value: Any) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.refuses:
            future.set_exception(Unavailable("no"))
        else:
            future.set_result(value)
        return future


class WatchDriver:
    """A hub with one member of the lobby."""

    def __init__(self) -> None:
        self.clock: ManualClock = manual_clock()
        self.hub = Hub()
        self.hub.add(LOBBY, RecordingMember())
        self.reading = ScriptedReading()
        self.delivered: list[object] = []
        self.watch = StreamWatch(self.hub, self.reading, self.clock, self._deliver, 60)  # type: ignore[arg-type]
        self.roster = self.hub.rosters[LOBBY.address]

    def _deliver(self, deliveries: Deliveries) -> None:
        for _, publication in deliveries:
            assert isinstance(publication, StreamPublication)
            self.delivered.append(publication.event)

    def begin(self) -> None:
        """A stream is open in the lobby."""
        tables = StreamTables(self.watch.ask, self.clock.monotonic, self.watch.on_first)
        snapshot = StreamSnapshot(header(), b"text")
        tables.of(self.roster)._take_snapshot(snapshot)  # pyright: ignore[reportPrivateUsage]


def stored(text: str = "text", **fields: Any) -> StoredStream:
    known: dict[str, Any] = {"status": None, "is_stopped": False, "listeners": 0, "position": None, **fields}
    return StoredStream(header=header(), length=len(text), text=text.encode(), **known)


@on_manual_time
async def test_the_first_session_of_a_channel_asks_for_its_open_streams_once() -> None:
    driver = WatchDriver()
    driver.reading.open = ["a", "b"]
    driver.watch.look_at(LOBBY)
    driver.watch.look_at(LOBBY)
    await turns(3)
    assert (driver.reading.listed, driver.reading.reads) == ([LOBBY], ["a", "b"])


@on_manual_time
async def test_what_was_read_is_delivered() -> None:
    driver = WatchDriver()
    driver.watch.ask(LOBBY, StreamId("s"))
    driver.reading.answers["s"].set_result(stored())
    await turns(2)
    assert driver.delivered == [StreamRead(StreamId("s"), StreamSnapshot(header(), b"text"))]


@on_manual_time
async def test_a_stream_that_redis_does_not_know_is_delivered_as_gone() -> None:
    driver = WatchDriver()
    driver.watch.ask(LOBBY, StreamId("s"))
    driver.reading.answers["s"].set_result(None)
    await turns(2)
    assert driver.delivered == [StreamRead(StreamId("s"))]


@on_manual_time
async def test_a_text_of_which_redis_has_lost_some_is_not_delivered() -> None:
    driver = WatchDriver()
    driver.watch.ask(LOBBY, StreamId("s"))
    driver.reading.answers["s"].set_result(stored(has_lost_text=True))
    await turns(2)
    assert driver.delivered == []


@on_manual_time
async def test_an_end_of_which_redis_tells_is_delivered_with_its_status() -> None:
    driver = WatchDriver()
    driver.watch.ask(LOBBY, StreamId("s"))
    driver.reading.answers["s"].set_result(stored(status=StreamStatus.FAILED))
    await turns(2)
    assert driver.delivered == [
        StreamRead(StreamId("s"), StreamSnapshot(header(), b"text"), StreamStatus.FAILED),
    ]


@on_manual_time
async def test_a_stream_is_asked_for_once_at_a_time_and_again_if_that_was_wanted_meanwhile() -> None:
    driver = WatchDriver()
    for _ in range(3):
        driver.watch.ask(LOBBY, StreamId("s"))
    assert driver.reading.reads == ["s"]
    driver.reading.answers["s"].set_result(stored())
    await turns(2)
    assert driver.reading.reads == ["s", "s"]


@on_manual_time
async def test_few_streams_are_read_at_once() -> None:
    driver = WatchDriver()
    for number in range(READS_AT_ONCE + 1):
        driver.watch.ask(LOBBY, StreamId(f"s{number}"))
    assert len(driver.reading.reads) == READS_AT_ONCE
    driver.reading.answers["s0"].set_result(None)
    await turns(2)
    assert driver.reading.reads[-1] == f"s{READS_AT_ONCE}"


@on_manual_time
async def test_while_redis_is_away_a_stream_is_asked_for_again() -> None:
    driver = WatchDriver()
    driver.watch.ask(LOBBY, StreamId("s"))
    driver.reading.answers["s"].set_exception(Unavailable("no"))
    await turns(2)
    await asyncio.sleep(READ_AGAIN_AFTER)
    assert driver.reading.reads == ["s", "s"]


@on_manual_time
async def test_a_node_says_how_many_sessions_listen_as_soon_as_a_stream_is_open() -> None:
    driver = WatchDriver()
    driver.begin()
    await turns(2)
    assert driver.reading.told == [1]


@on_manual_time
async def test_a_node_says_it_again_until_no_stream_is_open() -> None:
    driver = WatchDriver()
    running = asyncio.get_running_loop().create_task(driver.watch.run())
    driver.begin()
    await asyncio.sleep(1.6)
    assert len(driver.reading.told) >= 3
    assert driver.roster.streams is not None
    driver.roster.streams.views.clear()
    told = len(driver.reading.told)
    await asyncio.sleep(1.6)
    assert len(driver.reading.told) == told
    running.cancel()


@on_manual_time
async def test_a_stream_that_is_silent_for_too_long_is_asked_for() -> None:
    driver = WatchDriver()
    running = asyncio.get_running_loop().create_task(driver.watch.run())
    driver.begin()
    await asyncio.sleep(64)
    assert driver.reading.reads == []
    await asyncio.sleep(3)
    assert driver.reading.reads == ["s"]
    running.cancel()


@on_manual_time
async def test_after_the_link_was_away_all_streams_are_asked_for() -> None:
    driver = WatchDriver()
    running = asyncio.get_running_loop().create_task(driver.watch.run())
    driver.begin()
    driver.reading.open = ["s", "new"]
    driver.watch.on_live()
    await turns(6)
    assert driver.reading.listed == [LOBBY]
    assert sorted(driver.reading.reads) == ["new", "s"]
    running.cancel()
