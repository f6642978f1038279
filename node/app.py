"""The ASGI application of a node: settings → node → Starlette.

Any ASGI server can run it: `uvicorn --factory tannoy.node.app:create_app`. `tannoy node` runs the same application
under uvicorn with the fast transport.
"""

import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypedDict

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send, StatefulLifespan

from ..shared.errors import StartError
from ..shared.settings import Settings, load_settings
from ..shared.variables import read_variables
from .admission.handshake import record_rejected
from .admission.heads import check_head
from .connections.clients import Clients
from .lifecycle.logs import configure_logs
from .lifecycle.signals import run_before_signal_handlers
from .node import Node
from .setting_warnings import find_file_warnings, find_memory_warnings, find_warnings
from .transports.asgi_websocket import client_host, response_to, target_length, websocket_routes
from .web.api import handle_http_error, handle_internal_error
from .web.health import health_routes
from .web.metrics import metrics_routes
from .web.pages import page_routes
from .web.routes import api_routes

_log = structlog.get_logger("tannoy.app")


NOT_STARTED = (
    "this application of Tannoy was not started: its lifespan has not run, as that of an application that is mounted "
    "in another one never does. Serve it by itself: uvicorn --factory tannoy.node.app:create_app, or mount a "
    "tannoy.Tannoy"
)


class _CheckStarted:
    """Middleware that refuses to serve an application that has no node."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and "node" not in scope.get("state", ()):
            raise StartError(NOT_STARTED)
        await self._app(scope, receive, send)


class _CheckHead:
    """Middleware that refuses a request whose head is too large, whatever the server below lets through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and (rejected := check_head(target_length(scope), scope["headers"])) is not None:
            clients: Clients = scope["state"]["clients"]
            record_rejected(clients.refusals, rejected, client_host(scope))
            app = response_to(rejected)
            app.headers["Connection"] = "close"
        await app(scope, receive, send)


class LifespanState(TypedDict):
    """`request.state` of each request."""

    node: Node
    clients: Clients


def create_app(settings: Settings | None = None, *, make_node: Callable[[Settings], Node] = Node) -> Starlette:
    """Create the application of a node that runs for the lifespan of the server.

    Without `settings` they are read from the environment, and logging is configured. Raises StartError.
    """
    variables: dict[str, str] = {}
    if settings is None:
        settings, variables = load_settings(), read_variables(os.environ)
        configure_logs(settings)
    log_warnings(settings, variables)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[LifespanState]:
        node = make_node(settings)
        async with node.running():
            with run_before_signal_handlers(node.drain, on_interrupt=node.leaving.hurry):
                yield {"node": node, "clients": node.clients}

    return build_app(settings, lifespan)


def log_warnings(
    settings: Settings, variables: Mapping[str, str], *, is_identified_by_application: bool = False
) -> None:
    """Log what an operator is told at start."""
    found = find_warnings(settings, variables, is_identified_by_application=is_identified_by_application)
    for warning in (*found, *find_file_warnings(settings), *find_memory_warnings(settings)):
        _log.warning(warning)


def create_app_of(node: Node) -> Starlette:
    """Create the application of a node that the caller starts and stops."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[LifespanState]:
        yield {"node": node, "clients": node.clients}

    return build_app(node.settings, lifespan)


def build_app(settings: Settings, lifespan: StatefulLifespan[Starlette] | None = None) -> Starlette:
    """Create the application of a node that `lifespan` puts into the state of each request; None: its caller does."""
    routes = [*websocket_routes(), *health_routes(), *metrics_routes(), *api_routes(), *page_routes(settings)]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(_CheckStarted), Middleware(_CheckHead)],
        exception_handlers={HTTPException: handle_http_error, Exception: handle_internal_error},
    )
    # A redirect would name the scheme and host that the node sees, which behind TLS or a proxy are not the client's.
    app.router.redirect_slashes = False
    return app
