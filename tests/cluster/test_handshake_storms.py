"""Handshakes that come at once, over real sockets: the protocol class of the fast transport alone.

Test and server share an event loop, so that all is there before the server's next turn. It reads one head a turn.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager

import pytest
from tannoy.node.admission.handshake import NO_PLACE, Rejected
from tannoy.node.admission.heads import HEAD_MAX_BYTES
from tannoy.node.admission.loop_shares import WAITING_MAX_BYTES, LoopShares
from tannoy.node.admission.other_connections import WAIT_MIN

from tests.support.client_frames import TEXT, client_frame
from tests.support.http_server import HttpServer
from tests.support.raw_http import HANDSHAKE, RawHttp
from tests.support.raw_socket import RawSocket
from tests.support.waiting import value_becomes

CLIENTS = 30
REQUEST = f"GET /ws HTTP/1.1\nHost: a\n{HANDSHAKE}\n\n".replace("\n", "\r\n").encode()


@pytest.fixture
async def server(anyio_backend: str) -> AsyncGenerator[HttpServer]:
    async with HttpServer.running() as running:
        running.acceptor.heads = LoopShares(running.clock, pieces=1)
        yield running


@contextmanager
def _connected(server: HttpServer, clients: int) -> Generator[list[socket.socket]]:
    sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(clients)]
    try:
        for each in sockets:
            each.setblocking(False)
        yield sockets
    finally:
        for each in sockets:
            each.close()


def _statuses(sockets: list[socket.socket]) -> list[bytes]:
    """Of the answers that have come."""
    found: list[bytes] = []
    for each in sockets:
        try:
            found.append(each.recv(12, socket.MSG_PEEK)[-3:])
        except BlockingIOError:
            continue
    return found


async def test_a_session_is_served_between_handshakes_that_come_at_once(server: HttpServer) -> None:
    async with RawSocket.to(server.port) as session:
        assert await session.handshake("/ws") == 101
        with _connected(server, CLIENTS) as clients:
            await value_becomes(server.waiting, CLIENTS)
            for client in clients:
                client.send(REQUEST)
            await session.send(client_frame(TEXT, b"hello"))
            assert await session.frame() == (TEXT, b"hello")
            answered_before = len(_statuses(clients))

            async def statuses() -> list[bytes]:
                return _statuses(clients)

            await value_becomes(statuses, [b"101"] * CLIENTS)
            assert answered_before < CLIENTS


async def test_silent_clients_keep_no_handshake_waiting(server: HttpServer) -> None:
    with _connected(server, CLIENTS) as clients:
        for client in clients:
            client.send(REQUEST[:-2])
        await value_becomes(server.waiting, CLIENTS)
        async with RawSocket.to(server.port) as session:
            assert await session.handshake("/ws") == 101
        assert await server.waiting() == CLIENTS


async def test_when_too_many_bytes_wait_the_next_head_is_refused_with_503(server: HttpServer) -> None:
    server.acceptor.heads = LoopShares(server.clock, pieces=0)
    server.acceptor.heads.run("others", lambda: None, WAITING_MAX_BYTES)
    async with RawHttp.to(server.port) as http:
        answer = await http.request(REQUEST.decode())
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def test_what_a_refused_client_sends_on_is_not_refused_again(server: HttpServer) -> None:
    server.acceptor.heads = LoopShares(server.clock, pieces=0)
    server.acceptor.heads.run("others", lambda: None, WAITING_MAX_BYTES)
    before = server.acceptor.refusals.statistics()["connections"]
    async with RawHttp.to(server.port) as http, RawHttp.to(server.port) as other:
        await http.request(REQUEST.decode())
        await http.send(REQUEST)
        await other.request(REQUEST.decode())
        assert server.acceptor.refusals.statistics()["connections"] - before == 2


async def test_many_frames_in_the_segment_of_a_handshake_are_refused_with_400(server: HttpServer) -> None:
    async with RawHttp.to(server.port) as http:
        await http.send(REQUEST + bytes(HEAD_MAX_BYTES + 1))
        answer = await http.answer()
        assert (answer.status, answer.json()["detail"]) == (
            400,
            "frames have to wait for the answer to their handshake",
        )


@pytest.mark.parametrize(
    ("malformed", "status"),
    [
        (REQUEST.replace(b"Version: 13", b"Version: 12"), 426),
        (REQUEST.replace(b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Key: x"), 400),
        (REQUEST.replace(b"Host: a", b"Host: a\r\nContent-Length: 5"), 400),
    ],
    ids=["version", "key", "body"],
)
async def test_a_malformed_handshake_counts_for_the_rate_of_its_address(
    server: HttpServer, malformed: bytes, status: int
) -> None:
    async with RawHttp.to(server.port) as http:
        await http.send(malformed)
        assert (await http.answer()).status == status
    assert server.acceptor.counted == 1


async def test_a_refusal_that_has_to_wait_is_answered_then(server: HttpServer) -> None:
    loop, delay = asyncio.get_running_loop(), 0.1
    server.acceptor.refusal = Rejected(429, NO_PLACE.refusal, NO_PLACE.reason, delay=delay)
    async with RawSocket.to(server.port) as socket:
        began = loop.time()
        assert await socket.handshake("/ws") == 429
        assert loop.time() - began >= delay


async def test_a_client_whose_refusal_waits_makes_place_for_others() -> None:
    async with HttpServer.running(places=1) as server, RawHttp.to(server.port) as http:
        server.acceptor.refusal = Rejected(429, NO_PLACE.refusal, NO_PLACE.reason, delay=3600)
        await http.send(REQUEST)

        async def counted() -> int:
            return server.acceptor.counted

        await value_becomes(counted, 1)
        server.clock.advance(WAIT_MIN)
        async with RawHttp.to(server.port) as other:
            assert (await other.request("GET / HTTP/1.1\nHost: a")).status == 204
        assert await http.is_ended()
