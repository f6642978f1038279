"""A whole cluster on one machine, for `tannoy up`: starts nodes, shows them, starts again what dies.

Each node is a process in a group of its own, so that Ctrl-C in the terminal reaches the supervisor alone, with a pipe
to it as standard input: a node whose supervisor has been killed reads the end of that pipe and stops.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ...client.api_client import ApiClient, ClientError, url_of
from ...fanout.membership import vouch_for_new_server
from ...fanout.redis.address import parse_address
from ...fanout.redis.embedded import EmbeddedValkey
from ...shared.errors import StartError
from ...shared.settings import Settings
from .uvicorn_server import listen

STOP_TIMEOUT = 10.0
VOUCH_TIMEOUT = 5.0
RESTART_AFTER = 1.0
REFRESH = 1.0
FIRST_START_TIMEOUT = 30.0
LINE_MAX_BYTES = 65_536


@dataclass(slots=True)
class _Supervised:
    """One node process, and what its diagnostics said last."""

    name: str
    port: int
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    was_ready: bool = False
    read_at: float = 0.0
    state: str = "starting"
    sessions: int = 0
    messages: int = 0
    deliveries: int = 0
    messages_per_second: float = 0.0
    deliveries_per_second: float = 0.0
    tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    def read(self, diagnostics: Mapping[str, Any], now: float) -> None:
        relay = diagnostics["relay"]
        seconds, self.read_at = max(now - self.read_at, 0.001), now
        self.was_ready = self.was_ready or diagnostics["ready"]
        self.state = "ready" if diagnostics["ready"] else "not ready"
        self.sessions = diagnostics["hub"]["sessions"]
        # A node that has started again counts from nothing.
        self.messages_per_second = max(0, relay["messages"] - self.messages) / seconds
        self.deliveries_per_second = max(0, relay["deliveries"] - self.deliveries) / seconds
        self.messages, self.deliveries = relay["messages"], relay["deliveries"]


class Supervisor:
    """`run` it once."""

    def __init__(self, settings: Settings, nodes: int, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._nodes = [_Supervised(f"node-{number}", settings.port + number) for number in range(1, nodes + 1)]
        self._stop = asyncio.Event()
        self._could_not_start = False
        self._url = url_of(settings.host, settings.port)
        self._redis = "your Redis"

    async def run(self) -> int:
        """Until SIGINT or SIGTERM; the exit code. Raises StartError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        for port in range(self._settings.port, self._settings.port + len(self._nodes) + 1):
            listen(self._settings.host, port).close()
        async with AsyncExitStack() as stack:
            environment = await self._environment(stack)
            stack.push_async_callback(self._end_all)
            for node in self._nodes:
                node.tasks.append(asyncio.create_task(self._keep(node, environment)))
                node.tasks[-1].add_done_callback(self._kept)
            await self._wait_for_first_start()
            if not self._stop.is_set():
                self._announce()
                await self._show()
        self._console.print("Stopped: nothing is left running.")
        return 1 if self._could_not_start else 0

    async def _environment(self, stack: AsyncExitStack) -> dict[str, str]:
        environment = dict(os.environ)
        if "log_level" not in self._settings.model_fields_set:
            environment["TANNOY_LOG_LEVEL"] = "WARNING"
        if "redis_url" not in self._settings.model_fields_set:
            valkey = stack.enter_context(EmbeddedValkey())
            environment["TANNOY_REDIS_URL"] = valkey.url
            await vouch_for_new_server(parse_address(valkey.url), self._settings.redis_prefix, VOUCH_TIMEOUT)
            self._redis = f"an embedded Valkey at {valkey.url}"
        return environment

    # ---- processes

    async def _keep(self, node: _Supervised, environment: Mapping[str, str]) -> None:
        """Start one node again and again, until told to stop."""
        while not self._stop.is_set():
            process = await self._start(node, environment)
            if self._stop.is_set():
                process.terminate()  # told to stop while it was being started
            await self._print_what_it_says(node, process)
            code = await process.wait()
            node.state, node.sessions, node.process = "down", 0, None
            if self._stop.is_set():
                return
            if not node.was_ready and code == 1:
                self._could_not_start = True  # and it has said why
                self._stop.set()
                return
            self._console.print(f"{node.name} ended ({_how(code)}); starting it again")
            await self._sleep(RESTART_AFTER)

    def _kept(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._console.print(f"can't keep the nodes going: {error!r}")
            self._could_not_start = True
            self._stop.set()

    async def _print_what_it_says(self, node: _Supervised, process: asyncio.subprocess.Process) -> None:
        """Until it says no more. In pieces: a line of any length has to be taken, or the node would block on it."""
        assert process.stderr is not None
        rest = b""
        while piece := await process.stderr.read(65_536):
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > LINE_MAX_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                said = Text.from_ansi(line.decode(errors="replace").rstrip())
                self._console.print(Text.assemble((f"{node.name} ", "cyan"), said), soft_wrap=True)

    async def _start(self, node: _Supervised, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
        node.starts += 1
        node.state = "starting"
        node.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tannoy", "node", "--host", self._settings.host),
            *("--port", str(node.port), "--shared-port", str(self._settings.port), "--node-id", node.name),
            "--while-stdin-is-open",
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        return node.process

    async def _end_all(self) -> None:
        """Every task that keeps a node ends with its node; what does not end in time is killed."""
        self._stop.set()
        for node in self._nodes:
            if node.process is not None and node.process.returncode is None:
                node.process.terminate()
        tasks = [task for node in self._nodes for task in node.tasks]
        _, late = await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
        for node in self._nodes:
            if node.process is not None and node.process.returncode is None:
                node.process.kill()
                await node.process.wait()
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---- what the terminal shows

    async def _wait_for_first_start(self) -> None:
        try:
            async with asyncio.timeout(FIRST_START_TIMEOUT):
                while not self._stop.is_set() and any(node.state != "ready" for node in self._nodes):
                    await self._refresh()
                    await self._sleep(0.1)
        except TimeoutError as error:
            raise StartError(f"the nodes were not ready within {FIRST_START_TIMEOUT:g} seconds") from error
        if self._could_not_start:
            raise StartError("a node could not start: see above")

    def _announce(self) -> None:
        nodes = ", ".join(f"{node.name} also on {node.port}" for node in self._nodes)
        self._console.print(f"[bold]Tannoy is at {self._url}[/bold]  ({nodes})", soft_wrap=True)
        self._console.print(f"Between the nodes: {self._redis}. Ctrl-C ends it all.", soft_wrap=True)

    async def _show(self) -> None:
        if not self._console.is_terminal:
            await self._stop.wait()
            return
        with Live(self._table(), console=self._console, auto_refresh=False, transient=True) as live:
            while not self._stop.is_set():
                await self._refresh()
                live.update(self._table(), refresh=True)
                await self._sleep(REFRESH)

    async def _sleep(self, seconds: float) -> None:
        """At most `seconds`; a signal ends it."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    async def _refresh(self) -> None:
        await asyncio.gather(*(self._ask(node) for node in self._nodes if node.process is not None))

    async def _ask(self, node: _Supervised) -> None:
        talk = ApiClient(url_of(self._settings.host, node.port), self._settings.api_key.get_secret_value())
        try:
            node.read(await asyncio.to_thread(talk.get, "/diagnostics"), time.monotonic())
        except ClientError:
            if node.state == "ready":
                node.state = "no answer"

    def _table(self) -> Table:
        table = Table(title=f"Tannoy at {self._url}", title_justify="left")
        for heading in ("node", "address", "process", "state", "sessions", "messages/s", "deliveries/s", "starts"):
            table.add_column(heading, justify="left" if heading in ("node", "address", "state") else "right")
        for node in self._nodes:
            pid = "-" if node.process is None else str(node.process.pid)
            rates = (f"{node.messages_per_second:,.0f}", f"{node.deliveries_per_second:,.0f}")
            state = Text(node.state, style="green" if node.state == "ready" else "yellow")
            address = f"{self._settings.host}:{node.port}"
            table.add_row(node.name, address, pid, state, str(node.sessions), *rates, str(node.starts))
        return table


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
