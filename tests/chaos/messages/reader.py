"""Reads history: random windows over WebSocket and HTTP, and sometimes the whole log, page after page."""

import asyncio
from collections.abc import Sequence

import httpx

from tests.chaos.messages.client import RunContext
from tests.chaos.messages.listener import Listener, api_path_of, page_of
from tests.chaos.messages.record import Page, Window
from tests.support.cluster import NodeProcess

PATIENCE = 2.0
READ_EVERY = 0.4
READ_MAX = 300
PAGE_SIZES = (1, 10, 50, 100, READ_MAX)


class Reader:
    def __init__(self, context: RunContext, channels: Sequence[str]) -> None:
        self._stage = context.stage
        self._record = context.record
        self._registry = context.registry
        self._channels = channels
        self._chance = context.chance("reader")

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            await asyncio.sleep(READ_EVERY)
            channel = self._chance.choice(self._channels)
            head = await self.read(channel, Window(self._chance.choice(PAGE_SIZES)))
            if head is None:
                continue
            how = self._chance.random()
            back = max(0, head.head.offset - self._chance.randint(0, self._record.kept + 20))
            if how < 0.4:
                await self.read(channel, Window(self._chance.choice(PAGE_SIZES), since=back))
            elif how < 0.8:
                await self.read(channel, Window(self._chance.choice(PAGE_SIZES), before=back + 1))
            else:
                await self._read_on(channel, max(0, head.head.offset - self._record.kept))

    async def _read_on(self, channel: str, since: int) -> None:
        """Read page after page up to the head."""
        while True:
            page = await self.read(channel, Window(100, since=since))
            if page is None or not len(page.entries):
                return
            since = page.entries.offsets[-1]

    async def read(self, channel: str, window: Window) -> Page | None:
        """Over the WebSocket of a subscriber, or over HTTP. None: no answer, or no history."""
        listeners = [each for each in self._registry.connections if isinstance(each, Listener)]
        there = [each for each in listeners if each.is_live and each.may_use(channel)]
        if there and self._chance.random() < 0.5:
            page = await self._chance.choice(there).read(channel, window, PATIENCE)
            if page is not None:
                self._record.pages.append(page)
            return page
        up = self._stage.live_nodes()
        return await self.read_from(self._chance.choice(up), channel, window) if up else None

    async def read_from(self, node: NodeProcess, channel: str, window: Window) -> Page | None:
        """Over HTTP."""
        asked_at = self._record.history.now()
        try:
            answer = await node.http.get(api_path_of(channel), params=window.as_fields(), timeout=PATIENCE)
        except httpx.TransportError:
            return None
        if answer.status_code != 200:
            if answer.status_code != 503:
                self._record.add_unexpected(asked_at, channel, f"history: {answer.status_code} {answer.text}")
            return None
        page = page_of(answer.json(), channel, node.name, asked_at, window)
        if page is not None:
            self._record.pages.append(page)
        return page
