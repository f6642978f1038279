"""Redis as users run it: Debian's Redis 7.0 or a Valkey, with users, TLS, replicas and Sentinels, of a test's own."""

import asyncio
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import pytest
from redis.asyncio import Redis
from redis.driver_info import DriverInfo
from redis.exceptions import ConnectionError as NoConnection
from tannoy.fanout.redis.address import parse_address
from tannoy.fanout.startup import skip_recovery

from tests.support import processes
from tests.support.certificates import Certificates
from tests.support.cluster import NodeProcess, Transport
from tests.support.node import PATIENT, Times
from tests.support.ports import free_port
from tests.support.valkey import valkey_binary
from tests.support.waiting import PATIENCE, eventually

MASTER = "mymaster"
DOWN_AFTER = 1.0
"""Seconds of silence after which a Sentinel holds a master to be down."""

_DRIVER = DriverInfo()
"""Made once: each client without one reads the version of redis-py from its installed files, in 1.4 ms of CPU."""

SERVERS = ("redis-7.0", "valkey")


def binary_of(server: str) -> Path:
    """Where it is; without it the test is skipped, which CI does not let pass."""
    if server == "valkey":
        return valkey_binary()
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("no `redis-server` on the PATH: this test needs Debian's package of that name")
    return Path(found)


@asynccontextmanager
async def two_nodes(url: str, *, times: Times = PATIENT, **settings: str) -> AsyncGenerator[list[NodeProcess]]:
    """On a Redis that no node has used before. Where it fails, give `times=PRODUCT`."""
    await skip_recovery(parse_address(url), "tannoy", PATIENCE)
    every = {"REDIS_URL": url, "PING_INTERVAL": "3600", **settings}  # as in `Cluster`
    nodes = [NodeProcess(name, Transport.FAST, every, times=times) for name in ("n1", "n2")]
    try:
        await asyncio.gather(*(node.start() for node in nodes))
        yield nodes
    except BaseException:
        for node in nodes:
            sys.stderr.write(f"---- {node.name}\n{node.log()[-4000:]}\n")
        raise
    finally:
        await asyncio.gather(*(node.close() for node in nodes))


class RedisServer:
    """`async with RedisServer(binary, *configuration) as server:`; it keeps its port over kills and restarts.

    `configuration`: lines of its configuration file. With `tls` it speaks nothing else, and wants to see a certificate.
    """

    def __init__(
        self, binary: Path, *configuration: str, is_sentinel: bool = False, tls: Certificates | None = None
    ) -> None:
        self.port = free_port()
        self._tls = tls
        self._binary = binary
        self._is_sentinel = is_sentinel
        self._folder = tempfile.TemporaryDirectory(prefix="tannoy-redis-")
        self._file = Path(self._folder.name) / "server.conf"
        lines = ["bind 127.0.0.1", f"dir {self._folder.name}", "logfile server.log", *configuration]
        lines += [f"port {self.port}"] if tls is None else ["port 0", f"tls-port {self.port}", *tls.configuration]
        if not is_sentinel:
            lines.append('save ""')
        # Owned by the server from now on: Sentinels write into it, and so do replicas that are promoted.
        self._file.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._folder.cleanup()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, f"the server of port {self.port} does not run"
        return self._process

    async def start(self) -> None:
        mode = ["--sentinel"] if self._is_sentinel else []
        self._process = processes.start([str(self._binary), str(self._file), *mode], cwd=self._folder.name)
        await eventually(self._accepts, what=f"a server accepts connections on port {self.port}")

    async def _accepts(self) -> bool:
        assert self._running.poll() is None, f"the server has ended:\n{self.log()}"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    def log(self) -> str:
        file = Path(self._folder.name) / "server.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def freeze(self) -> None:
        self._running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            processes.end_group(process)

    async def run(self, *words: str, **login: str) -> Any:
        """One command on a connection of its own. `login`: `username` and `password`."""
        options: dict[str, Any] = {**login, **({} if self._tls is None else self._tls.options)}
        client: Redis = Redis(port=self.port, protocol=3, socket_timeout=5, driver_info=_DRIVER, **options)
        async with client:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py has no type for it

    async def role(self) -> str:
        """master or slave."""
        return cast(bytes, (await self.run("ROLE"))[0]).decode()


class Watched:
    """A master, its replicas, and Sentinels that watch them, all of one kind.

    `to_servers` and `to_sentinels` are lines for their configuration files. `down_after`: seconds without an answer
    after which the Sentinels replace the master; DOWN_AFTER where a test fails it, or else what a busy machine needs.
    """

    def __init__(
        self,
        binary: Path,
        *,
        replicas: int = 2,
        sentinels: int = 3,
        to_servers: Sequence[str] = (),
        to_sentinels: Sequence[str] = (),
        down_after: float = PATIENCE,
        tls: Certificates | None = None,
    ) -> None:
        if tls is not None:
            to_servers, to_sentinels = [*to_servers, "tls-replication yes"], [*to_sentinels, "tls-replication yes"]
        first = RedisServer(binary, *to_servers, tls=tls)
        following = (f"replicaof 127.0.0.1 {first.port}", "repl-diskless-sync-delay 0")
        self.servers = [first, *(RedisServer(binary, *to_servers, *following, tls=tls) for _ in range(replicas))]
        watching = [
            f"sentinel monitor {MASTER} 127.0.0.1 {first.port} {sentinels // 2 + 1}",
            f"sentinel down-after-milliseconds {MASTER} {int(down_after * 1000)}",
            f"sentinel failover-timeout {MASTER} 5000",
            f"sentinel parallel-syncs {MASTER} {replicas}",
        ]
        self.sentinels = [
            RedisServer(binary, *watching, *to_sentinels, is_sentinel=True, tls=tls) for _ in range(sentinels)
        ]
        self._stack = AsyncExitStack()

    @property
    def hosts(self) -> str:
        """The Sentinels, as they stand in a URL."""
        return ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)

    @property
    def url(self) -> str:
        return f"redis+sentinel://{self.hosts}/{MASTER}"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for server in (*self.servers, *self.sentinels):
                await stack.enter_async_context(server)
            await eventually(self._is_complete, what="all Sentinels know all servers")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _is_complete(self) -> bool:
        known = [await self._state(sentinel) for sentinel in self.sentinels]
        counts = (len(self.servers) - 1, len(self.sentinels) - 1)
        if any((int(state[b"num-slaves"]), int(state[b"num-other-sentinels"])) != counts for state in known):
            return False
        links = [(await replica.run("ROLE"))[3] for replica in self.servers[1:]]
        return links == [b"connected"] * len(links) and all(state[b"flags"] == b"master" for state in known)

    async def _state(self, sentinel: RedisServer) -> Mapping[bytes, bytes]:
        return cast("Mapping[bytes, bytes]", await sentinel.run("SENTINEL", "MASTER", MASTER))

    async def master(self) -> RedisServer:
        """The one that the last Sentinel names."""
        _, port = await self.sentinels[-1].run("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return next(server for server in self.servers if server.port == int(port))

    async def is_master(self, server: RedisServer) -> bool:
        """Named by the last Sentinel, and a master by its own words."""
        try:
            return await self.master() is server and await server.role() == "master"
        except NoConnection:
            return False
