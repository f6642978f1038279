"""A node that is late itself: what clients have sent in time counts, although it reads it late."""

import asyncio
import socket
import time
from contextlib import closing

import pytest
from tannoy.node.server import http_protocol

from tests.support.http_server import HttpServer
from tests.support.waiting import value_becomes

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The event loop of the product, which calls timers before it looks at further sockets."""
    return "asyncio", {"use_uvloop": True}


async def test_a_head_that_came_in_time_is_served_by_an_event_loop_that_is_late(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT", 2.0)
    waking, woken = socket.socketpair()
    async with HttpServer.running() as server:
        with closing(waking), closing(woken), socket.create_connection(("127.0.0.1", server.port)) as client:
            await value_becomes(server.open, 1)

            def be_late() -> None:
                woken.recv(1)
                client.send(REQUEST)
                time.sleep(2.5)

            asyncio.get_running_loop().add_reader(woken, be_late)
            waking.send(b"x")
            client.setblocking(False)
            answer = await asyncio.get_running_loop().sock_recv(client, 1000)
            asyncio.get_running_loop().remove_reader(woken)

            assert answer.startswith(b"HTTP/1.1 204 ")
