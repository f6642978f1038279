"""The HTTP protocol class of the fast transport on a real socket, below an application that a test holds up."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self

import uvicorn
from starlette.types import Receive, Scope, Send
from tannoy.node.admission.other_connections import OtherConnections
from tannoy.node.server.http_protocol import TannoyHttpProtocol
from uvicorn.server import ServerState

from tests.support.clock import ManualClock
from tests.support.echo_server import EchoAcceptor


class HttpServer:
    """Reads a request, waits until it may answer, and answers with 204, or with a `body`.

    `places`: how many connections may be open that are no sessions.
    """

    def __init__(self, places: int) -> None:
        self.clock = ManualClock()
        self.acceptor = EchoAcceptor()
        self.acceptor.other_connections = OtherConnections(self.clock, maximum=places)
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.body = b""
        self.port = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200 if self.body else 204, "headers": []})
        await send({"type": "http.response.body", "body": self.body})

    async def open(self) -> int:
        return self.acceptor.other_connections.statistics().open

    async def waiting(self) -> int:
        return self.acceptor.other_connections.statistics().waiting

    @classmethod
    @asynccontextmanager
    async def running(cls, *, places: int = 100, keep_alive: int = 5) -> AsyncGenerator[Self]:
        """`keep_alive`: seconds for which a connection may be idle."""
        made = cls(places)
        config = uvicorn.Config(
            made,
            http=TannoyHttpProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            timeout_keep_alive=keep_alive,
        )
        config.load()
        state = ServerState()
        listening = await asyncio.get_running_loop().create_server(
            lambda: TannoyHttpProtocol(config, state, {"clients": made.acceptor}), "127.0.0.1"
        )
        made.port = listening.sockets[0].getsockname()[1]
        async with listening:
            yield made
