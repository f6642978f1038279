"""Applications of users with a node inside: `create_app`, a factory for uvicorn, by EMBEDDED_IN and EMBEDDED_AT.

Their node has the internal times that a test has chosen. Each has a route of its own beside what is mounted.
"""

import os
from collections.abc import Callable

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket
from tannoy import Tannoy
from tannoy.embedding.embedded_node import EmbeddedNode
from tannoy.fanout.lease_times import DEFAULT_TIMES, LeaseTimes
from tannoy.fanout.timeouts import DEFAULT_TIMEOUTS, Timeouts

from tests.support.hosts import Framework
from tests.support.node import VARIABLE, Times

OWN = "of the host"
"""What GET /own answers, wherever the node is mounted, and the first text of its WebSocket at /own-socket."""


class TimedTannoy(Tannoy):
    """With the times of TESTED_TIMES, if that is set. `node` is that of its lifespan."""

    node: EmbeddedNode

    def _create_node(
        self, lease_times: LeaseTimes = DEFAULT_TIMES, timeouts: Timeouts = DEFAULT_TIMEOUTS
    ) -> EmbeddedNode:
        if VARIABLE in os.environ:
            times = Times.from_environment()
            lease_times, timeouts = times.leases, times.timeouts
        self.node = super()._create_node(lease_times, timeouts)
        return self.node

    def break_part(self) -> None:
        """Let a background task of the node end by an error."""

        async def fail() -> int:
            raise RuntimeError("a fault of ours")

        revoked = self.node.revoked_sessions
        revoked.close_all = fail  # type: ignore[method-assign]
        revoked.close_soon()


async def echo_once(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(OWN)
    await socket.send_text(await socket.receive_text())
    await socket.close()


def in_fastapi(rt: TimedTannoy, mount: str) -> ASGIApp:
    app = FastAPI(lifespan=rt.lifespan)

    @app.get("/own", response_class=PlainTextResponse)
    async def own() -> str:
        return OWN

    @app.post("/own/say/{room}")
    async def say(room: str) -> dict[str, int | None]:
        position = await rt.publish.to_room(room, OWN)
        return {"offset": position.offset if position else None}

    @app.post("/own/break")
    async def break_node() -> None:
        rt.break_part()

    @app.websocket("/own-socket")
    async def own_socket(socket: WebSocket) -> None:
        await echo_once(socket)

    app.mount(mount, rt)
    return app


def in_starlette(rt: TimedTannoy, mount: str) -> ASGIApp:
    async def own(request: Request) -> PlainTextResponse:
        return PlainTextResponse(OWN)

    async def say(request: Request) -> JSONResponse:
        position = await rt.publish.to_room(request.path_params["room"], OWN)
        return JSONResponse({"offset": position.offset if position else None})

    async def break_node(request: Request) -> PlainTextResponse:
        rt.break_part()
        return PlainTextResponse("broken")

    async def own_socket(socket: WebSocket) -> None:
        await echo_once(socket)

    routes = [
        Route("/own", own),
        Route("/own/say/{room}", say, methods=["POST"]),
        Route("/own/break", break_node, methods=["POST"]),
        WebSocketRoute("/own-socket", own_socket),
        Mount(mount, rt),
    ]
    return Starlette(routes=routes, lifespan=rt.lifespan)


def in_litestar(rt: TimedTannoy, mount: str) -> ASGIApp:
    from litestar import Litestar, asgi, get  # takes long, and no other application needs it
    from litestar.types import Receive, Scope, Send

    @get("/own", media_type="text/plain")
    async def own() -> str:
        return OWN

    @asgi(mount, is_mount=True, copy_scope=True)
    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        await rt(scope, receive, send)  # type: ignore[arg-type]  # Litestar has types of its own for the same things

    return Litestar([own, mounted], lifespan=[rt.lifespan], openapi_config=None)  # type: ignore[return-value]


_FRAMEWORKS: dict[Framework, Callable[[TimedTannoy, str], ASGIApp]] = {
    Framework.FASTAPI: in_fastapi,
    Framework.STARLETTE: in_starlette,
    Framework.LITESTAR: in_litestar,
}


def create_app() -> ASGIApp:
    framework, mount = Framework(os.environ["EMBEDDED_IN"]), os.environ["EMBEDDED_AT"]
    return _FRAMEWORKS[framework](TimedTannoy(), mount)
