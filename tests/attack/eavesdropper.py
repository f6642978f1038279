"""Whoever can read Redis: all that is published there, as bytes."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, Self

from tests.support.valkey import Valkey
from tests.support.waiting import eventually


class Published(NamedTuple):
    channel: bytes
    payload: bytes


class Eavesdropper:
    """A connection that is subscribed to every channel. `heard` grows while it is open."""

    def __init__(self) -> None:
        self.heard: list[Published] = []

    @classmethod
    @asynccontextmanager
    async def on(cls, valkey: Valkey) -> AsyncGenerator[Self]:
        reader, writer = await asyncio.open_connection("127.0.0.1", valkey.port)
        there = cls()
        writer.write(b"PSUBSCRIBE *\r\n")
        await _read_reply(reader)
        reading = asyncio.create_task(there._read(reader))
        try:
            yield there
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            writer.close()

    async def wait_for(self, is_it: Callable[[Published], bool]) -> Published:
        async def has_come() -> bool:
            return any(map(is_it, self.heard))

        await eventually(has_come, what="it is published")
        return next(filter(is_it, self.heard))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            _, _, channel, payload = await _read_reply(reader)
            self.heard.append(Published(channel, payload))


async def _read_reply(reader: asyncio.StreamReader) -> list[bytes]:
    """An array of bulk strings and numbers, in RESP 2."""
    words: list[bytes] = []
    for _ in range(int((await reader.readline())[1:])):
        line = await reader.readline()
        if line.startswith(b"$"):
            words.append((await reader.readexactly(int(line[1:]) + 2))[:-2])
        else:
            words.append(line[1:-2])
    return words
