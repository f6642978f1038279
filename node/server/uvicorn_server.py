"""Runs one node under uvicorn: own listening sockets and signal handlers, the fast transport."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Generator

import structlog
import uvicorn

from ...shared.settings import Settings
from ..app import create_app_of
from ..lifecycle.allocator import return_freed_memory
from ..lifecycle.signals import handle_signals
from ..node import Node
from .http_protocol import TannoyHttpProtocol
from .listeners import BACKLOG, listen

KEEP_ALIVE_TIMEOUT = 75
"""Seconds that a connection of the HTTP API may be idle: more than the 60 s for which most clients keep one."""
SHUTDOWN_TIMEOUT = 5
"""Seconds that uvicorn waits for open connections and tasks at the end."""

_log = structlog.get_logger("tannoy.node")


class _Server(uvicorn.Server):
    """Installs no signal handlers: uvicorn raises a signal again at the end, but a clean stop has exit code 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            _log.info("listening", address=host, port=port)

    def stop_listening(self) -> None:
        for server in self.servers:
            server.close()

    def stop(self, *, at_once: bool) -> None:
        """End `serve`; `at_once`: without waiting for open connections."""
        self.should_exit, self.force_exit = True, at_once


def run_node(
    settings: Settings, *, shared_port: int | None = None, make_node: Callable[[Settings], Node] = Node
) -> int:
    """Run one node until SIGTERM or SIGINT; returns the exit code. Raises StartError.

    `shared_port`: a second port to listen on, together with the other nodes of this machine. The node shares its own
    port too then, with the process that replaces it.
    """
    node = make_node(settings)
    application = create_app_of(node)
    listeners = [listen(settings.host, settings.port, shared=shared_port is not None)]
    if shared_port is not None:
        listeners.append(listen(settings.host, shared_port, shared=True))
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=TannoyHttpProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # TANNOY_TRUSTED_PROXIES says whose word counts
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_TIMEOUT,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
    )
    config.load()
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        return runner.run(_serve(node, _Server(config), listeners))


async def _serve(node: Node, server: _Server, listeners: list[socket.socket]) -> int:
    stopping = _Stopping(node, server)
    handle_signals(asyncio.get_running_loop(), stopping.handle_signal)
    async with node.running():
        tune_garbage_collector()
        return_freed_memory()
        await server.serve(sockets=listeners)
    await stopping.wait()
    return 1 if node.has_failed else 0


class _Stopping:
    """What signals do to a node: the first lets it leave; with SIGINT, and from the second on, without waiting."""

    def __init__(self, node: Node, server: _Server) -> None:
        self._node = node
        self._server = server
        self._leaving: asyncio.Task[None] | None = None

    def handle_signal(self, number: int) -> None:
        if self._leaving is not None:
            self._node.leaving.give_up()
            self._server.stop(at_once=True)
            return
        if number == signal.SIGINT:  # of a terminal
            self._node.leaving.hurry()
        self._leaving = asyncio.create_task(self._leave(), name="tannoy-leave")

    async def _leave(self) -> None:
        await self._node.drain(self._server.stop_listening)
        self._server.stop(at_once=self._server.force_exit)

    async def wait(self) -> None:
        if self._leaving is not None:
            await self._leaving


def tune_garbage_collector() -> None:
    """Exclude the objects that exist after start from later collections, and collect less often.

    A connection that has ended is garbage of some hundred objects, so the youngest are looked at after ten thousand.
    Those that outlive one look, such as the sessions of a storm, are looked at once more after five, and then seldom:
    the oldest are all sessions, and a look at them takes long.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 5, 400)
