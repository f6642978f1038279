"""Requests that do not go on, over real sockets: the fast transport's HTTP protocol class, with short deadlines."""

from collections.abc import AsyncGenerator

import pytest
from tannoy.node.server import http_protocol, read_deadline

from tests.support.http_server import HttpServer
from tests.support.raw_http import RawHttp
from tests.support.raw_socket import RawSocket
from tests.support.waiting import value_becomes

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost:"
HALF_A_BODY = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello"
HALF_A_CHUNK = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5"


@pytest.fixture
async def server(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[HttpServer]:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT", 0.1)
    monkeypatch.setattr(http_protocol, "BODY_TIMEOUT", 0.1)
    monkeypatch.setattr(read_deadline, "READ_TIMEOUT", 0.1)
    async with HttpServer.running() as running:
        yield running


@pytest.mark.parametrize(
    ("start", "part"),
    [(HALF_A_HEAD, "head"), (HALF_A_BODY, "body"), (HALF_A_CHUNK, "body")],
    ids=["head", "body", "chunk"],
)
async def test_a_request_that_does_not_go_on_is_answered_with_408(server: HttpServer, start: bytes, part: str) -> None:
    async with RawHttp.to(server.port) as http:
        await http.send(start)
        answer = await http.answer()

        assert (answer.status, answer.json()["detail"]) == (408, f"the {part} of the request did not arrive in time")
        assert await http.is_ended()
    await value_becomes(server.open, 0)


async def test_a_body_behind_an_unanswered_request_is_not_late(server: HttpServer) -> None:
    server.may_answer.clear()
    async with RawHttp.to(server.port) as http, RawHttp.to(server.port) as other:
        await http.send(REQUEST + HALF_A_BODY)
        await other.send(HALF_A_BODY)
        assert (await other.answer()).status == 408  # so long ago the node has stopped to read from the first one
        await http.send(b"world")
        server.may_answer.set()

        assert [(await http.answer()).status for _ in range(2)] == [204, 204]


async def test_a_client_that_does_not_read_its_answer_is_reset(server: HttpServer) -> None:
    server.body = bytes(20_000_000)  # more than the kernel keeps for it
    async with RawSocket.to(server.port, receive_buffer=4096) as client:
        await client.send(REQUEST)
        await value_becomes(server.open, 1)

        await value_becomes(server.open, 0)
