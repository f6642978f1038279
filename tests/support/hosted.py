"""An application with a node inside, served by uvicorn in the process of the test, whose functions are its hooks."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

import httpx
import structlog
import uvicorn
from starlette.types import ASGIApp
from tannoy import Settings, Tannoy
from tannoy.embedding.embedded_node import EmbeddedNode
from tannoy.fanout.lease_times import LeaseTimes
from tannoy.fanout.timeouts import Timeouts
from tannoy.node.server import Protocol

from tests.support.client import Client
from tests.support.node import PATIENT
from tests.support.waiting import PATIENCE, eventually


class PatientTannoy(Tannoy):
    """Waits for Redis for as long as a busy machine needs. `node` is that of its lifespan."""

    node: EmbeddedNode

    def _create_node(
        self, lease_times: LeaseTimes = PATIENT.leases, timeouts: Timeouts = PATIENT.timeouts
    ) -> EmbeddedNode:
        self.node = super()._create_node(lease_times, timeouts)
        return self.node


class _Server(uvicorn.Server):
    """Leaves the signals to the tests."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class Served:
    """An application on a port. Paths are those of the node in it, below `mount`."""

    def __init__(self, port: int, mount: str) -> None:
        self.port = port
        self.url = f"127.0.0.1:{port}{mount}"
        self.http = httpx.AsyncClient(base_url=f"http://{self.url}", timeout=PATIENCE, verify=False)
        self.clients: list[Client] = []

    async def open(self, path: str, **options: Any) -> Client:
        """A client that was accepted; it ends after the server."""
        client = await Client.open(f"ws://{self.url}{path}", **options)
        self.clients.append(client)
        return client

    async def connect(self, path: str, **options: Any) -> Client:
        """A client whose `welcome` has come."""
        client = await self.open(path, **options)
        await client.welcomed()
        return client


Serve = Callable[..., AbstractAsyncContextManager[Served]]
"""The fixture of tests/integration/hooks."""


@asynccontextmanager
async def served(app: ASGIApp, *, mount: str, is_fast: bool) -> AsyncGenerator[Served]:
    """Serve an application until the end of the block, with its lifespan."""
    config = uvicorn.Config(
        app, port=0, ws=Protocol if is_fast else "auto", lifespan="on", log_config=None, timeout_graceful_shutdown=1
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())

    async def has_started() -> bool:
        assert not serving.done(), "the application has not started"
        return server.started

    await eventually(has_started, what="the application has started")
    running = Served(server.servers[0].sockets[0].getsockname()[1], mount)
    try:
        yield running
    finally:
        server.should_exit = True
        await serving
        for client in running.clients:
            client.vanish()
        await running.http.aclose()


def settings_for(redis_url: str, **others: Any) -> Settings:
    """Without what a busy machine would run into."""
    quiet: dict[str, Any] = {
        **dict.fromkeys(("rate_connects", "rate_messages", "rate_commands", "rate_bytes", "loop_lag_max_ms"), 0),
        **{"redis_url": redis_url, "ping_interval": 3600, "presence_grace": 0},
    }
    return Settings(**(quiet | others))


@contextmanager
def own_logs() -> Generator[None]:
    """Begin with a structlog that nothing has configured, and leave it as it was before."""
    was_configured, before = structlog.is_configured(), structlog.get_config()
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    if was_configured:
        structlog.configure(**before)


# ---- hooks that fail

SOON = 0.05
"""Seconds of a hook in tests that wait until it is late."""


async def fail(*arguments: object) -> Any:
    raise RuntimeError("a fault of the application")


async def hang(*arguments: object) -> Any:
    await asyncio.Event().wait()


def time_for(hook: object) -> float:
    """The `hook_timeout` of a test with this hook."""
    return SOON if hook is hang else PATIENCE


async def told_before_bye(client: Client) -> tuple[str, int, bool]:
    """Code of the `error`, close code, and whether the client may come back."""
    bye, code = await client.bye()
    assert code == bye["code"]
    return (await client.expect("error"))["code"], code, bye["reconnect"]
