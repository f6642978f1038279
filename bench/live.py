"""A cluster whose processes can be killed, frozen and started again, for the benchmarks of delays after a failure."""

import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import IO, Any, Self

import httpx
from redis.asyncio import Redis
from tannoy.fanout.redis.address import RedisAddress
from tannoy.fanout.startup import skip_recovery

from .errors import BenchError
from .servers import START_SECONDS, build_environment, find_free_port, valkey_binary, wait_until_ready
from .session import Session

POLL_SECONDS = 0.02


async def wait_for(condition: Callable[[], Awaitable[bool]], *, within: float) -> float:
    """Seconds until `condition()` is true, polled. Raises BenchError after `within` seconds."""
    started = time.monotonic()
    while not await condition():
        if time.monotonic() - started > within:
            raise BenchError(f"a condition was not met within {within:g} s")
        await asyncio.sleep(POLL_SECONDS)
    return time.monotonic() - started


class _Process:
    """A server process that keeps its port over kills and starts."""

    def __init__(self, *, health: bool) -> None:
        self.port = find_free_port()
        self._health = health
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        self._log: IO[bytes] = tempfile.TemporaryFile()
        self._process: subprocess.Popen[bytes] | None = None

    async def _start(self, command: list[str], environment: Mapping[str, str]) -> None:
        process = self._process = self._spawn(command, environment)
        await asyncio.to_thread(wait_until_ready, process, self.port, health=self._health)

    def _spawn(self, command: list[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command, cwd=self._folder.name, env=build_environment(environment), stdout=self._log, stderr=self._log
        )

    def send_signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def close(self) -> None:
        await self.kill()
        self._log.close()
        self._folder.cleanup()


class ValkeyProcess(_Process):
    """A Valkey without persistence. Use it as `async with ValkeyProcess() as valkey:`."""

    def __init__(self) -> None:
        super().__init__(health=False)
        self.url = f"redis://127.0.0.1:{self.port}"
        self.address = RedisAddress("127.0.0.1", self.port, None, None, 0, None)
        self.client: Redis = Redis(port=self.port, protocol=3)

    async def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        await self._start([valkey_binary(), *options], {})

    async def run(self, *words: str | bytes) -> Any:
        """The reply to any command."""
        return await self.client.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py has no type for it

    async def close(self) -> None:
        await self.client.aclose()
        await super().close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class NodeProcess(_Process):
    """One Tannoy node."""

    def __init__(self, name: str, settings: Mapping[str, str]) -> None:
        super().__init__(health=True)
        self.name = name
        self.ws_url = f"ws://127.0.0.1:{self.port}"
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=5)
        self._settings = {f"TANNOY_{key}": value for key, value in {**settings, "NODE_ID": name}.items()}
        self._sessions: list[Session] = []

    async def start(self) -> None:
        await self._start([sys.executable, "-m", "tannoy", "node", "--port", str(self.port)], self._settings)

    async def connect(self, path: str) -> Session:
        """Open a session and wait for its `welcome`. It is aborted with the node at the latest."""
        session = await Session.open(self.ws_url + path)
        self._sessions.append(session)
        await session.expect("welcome")
        return session

    async def is_ready(self) -> bool:
        return (await self.http.get("/health/ready")).status_code == 200

    async def diagnostics(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.http.get("/diagnostics")).json()
        return found

    async def close(self) -> None:
        for session in self._sessions:
            session.abort()
        await self.http.aclose()
        await super().close()


class LiveCluster:
    """A Valkey and two nodes. Use it as `async with LiveCluster() as cluster:`."""

    def __init__(self, **settings: str) -> None:
        self.valkey = ValkeyProcess()
        self.nodes = [NodeProcess(name, {"REDIS_URL": self.valkey.url, **settings}) for name in ("n1", "n2")]
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.valkey)
            # No node was connected to this Valkey before, so no node has to wait for the others.
            await skip_recovery(self.valkey.address, "tannoy", START_SECONDS)
            for node in self.nodes:
                stack.push_async_callback(node.close)
            await asyncio.gather(*(node.start() for node in self.nodes))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
