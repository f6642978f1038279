"""A whole cluster on one machine, for `tannoy up`: starts the nodes, shows their state, restarts those that fail.

A node that ends with exit code 0 was asked to leave, and is not started again; with the last one the cluster ends.
SIGHUP replaces the nodes one by one: the new process is ready before the old one leaves.
Each node runs in a session of its own, so that Ctrl-C in the terminal reaches the supervisor alone. Its standard input
is a pipe from the supervisor: a node whose supervisor was killed reads the end of that pipe and stops.
"""

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from rich.live import Live
from rich.markup import escape
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
from .node_table import build_table
from .supervised_archive import SupervisedArchive
from .supervised_node import NodeProcess, SupervisedNode, describe_exit, start_process
from .terminal_output import ControllingTerminal, TerminalOutput

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
SLOW_START = 3.0
"""Seconds after which it is said why the nodes may take longer."""
NEW_REDIS = "Waiting for the nodes: where Redis is new to Tannoy, they wait 6 s until no other one can hold a lease."
DRAIN_DELAY = "0"
"""Of the nodes, where the settings have none: they share their port, so no balancer has to notice anything."""


class Supervisor:
    """Runs `nodes` node processes. Call `run` once."""

    def __init__(self, settings: Settings, nodes: int, output: TerminalOutput, warnings: Sequence[str] = ()) -> None:
        """`warnings`: what a node would say at its start; said once, when all are ready."""
        self._warnings = warnings
        self._settings = settings
        self._output = output
        self._nodes = [SupervisedNode(f"node-{number}", settings.port + number) for number in range(1, nodes + 1)]
        self._stop = asyncio.Event()
        self._replacing: asyncio.Task[None] | None = None
        self._terminal = ControllingTerminal()
        self._has_failed = False
        self._url = build_url(settings.host, settings.port)
        self._redis = "the configured Redis"

    async def run(self) -> int:
        """Run until SIGINT, SIGTERM or the end of the terminal; returns the exit code. Raises StartError."""
        loop = asyncio.get_running_loop()
        self._output.print(f"[bold]Tannoy starts at {self._url}[/bold]")
        for port in range(self._settings.port, self._settings.port + len(self._nodes) + 1):
            listen(self._settings.host, port).close()
        async with AsyncExitStack() as stack:
            environment = await self._build_environment(stack)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._stop.set)
            loop.add_signal_handler(signal.SIGHUP, self._hang_up, environment)
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
        if "drain_delay" not in self._settings.model_fields_set:
            environment["TANNOY_DRAIN_DELAY"] = DRAIN_DELAY
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

    async def _keep_running(self, node: SupervisedNode, environment: Mapping[str, str]) -> None:
        """Start one node, and start it again whenever it fails, until the supervisor stops or the node has left."""
        while not self._stop.is_set():
            process = node.process = node.successor or await self._start(node, environment)
            node.successor = None
            if self._stop.is_set():
                process.send_signal(signal.SIGINT)  # the supervisor was stopped while the node was started
            code = await process.wait()
            node.process = None
            if node.successor is not None:
                continue
            node.state, node.sessions = "down", 0
            if self._stop.is_set():
                return
            if not node.was_ready and code == 1:
                self._has_failed = True  # the node has printed the reason
                self._stop.set()
                return
            if code == 0:
                self._note_left(node)
                return
            self._output.print(f"{node.name} exited ({describe_exit(code)}); restarting it")
            await wait_up_to(RESTART_DELAY, self._stop)

    def _note_left(self, node: SupervisedNode) -> None:
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

    async def _start(self, node: SupervisedNode, environment: Mapping[str, str]) -> NodeProcess:
        def print_line(line: Text) -> None:
            self._output.print(line, source=node.name)

        settings = self._settings
        return await start_process(node, environment, print_line, host=settings.host, shared_port=settings.port)

    # ---- replacing

    def _hang_up(self, environment: Mapping[str, str]) -> None:
        """SIGHUP: replace all nodes. It also comes when the terminal is closed, which ends the cluster."""
        if self._terminal.is_gone:
            if not self._terminal.is_outlived:
                self._stop.set()
        elif self._replacing is not None and not self._replacing.done():
            self._output.print("The nodes are being replaced already.")
        else:
            self._replacing = asyncio.create_task(self._replace_nodes(environment))
            self._replacing.add_done_callback(self._on_task_done)

    async def _replace_nodes(self, environment: Mapping[str, str]) -> None:
        """One after the other. Ends with the first that can't be replaced: the others stay as they are."""
        for node in self._nodes:
            old = node.process
            if old is None:
                continue
            if not await self._start_successor(node, environment):
                return
            old.send_signal(signal.SIGTERM)
            await old.wait()
        if not self._stop.is_set():
            self._output.print("All nodes have been replaced.")

    async def _start_successor(self, node: SupervisedNode, environment: Mapping[str, str]) -> bool:
        """Start a process beside the one that runs; return whether it has become ready."""
        successor = node.successor = await self._start(node, environment)
        loop = asyncio.get_running_loop()
        ends = loop.time() + FIRST_START_TIMEOUT
        while not (self._stop.is_set() or successor.has_ended or loop.time() > ends):
            # Both listen on the port of the node: either may answer.
            found = await self._ask(node)
            if found is not None and found["pid"] == successor.pid and found["ready"]:
                return True
            await wait_up_to(0.1, self._stop)
        if node.successor is successor:
            node.successor = None
            successor.send_signal(signal.SIGINT)
            await successor.wait()
            if not self._stop.is_set():
                self._output.print(f"{node.name} is not replaced: its successor has not become ready")
        return False

    async def _stop_nodes(self) -> None:
        """Stop all nodes, and kill those that do not stop in time. The task of a node ends with its process.

        SIGINT: no node takes the clients of another one, so none waits for that.
        """
        self._stop.set()
        for process in self._processes():
            process.send_signal(signal.SIGINT)
        tasks = [task for node in self._nodes for task in node.tasks]
        tasks += [self._replacing] if self._replacing is not None else []
        _, late = await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
        for process in self._processes():
            process.send_signal(signal.SIGKILL)
            await process.wait()
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _processes(self) -> list[NodeProcess]:
        return [process for node in self._nodes for process in node.processes]

    # ---- terminal output

    async def _wait_for_first_start(self) -> None:
        began, has_said_why = time.monotonic(), "redis_url" not in self._settings.model_fields_set
        try:
            async with asyncio.timeout(FIRST_START_TIMEOUT):
                while not self._stop.is_set() and any(node.state != "ready" for node in self._nodes):
                    if not has_said_why and time.monotonic() - began > SLOW_START:
                        has_said_why = True
                        self._output.print(NEW_REDIS)
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
        if self._warnings:
            self._output.print(f"[yellow]Before others use it:[/yellow] {escape('; '.join(self._warnings))}")

    async def _show_table(self) -> None:
        if not self._output.console.is_terminal:
            while not self._stop.is_set():
                self._output.catch_up()
                await wait_up_to(REFRESH_INTERVAL, self._stop)
            return
        with Live(
            build_table(self._url, self._nodes), console=self._output.console, auto_refresh=False, transient=True
        ) as live:
            while not self._stop.is_set():
                await self._refresh()
                if self._output.catch_up():
                    live.update(build_table(self._url, self._nodes), refresh=True)
                await wait_up_to(REFRESH_INTERVAL, self._stop)

    async def _refresh(self) -> None:
        await asyncio.gather(*(self._update(node) for node in self._nodes if node.process is not None))

    async def _update(self, node: SupervisedNode) -> None:
        found = await self._ask(node)
        if found is not None:
            node.update(found, time.monotonic())
        elif node.state == "ready":
            node.state = "no answer"

    async def _ask(self, node: SupervisedNode) -> Mapping[str, Any] | None:
        """The diagnostics of the node; None: it does not answer."""
        url, key = build_url(self._settings.host, node.port), self._settings.api_key.get_secret_value()
        client = ApiClient(url, key, is_own_node=True)
        try:
            return await asyncio.to_thread(client.get, "/diagnostics")
        except ClientError:
            return None
