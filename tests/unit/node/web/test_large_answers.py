"""Answers that may be large: few at once, and each until its client has read it."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from tannoy.node.web.large_answers import PIECE_BYTES, answered_in_turn
from tannoy.node.web.requests import problem_response
from tannoy.shared.turns import Turns

from tests.support.clock import on_manual_time, turns

LARGE, SMALL = b"x" * (2 * PIECE_BYTES + 1), b"x" * PIECE_BYTES
SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": []}


class Server:
    """One place. Each client reads as much as its semaphore allows: so many parts of an answer."""

    def __init__(self) -> None:
        self.turns = Turns(1, is_open=lambda: True, wait_max=2.0)
        self.built = 0

    async def serve(self, body: bytes, client: "Client") -> None:
        async def build(request: Request) -> Response:
            self.built += 1
            return Response(body)

        endpoint = answered_in_turn(build, lambda request: self.turns, problem_response)
        await (await endpoint(Request(SCOPE)))(SCOPE, client.receive, client.send)

    def ask(self, body: bytes, client: "Client") -> "asyncio.Task[None]":
        return asyncio.create_task(self.serve(body, client))


class Client:
    def __init__(self, parts: int = 1000) -> None:
        self.may_read = asyncio.Semaphore(parts)
        self.got: list[Any] = []

    async def receive(self) -> Any:
        raise AssertionError("nobody asks for the body of a question")

    async def send(self, part: Any) -> None:
        await self.may_read.acquire()
        self.got.append(part)

    @property
    def body(self) -> bytes:
        return b"".join(part["body"] for part in self.got[1:])

    @property
    def status(self) -> int:
        return int(self.got[0]["status"])


@on_manual_time
async def test_a_large_answer_arrives_whole_in_pieces() -> None:
    client = Client()
    await Server().serve(LARGE, client)

    assert client.body == LARGE
    assert max(len(part["body"]) for part in client.got[1:]) == PIECE_BYTES
    assert [part["more_body"] for part in client.got[1:]] == [True, True, False]


@on_manual_time
async def test_nothing_is_built_for_others_while_a_client_has_not_read_a_large_answer() -> None:
    server, idle, other = Server(), Client(parts=2), Client()
    first = server.ask(LARGE, idle)
    await turns()
    second = server.ask(LARGE, other)
    await turns()
    assert (server.built, other.got) == (1, [])

    idle.may_read.release()
    idle.may_read.release()
    await asyncio.gather(first, second)

    assert (server.built, other.body) == (2, LARGE)


@on_manual_time
async def test_a_client_that_does_not_read_a_small_answer_keeps_nobody_waiting() -> None:
    server, idle, other = Server(), Client(parts=0), Client()
    first = server.ask(SMALL, idle)
    await turns()

    await server.serve(LARGE, other)

    assert other.body == LARGE
    first.cancel()


@on_manual_time
async def test_who_waits_too_long_is_refused_with_503() -> None:
    server, idle, other = Server(), Client(parts=2), Client()
    first = server.ask(LARGE, idle)
    await turns()

    await server.serve(LARGE, other)

    assert (other.status, server.built) == (503, 1)
    first.cancel()
