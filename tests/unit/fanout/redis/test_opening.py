"""What opening a connection leaves behind where it is given up."""

import asyncio
import gc
import socket
from pathlib import Path
from typing import Any

import pytest
from tannoy.fanout.redis.address import RedisAddress
from tannoy.fanout.redis.connection import RedisConnection
from tannoy.fanout.redis.opening import connect


async def test_an_opening_that_is_cancelled_leaves_no_exception_that_is_never_retrieved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled in the very turn of the event loop in which it has sent its commands."""
    loop = asyncio.get_running_loop()
    logged: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: logged.append(context))
    path = str(tmp_path / "silent.sock")
    server = RedisAddress(path, None, username=None, password=None, database=0, tls=None)
    openings: list[asyncio.Task[RedisConnection]] = []
    opened: list[RedisConnection] = []
    send = RedisConnection.send

    def send_and_cancel(connection: RedisConnection, *words: Any) -> asyncio.Future[Any]:
        opened.append(connection)
        loop.call_soon(openings[0].cancel)
        return send(connection, *words)

    monkeypatch.setattr(RedisConnection, "send", send_and_cancel)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        openings.append(asyncio.create_task(connect(server, name="test", on_pushes=lambda _: None, timeout=60)))
        await asyncio.wait(openings)
        await opened[0].lost
    assert openings.pop().cancelled()
    gc.collect()
    assert logged == []
