"""The bound of connections that are no sessions, over real sockets: the protocol class of the fast transport alone.

A node has some thousand places. Here there are three, and the clock by which their clients wait is the test's.
"""

import gc
import weakref
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest
from tannoy.node.admission.other_connections import WAIT_MIN
from tannoy.node.server.http_protocol import TannoyHttpProtocol

from tests.support.http_server import HttpServer
from tests.support.raw_http import RawHttp
from tests.support.raw_socket import RawSocket
from tests.support.waiting import eventually, value_becomes

PLACES = 3
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost:"
HALF_A_BODY = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello"


@pytest.fixture
async def server(anyio_backend: str) -> AsyncGenerator[HttpServer]:
    async with HttpServer.running(places=PLACES) as running:
        yield running


async def _connect(stack: AsyncExitStack, server: HttpServer, start: bytes = b"") -> RawHttp:
    """A connection that the server has accepted."""
    opened = await server.open()
    http = await stack.enter_async_context(RawHttp.to(server.port))
    await http.send(start)
    await value_becomes(server.open, opened + 1)
    if start == REQUEST and server.may_answer.is_set():
        assert (await http.answer()).status == 204
    return http


@pytest.mark.parametrize("start", [b"", HALF_A_HEAD, HALF_A_BODY, REQUEST], ids=["silent", "head", "body", "idle"])
async def test_a_newcomer_takes_the_place_of_the_client_that_has_waited_longest(
    server: HttpServer, start: bytes
) -> None:
    async with AsyncExitStack() as stack:
        first = await _connect(stack, server, start)
        for _ in range(PLACES - 1):
            server.clock.advance(WAIT_MIN)
            await _connect(stack, server)

        async with RawHttp.to(server.port) as newcomer:
            assert (await newcomer.request(REQUEST.decode())).status == 204
            assert server.acceptor.other_connections.statistics().closed == 1
        assert await first.is_ended()


async def test_a_client_that_waits_for_its_answer_keeps_its_place_and_newcomers_get_503(server: HttpServer) -> None:
    server.may_answer.clear()
    async with AsyncExitStack() as stack:
        waiting = [await _connect(stack, server, REQUEST) for _ in range(PLACES)]
        await value_becomes(server.waiting, 0)
        server.clock.advance(WAIT_MIN)

        async with RawHttp.to(server.port) as newcomer:
            answer = await newcomer.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert await newcomer.is_ended()
        server.may_answer.set()
        assert [(await http.answer()).status for http in waiting] == [204] * PLACES
    assert server.acceptor.refusals.statistics()["connections"] >= 1


async def test_a_session_has_no_place_among_them(server: HttpServer) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(PLACES + 1):
            socket = await stack.enter_async_context(RawSocket.to(server.port))
            assert await socket.handshake("/ws") == 101

        assert await server.open() == 0


async def test_a_connection_that_has_ended_gives_its_place_back(server: HttpServer) -> None:
    async with RawHttp.to(server.port) as http:
        await http.send(HALF_A_BODY)
        await value_becomes(server.open, 1)

    await value_becomes(server.open, 0)


async def _is_freed(connection: weakref.ref[TannoyHttpProtocol]) -> bool:
    gc.collect()
    return connection() is None


@pytest.mark.parametrize("request_bytes", [b"no request\r\n\r\n", REQUEST], ids=["refused", "answered"])
async def test_a_connection_that_its_client_has_reset_is_freed(
    request_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only when its next request, or its end, is due: thousands may come before."""
    monkeypatch.setattr("tannoy.node.server.http_protocol.CLOSE_DEADLINE", 3600)
    async with HttpServer.running(keep_alive=3600) as server, RawHttp.to(server.port) as http:
        await http.send(request_bytes)
        await http.answer()
        connections = [weakref.ref(each) for each in gc.get_objects() if type(each) is TannoyHttpProtocol]
        assert len(connections) == 1

        http.reset()

        await eventually(lambda: _is_freed(connections[0]), what="the connection is freed")
