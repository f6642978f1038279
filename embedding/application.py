"""`tannoy.Tannoy`: a node inside your own application, as an ASGI application to mount.

    rt = Tannoy(Settings(redis_url="redis://…"))
    app = FastAPI(lifespan=rt.lifespan)
    app.mount("/rt", rt)

docs/embedding.md explains it.
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from starlette.types import Receive, Scope, Send

from ..fanout.lease_times import DEFAULT_TIMES, LeaseTimes
from ..fanout.timeouts import DEFAULT_TIMEOUTS, Timeouts
from ..node.app import build_app, log_warnings
from ..node.hooks.hooks import (
    AT_ONCE,
    TIMEOUT,
    Authenticate,
    Authorize,
    Hooks,
    OnConnect,
    OnDisconnect,
    OnMessage,
)
from ..node.lifecycle.signals import run_before_signal_handlers
from ..node.node import Node
from ..node.transports.handover import find_socket, serve_socket
from ..sdk.async_publisher import AsyncPublisher
from ..sdk.errors import PublishError
from ..shared.errors import StartError
from ..shared.settings import Settings, load_settings
from ..shared.variables import read_variables
from .embedded_node import EmbeddedNode
from .host_logs import log_as_host
from .mounts import below_mount

NOT_STARTED = (
    "Tannoy was not started: give your application its lifespan, as in FastAPI(lifespan=rt.lifespan), or enter "
    "`async with rt.lifespan(app):` in a lifespan of your own (docs/embedding.md)"
)
STARTED_TWICE = "Tannoy runs already: each application, and each start of one, needs a Tannoy(…) of its own"
TWO_IDENTITIES = "authenticate takes the place of TANNOY_AUTH=jwt and hook: leave one of them out"
TWO_AUTHORIZERS = "with TANNOY_AUTH=hook the back end decides who may join: leave authorize out"
FAST_CARRIER = "tannoy.node.server.embedded_protocol"
"""The module of the protocol class of the fast carrier, which nobody but uvicorn loads: `--ws` names it."""

_log = structlog.get_logger("tannoy.app")


@dataclass(frozen=True, slots=True)
class _Started:
    """What runs during a lifespan."""

    node: Node
    publisher: AsyncPublisher


class Tannoy:
    """An ASGI application: the endpoints of docs/protocol.md, below wherever it is mounted.

    Without `settings` they are read from the environment, as `tannoy node` does. The hooks are async functions, each of
    which may be left out: `node/hooks/hooks.py` has their arguments. `hook_timeout`: seconds that a call may take.
    `hooks_at_once`: calls of each hook that are under way at once. Raises StartError; TypeError for a hook that is no
    async function, and ValueError for a bound out of its range.

    It runs while `lifespan` does. Should a part of the node fail, its sessions are closed with 4001, it takes no
    others, and `not_ready_reason` says why; the process goes on.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        authenticate: Authenticate | None = None,
        authorize: Authorize | None = None,
        on_connect: OnConnect | None = None,
        on_message: OnMessage | None = None,
        on_disconnect: OnDisconnect | None = None,
        hook_timeout: float = TIMEOUT,
        hooks_at_once: int = AT_ONCE,
    ) -> None:
        self._variables: Mapping[str, str] | None = read_variables(os.environ) if settings is None else None
        self._settings = load_settings() if settings is None else settings
        self._hooks = Hooks(
            authenticate,
            authorize,
            on_connect,
            on_message,
            on_disconnect,
            timeout=hook_timeout,
            at_once=hooks_at_once,
        )
        if authenticate is not None and self._settings.auth != "none":
            raise StartError(TWO_IDENTITIES)
        if authorize is not None and self._settings.auth == "hook":
            raise StartError(TWO_AUTHORIZERS)
        self._app = build_app(self._settings)
        self._started: _Started | None = None
        self._leaving: asyncio.Task[None] | None = None

    # ---- life

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncGenerator[None]:
        """Run the node for the length of a block. It is the lifespan of an application, or is entered by one.

        Raises StartError if Redis can't be used, or if it runs already.
        """
        if self._started is not None:
            raise StartError(STARTED_TWICE)
        log_as_host()
        is_identified = self._hooks.authenticate is not None
        log_warnings(self._settings, self._variables or {}, is_identified_by_application=is_identified)
        node, publisher = self._create_node(), _create_publisher(self._settings)
        node.publisher = publisher
        self._started = started = _Started(node, publisher)
        try:
            async with self._running(started):
                _log_carrier(node)
                with run_before_signal_handlers(node.drain, on_interrupt=node.leaving.hurry):
                    yield
        finally:
            self._started = None

    @asynccontextmanager
    async def _running(self, started: _Started) -> AsyncGenerator[None]:
        """Run the node, and the publisher for longer than that."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(started.publisher.close)
            stack.push_async_callback(self._join_leaving)
            await stack.enter_async_context(started.node.running())
            try:
                await started.publisher.open()
            except PublishError as error:
                raise StartError(str(error)) from error
            yield

    async def _join_leaving(self) -> None:
        leaving, self._leaving = self._leaving, None
        if leaving is not None:
            await leaving

    def _create_node(
        self, lease_times: LeaseTimes = DEFAULT_TIMES, timeouts: Timeouts = DEFAULT_TIMEOUTS
    ) -> EmbeddedNode:
        return EmbeddedNode(
            self._settings,
            lease_times=lease_times,
            timeouts=timeouts,
            on_failure=self._leave,
            on_drain=self._leave,
            hooks=self._hooks,
        )

    def _leave(self) -> None:
        """The node has failed, or an operator lets it leave: close its sessions, and end nothing else."""
        node = self._find_started().node
        if self._leaving is None:
            node.leaving.announce()
            _log.error(
                "the node closes its sessions and takes no others: start the application again", node=node.node_id
            )
            self._leaving = asyncio.get_running_loop().create_task(node.drain(), name="tannoy-leave")

    def _find_started(self) -> _Started:
        if self._started is None:
            raise StartError(NOT_STARTED)
        return self._started

    # ---- what the application uses

    @property
    def publish(self) -> AsyncPublisher:
        """What publishes: `await rt.publish.to_room("lobby", {"hi": 1})`. Raises StartError outside of the lifespan."""
        return self._find_started().publisher

    @property
    def not_ready_reason(self) -> str | None:
        """Why a load balancer should not send clients here; None: it should. `GET /health/ready` says the same."""
        return NOT_STARTED if self._started is None else self._started.node.not_ready_reason

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        node = self._find_started().node
        scope = below_mount(scope, {"node": node, "clients": node.clients})
        if scope["type"] == "websocket" and (socket := find_socket(scope)) is not None:
            await serve_socket(scope, socket, node.clients)
        else:
            await self._app(scope, receive, send)


def _log_carrier(node: Node) -> None:
    """Say what carries the WebSockets, as far as that can be known before there is one."""
    if FAST_CARRIER in sys.modules:
        _log.info("Tannoy runs in this application", carrier="fast", node=node.node_id)
    else:
        faster = "uvicorn --ws tannoy.node.server:Protocol"
        _log.info("Tannoy runs in this application", carrier="portable", faster=faster, node=node.node_id)


def _create_publisher(settings: Settings) -> AsyncPublisher:
    """The publisher of the node's cluster. Each argument is given, so that it reads nothing from the environment."""
    return AsyncPublisher(
        settings.redis_url.get_secret_value(),
        redis_prefix=settings.redis_prefix,
        redis_credentials=settings.redis_credentials or "",
        cluster_secret=settings.cluster_secret.get_secret_value(),
        history_size=settings.history_size,
        history_ttl=settings.history_ttl,
        message_max_bytes=settings.message_max_bytes,
    )
