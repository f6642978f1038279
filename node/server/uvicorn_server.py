"""uvicorn, set up for us: sockets that may share a port, signals of our own, the fast carrier."""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
from collections.abc import Generator

import uvicorn

from ...shared.errors import StartError
from ...shared.settings import Settings
from ..app import create_app_of
from ..node import Node
from ..transports.uvicorn_websocket import TannoyWebSocketProtocol

BACKLOG = 4096


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn would raise them again at the end, and a clean stop is exit code 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    def stop(self) -> None:
        if self.should_exit:
            self.force_exit = True  # a second signal ends it at once
        self.should_exit = True


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket. Raises StartError.

    `shared`: other processes may listen on the same port. Such a one listens only once the server runs, or the kernel
    would give connections to a node that is not ready.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        if not shared:
            listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StartError(
            f"can't listen on {host}:{port}: {reason}. Choose another with --port or TANNOY_PORT"
        ) from error
    return listener


def run_node(settings: Settings, *, shared_port: int | None = None) -> int:
    """Run one node until a signal ends it; the exit code. Raises StartError.

    `shared_port`: listen on it too, together with the other nodes of this machine.
    """
    node = Node(settings)
    application = create_app_of(node)
    listeners = [listen(settings.host, settings.port)]
    if shared_port is not None:
        listeners.append(listen(settings.host, shared_port, shared=True))
    _raise_file_limit()
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http="httptools",
        ws=TannoyWebSocketProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=5,
    )
    config.load()
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        return runner.run(_serve(node, _Server(config), listeners))


async def _serve(node: Node, server: _Server, listeners: list[socket.socket]) -> int:
    def stop() -> None:
        node.is_draining = True
        server.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with node.running():
        calm_garbage_collector()
        await server.serve(sockets=listeners)
    return 1 if node.has_failed else 0


def _raise_file_limit() -> None:
    """A socket is a file: take as many as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def calm_garbage_collector() -> None:
    """What is there after start stays: keep it out of every later collection, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
