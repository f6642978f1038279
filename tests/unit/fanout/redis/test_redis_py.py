"""Questions by redis-py: what a server does to them ends as an error that their callers expect."""

import asyncio
from typing import Any

import pytest
import uvloop
from tannoy.fanout.redis.address import RedisAddress
from tannoy.fanout.redis.dial import Route
from tannoy.fanout.redis.errors import ConnectionLost
from tannoy.fanout.redis.redis_py import ask

from tests.support.waiting import PATIENCE


async def _serve_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


def test_a_connection_that_is_reset_before_the_first_command_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    open_connection = asyncio.open_connection

    async def open_and_reset(*where: Any, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As a peer does it whose RST comes right after its SYN-ACK."""
        reader, writer = await open_connection(*where, **options)
        writer.transport.abort()
        await asyncio.sleep(0)
        return reader, writer

    async def ask_server() -> None:
        async with await asyncio.start_server(_serve_nothing, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            address = RedisAddress(host, port, None, None, 0, None)
            with pytest.raises(ConnectionLost, match="closed before the command was sent"):
                await ask(Route(address, host, None, None, None), [("PING",)], PATIENCE)

    monkeypatch.setattr(asyncio, "open_connection", open_and_reset)
    uvloop.run(ask_server())
