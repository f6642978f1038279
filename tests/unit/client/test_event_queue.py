"""The events of a client for several readers, each with a bounded queue."""

import asyncio
import gc
import weakref

import pytest
from tannoy.client.errors import ClientError
from tannoy.client.event_queue import QUEUED_EVENTS_MAX, EventReaders
from tannoy.client.events import BusStatus, EventsMissed

from tests.support.clock import turns

UP, DOWN = BusStatus("up"), BusStatus("down")


async def test_each_reader_gets_each_event_in_order() -> None:
    readers = EventReaders()
    first, second = readers.open(), readers.open()
    readers.tell(UP)
    readers.tell(DOWN)
    assert [await anext(first), await anext(first), await anext(second)] == [UP, DOWN, UP]


async def test_a_reader_gets_what_comes_while_it_waits() -> None:
    readers = EventReaders()
    reader = readers.open()
    waiting = asyncio.ensure_future(anext(reader))
    await turns()
    readers.tell(UP)
    assert await waiting == UP


async def test_a_reader_that_is_too_slow_is_told_how_many_events_it_has_missed() -> None:
    readers = EventReaders()
    reader = readers.open()
    for _ in range(QUEUED_EVENTS_MAX + 3):
        readers.tell(UP)
    assert [await anext(reader), await anext(reader)] == [EventsMissed(3), UP]


async def test_a_reader_that_waits_when_the_client_is_closed_ends() -> None:
    readers = EventReaders()
    reader = readers.open()
    readers.tell(UP)
    readers.finish(None)
    assert [event async for event in reader] == [UP]


async def test_what_ended_the_client_is_raised_behind_the_last_event() -> None:
    readers = EventReaders()
    reader = readers.open()
    readers.tell(UP)
    readers.finish(ClientError("evicted"))
    assert await anext(reader) == UP
    with pytest.raises(ClientError, match="evicted"):
        await anext(reader)


async def test_a_reader_that_nobody_holds_any_more_is_forgotten() -> None:
    readers = EventReaders()
    forgotten = weakref.ref(readers.open())
    gc.collect()
    assert forgotten() is None
    readers.tell(UP)
