"""A whole cluster on one machine, for `tannoy up`: starts the nodes, shows their state, restarts those that fail.

A node that ends with exit code 0 was asked to leave, and is not started again; with the last one the cluster ends.
Each node runs in a session of its own, so that Ctrl-C in the terminal reaches the supervisor alone. Its standard input
is a pipe from the supervisor: a node whose supervisor was killed reads the end of that pipe and stops.
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

from rich.live import Live
from rich.table import Table
from rich.text import Text

from ...client.api_client import ApiClient
from ...client.errors import ClientError
from ...client.targets import build_url
from ...fanout.redis.address import parse_address
from ...fanout.redis.embedded import EmbeddedValkey
from ...fanout.startup import skip_recovery
from ...shared.errors import StartError
from ...shared.settings import Settings
from ...shared.waiting import wait_up_to
from .listeners import listen
from .supervised_archive import SupervisedArchive
from .terminal_output import TerminalOutput

STOP_TIMEOUT = 10.0
"""Seconds that nodes have to stop before they are killed."""
VOUCH_TIMEOUT = 5.0
"""Seconds in which the embedded Valkey has to answer."""
RESTART_DELAY = 1.0
"""Seconds between the exit of a node and its next start."""
REFRESH_INTERVAL = 1.0
"""Seconds between two updates of the table; without one, between two looks whether the output is read again."""
FIRST_START_TIMEOUT = 30.0
"""Seconds in which all nodes have to become ready."""
LINE_MAX_BYTES = 65_536
"""A longer line of a node's output is printed in pieces."""


@dataclass(slots=True)
class _SupervisedNode:
    """One node process, and the figures of its last diagnostics."""

    name: str
    port: int
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    was_ready: bool = False
    updated_at: float = 0.0
    state: str = "starting"
    sessions: int = 0
    messages: int = 0
    deliveries: int = 0
    messages_per_second: float = 0.0
    deliveries_per_second: float = 0.0
    tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    def update(self, diagnostics: Mapping[str, Any], now: float) -> None:
        """Take over the figures of `/diagnostics`, read at `now` (monotonic seconds)."""
        relay = diagnostics["relay"]
        seconds, self.updated_at = max(now - self.updated_at, 0.001), now
        self.was_ready = self.was_ready or diagnostics["ready"]
        self.state = "ready" if diagnostics["ready"] else "not ready"
        self.sessions = diagnostics["hub"]["sessions"]
        # The counters of a restarted node begin at zero again.
        self.messages_per_second = max(0, relay["messages"] - self.messages) / seconds
        self.deliveries_per_second = max(0, relay["deliveries"] - self.deliveries) / seconds
        self.messages, self.deliveries = relay["messages"], relay["deliveries"]


class Supervisor:
    """Runs `nodes` node processes. Call `run` once."""

    def __init__(self, settings: Settings, nodes: int, output: TerminalOutput) -> None:
        self._settings = settings
        self._output = output
        self._nodes = [_SupervisedNode(f"node-{number}", settings.port + number) for number in range(1, nodes + 1)]
        self._stop = asyncio.Event()
        self._has_failed = False
        self._url = build_url(settings.host, settings.port)
        self._redis = "the configured Redis"

    async def run(self) -> int:
        """Run until SIGINT, SIGTERM or SIGHUP; returns the exit code. Raises StartError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        for port in range(self._settings.port, self._settings.port + len(self._nodes) + 1):
            listen(self._settings.host, port).close()
        async with AsyncExitStack() as stack:
            environment = await self._build_environment(stack)
            if self._settings.archive:
                self._start_archive(environment, stack)
            stack.push_async_callback(self._stop_nodes)
            for node in self._nodes:
                node.tasks.append(asyncio.create_task(self._keep_running(node, environment)))
                node.tasks[-1].add_done_callback(self._on_task_done)
            await self._wait_for_first_start()
            if not self._stop.is_set():
                self._announce()
                await self._show_table()
        self._output.print("All processes have stopped.")
        return 1 if self._has_failed else 0

    async def _build_environment(self, stack: AsyncExitStack) -> dict[str, str]:
        """The environment of the nodes. Starts an embedded Valkey if no Redis is configured."""
        environment = dict(os.environ)
        if "log_level" not in self._settings.model_fields_set:
            environment["TANNOY_LOG_LEVEL"] = "WARNING"
        if self._settings.chat_page == "auto":
            environment["TANNOY_CHAT_PAGE"] = "on"  # a node does not know what has started it
        if "redis_url" not in self._settings.model_fields_set:
            valkey = stack.enter_context(EmbeddedValkey())
            environment["TANNOY_REDIS_URL"] = valkey.url
            await skip_recovery(parse_address(valkey.url), self._settings.redis_prefix, VOUCH_TIMEOUT)
            self._redis = f"an embedded Valkey at {valkey.url}"
        return environment

    def _start_archive(self, environment: Mapping[str, str], stack: AsyncExitStack) -> None:
        def print_line(line: str) -> None:
            self._output.print(Text.assemble(("archive ", "cyan"), Text.from_ansi(line)), source="archive")

        archive = asyncio.create_task(SupervisedArchive(environment, self._stop, print_line).run())
        archive.add_done_callback(self._on_task_done)

        async def finish() -> None:
            await asyncio.wait((archive,))

        stack.push_async_callback(finish)

    # ---- processes

    async def _keep_running(self, node: _SupervisedNode, environment: Mapping[str, str]) -> None:
        """Start one node, and start it again whenever it fails, until the supervisor stops or the node has left."""
        while not self._stop.is_set():
            process = await self._start(node, environment)
            if self._stop.is_set():
                process.terminate()  # the supervisor was stopped while the node was started
            await self._forward_output(node, process)
            code = await process.wait()
            node.state, node.sessions, node.process = "down", 0, None
            if self._stop.is_set():
                return
            if not node.was_ready and code == 1:
                self._has_failed = True  # the node has printed the reason
                self._stop.set()
                return
            if code == 0:
                self._note_left(node)
                return
            self._output.print(f"{node.name} exited ({_describe_exit(code)}); restarting it")
            await wait_up_to(RESTART_DELAY, self._stop)

    def _note_left(self, node: _SupervisedNode) -> None:
        """A node was drained, or got a SIGTERM of its own: to start it again would undo that."""
        node.state = "left"
        self._output.print(f"{node.name} has left and is not started again, since it was asked to leave")
        if all(each.state == "left" for each in self._nodes):
            self._output.print("All nodes have left.")
            self._stop.set()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._output.print(f"the supervisor failed: {error!r}")
            self._has_failed = True
            self._stop.set()

    async def _forward_output(self, node: _SupervisedNode, process: asyncio.subprocess.Process) -> None:
        """Print the node's standard error until it ends.

        Read in pieces, since a line of any length has to be read, or the node would block on a full pipe.
        """
        assert process.stderr is not None
        rest = b""
        while piece := await process.stderr.read(65_536):
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > LINE_MAX_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                text = Text.from_ansi(line.decode(errors="replace").rstrip())
                self._output.print(Text.assemble((f"{node.name} ", "cyan"), text), source=node.name)

    async def _start(self, node: _SupervisedNode, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
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

    async def _stop_nodes(self) -> None:
        """Stop all nodes, and kill those that do not stop in time. The task of a node ends with its process."""
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

    # ---- terminal output

    async def _wait_for_first_start(self) -> None:
        try:
            async with asyncio.timeout(FIRST_START_TIMEOUT):
                while not self._stop.is_set() and any(node.state != "ready" for node in self._nodes):
                    await self._refresh()
                    await wait_up_to(0.1, self._stop)
        except TimeoutError as error:
            raise StartError(f"the nodes were not ready within {FIRST_START_TIMEOUT:g} seconds") from error
        if self._has_failed:
            raise StartError("a node could not start: its output above has the reason")

    def _announce(self) -> None:
        nodes = ", ".join(f"{node.name} also on {node.port}" for node in self._nodes)
        self._output.print(f"[bold]Tannoy is at {self._url}[/bold]  ({nodes})")
        self._output.print(f"The nodes are connected by {self._redis}. Ctrl-C stops all processes.")

    async def _show_table(self) -> None:
        if not self._output.console.is_terminal:
            while not self._stop.is_set():
                self._output.catch_up()
                await wait_up_to(REFRESH_INTERVAL, self._stop)
            return
        with Live(self._table(), console=self._output.console, auto_refresh=False, transient=True) as live:
            while not self._stop.is_set():
                await self._refresh()
                if self._output.catch_up():
                    live.update(self._table(), refresh=True)
                await wait_up_to(REFRESH_INTERVAL, self._stop)

    async def _refresh(self) -> None:
        await asyncio.gather(*(self._update(node) for node in self._nodes if node.process is not None))

    async def _update(self, node: _SupervisedNode) -> None:
        url, key = build_url(self._settings.host, node.port), self._settings.api_key.get_secret_value()
        client = ApiClient(url, key, is_own_node=True)
        try:
            node.update(await asyncio.to_thread(client.get, "/diagnostics"), time.monotonic())
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


def _describe_exit(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
