"""Real node processes on loopback, with the faults that a test can do to them."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

import httpx
from tannoy.fanout.redis.address import parse_address
from tannoy.fanout.startup import skip_recovery

from tests.support import fork_server, processes
from tests.support.client import Client
from tests.support.hosts import Framework, Host
from tests.support.node import PATIENT, PRODUCT, Times
from tests.support.ports import free_port
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, eventually

READY_TIMEOUT = 5.0
"""Seconds after which a node that does not answer is taken for not ready: it may be frozen."""
PROJECT = Path(__file__).parent.parent.parent
NO_RATES = dict.fromkeys(("RATE_MESSAGES", "RATE_COMMANDS", "RATE_BYTES", "RATE_CONNECTS"), "0")
"""Tests send, and connect, as fast as they can, and attacks are to meet the bounds behind the rates."""


NO_BALANCER = {"DRAIN_DELAY": "0"}
"""No node that stops has to wait until a balancer has noticed."""


class Transport(StrEnum):
    """What a node's sockets are carried by, and which server is below."""

    FAST = "fast"
    PORTABLE = "portable"
    HYPERCORN = "hypercorn"
    EMBEDDED = "embedded"
    EMBEDDED_PORTABLE = "embedded-portable"


HOSTS = {
    Transport.EMBEDDED: Host(Framework.FASTAPI, "/rt", is_fast=True, http="h11"),
    Transport.EMBEDDED_PORTABLE: Host(Framework.STARLETTE, "/", is_fast=False, http="h11"),
}
"""The applications that the nodes of these transports run in."""


def _command(transport: Transport | Host, port: int, mutant: str | None, times: Times) -> list[str]:
    """What `python -m` runs. With the product's times it is what a user would run, in a process forked for it."""
    if mutant is not None:
        return ["tests.chaos.mutant", mutant, "--port", str(port)]
    if isinstance(transport, Host):
        return transport.command(port)
    factory = "tannoy.node.app:create_app" if times == PRODUCT else "tests.support.node:create_app"
    match transport:
        case Transport.FAST if times == PRODUCT:
            return ["tannoy", "node", "--port", str(port)]
        case Transport.FAST:
            return ["tests.support.node", "--port", str(port)]
        case Transport.PORTABLE:
            server = ["uvicorn", "--ws", "websockets-sansio", "--ws-ping-interval", "0", "--log-level", "warning"]
            return [*server, "--http", "h11", "--timeout-keep-alive", "75", "--factory", factory, "--port", str(port)]
        case Transport.HYPERCORN:
            # By default hypercorn serves in a worker that is a new Python: each node would import everything.
            alone = [] if times == PRODUCT else ["--workers", "0"]
            return ["hypercorn", f"{factory}()", "--bind", f"127.0.0.1:{port}", *alone]
        case Transport.EMBEDDED | Transport.EMBEDDED_PORTABLE:
            return HOSTS[transport].command(port)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment, without any settings of Tannoy but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TANNOY_")}
    return kept | {f"TANNOY_{name}": value for name, value in settings.items()}


class NodeProcess:
    """One node. It keeps its port and its name over kills and restarts. It has no rates but those of its settings.
    `prefix` is of all of its paths.

    `mutant`: start it with a safety taken out, by its name in `tests/chaos/mutant.py`. `times`: its internal
    ones. `http_timeout`: seconds for an answer of its API. `output`: where its output goes, which `log` reads.
    """

    def __init__(
        self,
        name: str,
        transport: Transport | Host,
        settings: Mapping[str, str],
        *,
        mutant: str | None = None,
        times: Times = PRODUCT,
        http_timeout: float = PATIENCE,
        output: IO[bytes] | None = None,
    ) -> None:
        self.name = name
        self.port = free_port()
        self._host = transport if isinstance(transport, Host) else HOSTS.get(transport)
        self.prefix = "" if self._host is None else self._host.prefix
        self.url = f"http://127.0.0.1:{self.port}{self.prefix}"
        self.ws_url = f"ws://127.0.0.1:{self.port}{self.prefix}"
        # Nothing is verified over http://, and to load the certificates of all authorities costs 20 ms of CPU.
        self.http = httpx.AsyncClient(base_url=self.url, timeout=http_timeout, verify=False)
        self._transport = transport
        self._mutant = mutant
        self._times = times
        self._settings = {**NO_RATES, **NO_BALANCER, **settings, "NODE_ID": name}
        self._clients: list[Client] = []
        self._process: processes.Process | None = None
        self._log: IO[bytes] = output or tempfile.TemporaryFile()  # closed with the node

    async def start(self) -> None:
        command = _command(self._transport, self.port, self._mutant, self._times)
        # A forked node has the file objects of the server, which may have been made for a file and not for a pipe.
        if not self._log.seekable():
            self._process = processes.start(
                [sys.executable, "-m", *command],
                cwd=tempfile.gettempdir(),
                env=self._environment(),
                output=self._log,
                errors=self._log,
            )
        else:
            self._process = fork_server.server.start(command, env=self._environment(), output=self._log)
        await eventually(self.is_ready, what=f"{self.name} is ready")

    def _environment(self) -> Mapping[str, str]:
        variables = environment(self._settings)
        if self._host is not None:
            variables |= self._host.as_environment()
        return variables if self._times == PRODUCT else {**variables, **self._times.as_environment()}

    def rename(self, name: str) -> None:
        """From its next start on it has this NODE_ID."""
        self._settings["NODE_ID"] = name

    async def is_ready(self) -> bool:
        assert self._running.poll() is None, f"{self.name} has ended:\n{self.log()}"
        try:
            return (await self.http.get("/health/ready", timeout=READY_TIMEOUT)).status_code == 200
        except httpx.TransportError:
            return False

    async def diagnostics(self) -> dict[str, Any]:
        return cast(dict[str, Any], (await self.http.get("/diagnostics")).json())

    async def count(self, part: str, what: str) -> int:
        """One number of the diagnostics."""
        value: int = (await self.diagnostics())[part][what]
        return value

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    async def has_logged(self, text: str, times: int = 1) -> bool:
        return self.log().count(text) >= times

    async def connect(self, path: str, **options: Any) -> Client:
        """A client whose `welcome` has come; it ends with the node at the latest."""
        client = await Client.open(self.ws_url + path, **options)
        self._clients.append(client)
        await client.welcomed()
        return client

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def _running(self) -> processes.Process:
        assert self._process is not None, f"{self.name} does not run"
        return self._process

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT wakes it up."""
        self._running.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL for the node and its children: no `bye`, no clean-up."""
        await asyncio.to_thread(processes.end_group, self._running)
        self._process = None

    async def stop(self) -> int:
        """SIGTERM, as a deploy does it; the exit code."""
        self._running.send_signal(signal.SIGTERM)
        return await self.wait()

    async def wait(self) -> int:
        """Until the node has ended; the exit code."""
        code = await asyncio.to_thread(self._running.wait, PATIENCE)
        self._process = None
        return code

    async def close(self) -> None:
        for client in self._clients:
            client.vanish()
        await self.http.aclose()
        if self._process is not None:
            await self.kill()
        self._log.close()


async def all_ready(nodes: Iterable[NodeProcess]) -> bool:
    return all([await node.is_ready() for node in nodes])


class Cluster:
    """`async with Cluster(nodes=3) as cluster:` a Valkey and some nodes, all of this test's own.

    Its nodes wait for Redis for as long as a busy machine needs. Where Redis fails, give it `times=PRODUCT`.
    """

    def __init__(
        self, nodes: int = 3, transport: Transport | Host = Transport.FAST, *, times: Times = PATIENT, **settings: str
    ) -> None:
        self.valkey = Valkey()
        self.transport = transport
        self.prefix = settings.get("REDIS_PREFIX", "tannoy")
        self._stack: AsyncExitStack
        # A client of a test answers pings only while it reads, and on a busy machine every node is late.
        every = {"REDIS_URL": self.valkey.url, "PING_INTERVAL": "3600", "LOOP_LAG_MAX_MS": "0", **settings}
        self.nodes = [NodeProcess(f"n{number}", transport, every, times=times) for number in range(1, nodes + 1)]

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.valkey)
            # No node was there before, so none has to wait until all have stated what they hold.
            await skip_recovery(parse_address(self.valkey.url), self.prefix, PATIENCE)
            for node in self.nodes:
                stack.push_async_callback(node.close)
            await asyncio.gather(*(node.start() for node in self.nodes))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for node in self.nodes:
                sys.stderr.write(f"---- {node.name}\n{node.log()[-4000:]}\n")
        await self._stack.aclose()

    async def total(self, part: str, what: str) -> int:
        """One number of the diagnostics, summed over all nodes."""
        return sum(await asyncio.gather(*(node.count(part, what) for node in self.nodes)))
