"""An application with hooks, served in the test's own process, on both carriers."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from tannoy.fanout.startup import skip_recovery

from tests.support.hosted import PatientTannoy, Serve, Served, own_logs, served, settings_for
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        await skip_recovery(running.address, "tannoy", PATIENCE)
        yield running


@pytest.fixture(autouse=True)
def logs() -> Generator[None]:
    with own_logs():
        yield


@pytest.fixture(params=["fast", "portable"])
def carrier(request: pytest.FixtureRequest) -> str:
    """Modules whose hooks are called by a session, which has no carrier, have one alone."""
    return str(request.param)


@pytest.fixture
def serve(carrier: str, valkey: Valkey) -> Serve:
    """`async with serve(authenticate=…) as server:`; `settings` are more of them, `middleware` is around the node."""

    @asynccontextmanager
    async def running(
        settings: dict[str, Any] | None = None, middleware: list[Middleware] | None = None, **hooks: Any
    ) -> AsyncGenerator[Served]:
        hooks.setdefault("hook_timeout", PATIENCE)
        rt = PatientTannoy(settings_for(valkey.url, **(settings or {})), **hooks)

        async def log_in(request: Request) -> Response:
            request.session["user"] = request.path_params["user"]
            return Response()

        app = Starlette(
            routes=[Route("/log-in/{user}", log_in, methods=["POST"]), Mount("/rt", rt)],
            middleware=[Middleware(SessionMiddleware, secret_key="of the host"), *(middleware or [])],
            lifespan=rt.lifespan,
        )
        async with served(app, mount="/rt", is_fast=carrier == "fast") as server:
            yield server

    return running
