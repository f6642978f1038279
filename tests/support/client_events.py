"""The events of the Python client, as tests wait for them."""

import asyncio
from typing import TypeVar

from tannoy.client.event_queue import EventQueue
from tannoy.client.events import Event

from tests.support.waiting import PATIENCE

Found = TypeVar("Found", bound=Event)


async def find(events: EventQueue[Event], kind: type[Found]) -> Found:
    """The next event of this kind."""
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} came")
