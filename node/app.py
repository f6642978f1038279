"""The composition root: settings → node → Starlette, one lifespan.

`create_app` is what any ASGI server runs: `uvicorn --factory tannoy.node.app:create_app`. `tannoy node` runs the same
application with the fast carrier below it.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypedDict

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope, StatefulLifespan

from ..shared.errors import internal_error
from ..shared.settings import Settings, find_setting_names, load_settings, settings_without_effect, unknown_settings
from .auth.identity import is_loopback
from .lifecycle.logs import configure_logs
from .lifecycle.signals import goodbye_first
from .node import Node
from .problems import CONTENT_TYPE, http_problem
from .transports.asgi_websocket import websocket_routes
from .web.health import health_routes
from .web.requests import problem_response
from .web.routes import api_routes

_STATIC = Path(__file__).parent / "static" / "chat"
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

_log = structlog.get_logger("tannoy.app")


class LifespanState(TypedDict):
    node: Node


def create_app(settings: Settings | None = None) -> Starlette:
    """The application of a node that lives as long as the server's lifespan.

    Without `settings` they are read from the environment. Raises StartError.
    """
    if settings is None:
        settings = load_settings()
        configure_logs(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[LifespanState]:
        node = Node(settings)
        async with node.running():
            with goodbye_first(node.say_goodbye):
                yield {"node": node}

    return _build(settings, lifespan)


def create_app_of(node: Node) -> Starlette:
    """The application of a node that somebody else runs."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[LifespanState]:
        yield {"node": node}

    return _build(node.settings, lifespan)


def _build(settings: Settings, lifespan: StatefulLifespan[Starlette]) -> Starlette:
    _warn(settings)
    routes = [*websocket_routes(), *health_routes(), *api_routes(), *_page_routes()]
    return Starlette(
        routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _http_error, Exception: _internal_error}
    )


async def _http_error(request: Request, error: Exception) -> Response:
    """Not found, method not allowed: as a problem document like all others."""
    assert isinstance(error, HTTPException)
    return Response(http_problem(error.status_code, error.detail), error.status_code, error.headers, CONTENT_TYPE)


async def _internal_error(request: Request, error: Exception) -> Response:
    """What is ours to mend. Starlette raises it again behind the answer, so the log has it too."""
    return problem_response(internal_error())


async def _page(request: Request) -> Response:
    return FileResponse(_STATIC / "index.html", headers=_PAGE_HEADERS)


class _StaticFiles(StaticFiles):
    """Static files with the headers of the page."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_PAGE_HEADERS)
        return response


def _page_routes() -> list[BaseRoute]:
    return [Route("/", _page), Mount("/static", _StaticFiles(directory=_STATIC))]


def _warn(settings: Settings) -> None:
    """Say at start what an operator would otherwise find out later."""
    if settings.auth == "none" and not is_loopback(settings.host):
        _log.warning("TANNOY_AUTH=none: every client may say who it is, on every interface", host=settings.host)
    if not settings.api_key.get_secret_value():
        _log.warning("no TANNOY_API_KEY is set: the API serves clients on this machine only")
    named = find_setting_names(os.environ)
    if names := settings_without_effect(named):
        _log.warning("these settings have no effect in this version yet", settings=names)
    if names := unknown_settings(named):
        _log.warning("no such settings: misspelt?", settings=names)
