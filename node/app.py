"""The ASGI application of a node: settings → node → Starlette.

Any ASGI server can run it: `uvicorn --factory tannoy.node.app:create_app`. `tannoy node` runs the same application
under uvicorn with the fast transport.
"""

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypedDict

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import StatefulLifespan

from ..shared.errors import internal_error
from ..shared.settings import Settings, find_setting_names, load_settings, settings_without_effect, unknown_settings
from .auth.hosts import is_loopback
from .lifecycle.logs import configure_logs
from .lifecycle.signals import run_before_signal_handlers
from .node import Node
from .problems import CONTENT_TYPE, encode_http_problem
from .transports.asgi_websocket import websocket_routes
from .web.health import health_routes
from .web.pages import page_routes
from .web.requests import problem_response
from .web.routes import api_routes

_log = structlog.get_logger("tannoy.app")


class LifespanState(TypedDict):
    """`request.state` of each request."""

    node: Node


def create_app(settings: Settings | None = None, *, make_node: Callable[[Settings], Node] = Node) -> Starlette:
    """Create the application of a node that runs for the lifespan of the server.

    Without `settings` they are read from the environment, and logging is configured. Raises StartError.
    """
    if settings is None:
        settings = load_settings()
        configure_logs(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[LifespanState]:
        node = make_node(settings)
        async with node.running():
            with run_before_signal_handlers(node.drain):
                yield {"node": node}

    return _build_app(settings, lifespan)


def create_app_of(node: Node) -> Starlette:
    """Create the application of a node that the caller starts and stops."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[LifespanState]:
        yield {"node": node}

    return _build_app(node.settings, lifespan)


def _build_app(settings: Settings, lifespan: StatefulLifespan[Starlette]) -> Starlette:
    _log_warnings(settings)
    routes = [*websocket_routes(), *health_routes(), *api_routes(), *page_routes()]
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: _handle_http_error, Exception: _handle_internal_error},
    )


async def _handle_http_error(request: Request, error: Exception) -> Response:
    """Answer errors such as "not found" and "method not allowed" with a problem document too."""
    assert isinstance(error, HTTPException)
    return Response(
        encode_http_problem(error.status_code, error.detail), error.status_code, error.headers, CONTENT_TYPE
    )


async def _handle_internal_error(request: Request, error: Exception) -> Response:
    """Answer an exception of a handler. Starlette raises it again after the answer, so that it is logged."""
    return problem_response(internal_error())


def _log_warnings(settings: Settings) -> None:
    """Log settings that are unsafe, without effect or unknown."""
    if settings.auth == "none" and not is_loopback(settings.host):
        _log.warning(
            "TANNOY_AUTH=none: any client that reaches this address can choose its identity", host=settings.host
        )
    if not settings.api_key.get_secret_value():
        _log.warning("no TANNOY_API_KEY is set: the API serves clients on this machine only")
    named = find_setting_names(os.environ)
    if names := settings_without_effect(named):
        _log.warning("these settings have no effect in this version yet", settings=names)
    if names := unknown_settings(named):
        _log.warning("unknown settings, perhaps misspelt", settings=names)
