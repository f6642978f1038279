"""The events of a client for those who iterate over them: each reader has a bounded queue of its own."""

import asyncio
import weakref
from collections import deque
from typing import Generic, Self, TypeVar

from .errors import ClientError
from .events import Event, EventsMissed

QUEUED_EVENTS_MAX = 1000
"""Events that wait for one reader; beyond them the oldest are dropped, and counted in an EventsMissed."""

Item = TypeVar("Item")


class EventReaders:
    """The readers of one session's events. One that nobody holds any more is forgotten."""

    __slots__ = ("_readers",)

    def __init__(self) -> None:
        self._readers: list[weakref.ref[EventQueue[Event]]] = []

    def open(self) -> "EventQueue[Event]":
        """Return a reader of the events from now on."""
        reader: EventQueue[Event] = EventQueue()
        self._readers.append(weakref.ref(reader, self._readers.remove))
        return reader

    def tell(self, event: Event) -> None:
        for reader in self._readers:
            if (queue := reader()) is not None:
                queue.add(event)

    def finish(self, end: ClientError | None) -> None:
        """Nothing follows. `end` is raised behind the last event; None: the iterations just end."""
        for reader in self._readers:
            if (queue := reader()) is not None:
                queue.finish(end)


class EventQueue(Generic[Item]):
    """`async for event in queue`: what has happened since it was made. Raises what has ended the client."""

    def __init__(self) -> None:
        self._events: deque[Item] = deque()
        self._missed = 0
        self._has_ended = False
        self._end: ClientError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def add(self, event: Item) -> None:
        if len(self._events) >= QUEUED_EVENTS_MAX:
            self._events.popleft()
            self._missed += 1
        self._events.append(event)
        self._wake()

    def finish(self, end: ClientError | None) -> None:
        self._has_ended, self._end = True, end
        self._wake()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item | EventsMissed:
        while True:
            if self._missed:
                missed, self._missed = self._missed, 0
                return EventsMissed(missed)
            if self._events:
                return self._events.popleft()
            if self._has_ended:
                raise self._end or StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
