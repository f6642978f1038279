"""Answers over HTTP that may be large: few at once, and each written no faster than its client reads.

A WebSocket connection has one page under way, and the bounds of its outbox. A client of HTTP may open a connection for
each question, and read none of the answers: each would be in the memory of the node, with what the kernel takes.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...shared.errors import Refused
from ...shared.turns import Turns

PIECE_BYTES = 65_536
"""Of an answer that are handed to the server at once: as much as it keeps before it waits for the client."""

Endpoint = Callable[[Request], Awaitable[Response]]


def answered_in_turn(
    endpoint: Endpoint, find_turns: Callable[[Request], Turns], refuse: Callable[[Refused], Response]
) -> Endpoint:
    """An endpoint whose answers are read and written in their turn; `refuse`: the answer to who waits too long."""

    async def in_turn(request: Request) -> Response:
        return _AnswerInTurn(endpoint, request, find_turns(request), refuse)

    return in_turn


class _AnswerInTurn(Response):
    """What a turn is for happens when this is written, which Starlette asks for behind the endpoint."""

    def __init__(
        self, endpoint: Endpoint, request: Request, turns: Turns, refuse: Callable[[Refused], Response]
    ) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._request = request
        self._turns = turns
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        small: list[Response] = []

        async def answer() -> None:
            response = await self._endpoint(self._request)
            if len(response.body) <= PIECE_BYTES:
                small.append(response)  # written when the turn is over: nobody waits for this client
            else:
                await _write_in_pieces(response, send)

        try:
            await self._turns.run(1, answer)
        except Refused as refusal:
            small.append(self._refuse(refusal))
        for response in small:
            await response(scope, receive, send)


async def _write_in_pieces(response: Response, send: Send) -> None:
    """The server waits with each piece until the client has read most of those before."""
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    body = memoryview(response.body)
    for start in range(0, len(body), PIECE_BYTES):
        piece = bytes(body[start : start + PIECE_BYTES])
        await send({"type": "http.response.body", "body": piece, "more_body": start + PIECE_BYTES < len(body)})
