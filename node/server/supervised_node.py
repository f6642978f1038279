"""One node of `tannoy up`: its process, its successor while it is replaced, and the figures of its last diagnostics."""

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

LINE_MAX_BYTES = 65_536
"""A longer line of a node's output is printed in pieces."""


@dataclass(frozen=True, slots=True)
class NodeProcess:
    """A process, and the task that prints its output."""

    process: asyncio.subprocess.Process
    output: asyncio.Task[None]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def has_ended(self) -> bool:
        return self.process.returncode is not None

    async def wait(self) -> int:
        """Return its exit code, once all of its output is printed."""
        await self.output
        return await self.process.wait()

    def send_signal(self, number: signal.Signals) -> None:
        if not self.has_ended:
            self.process.send_signal(number)


@dataclass(slots=True)
class SupervisedNode:
    name: str
    port: int
    process: NodeProcess | None = None
    successor: NodeProcess | None = None
    """It takes over when the process has left."""
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

    @property
    def processes(self) -> list[NodeProcess]:
        """Those that run: two while it is replaced."""
        both = (self.process, self.successor)
        return [process for process in both if process is not None and not process.has_ended]

    def update(self, diagnostics: Mapping[str, Any], now: float) -> None:
        """Take over the figures of `/diagnostics`, read at `now` (monotonic seconds)."""
        relay = diagnostics["relay"]
        seconds, self.updated_at = max(now - self.updated_at, 0.001), now
        self.was_ready = self.was_ready or diagnostics["ready"]
        self.state = "ready" if diagnostics["ready"] else "draining" if diagnostics["draining"] else "not ready"
        self.sessions = diagnostics["hub"]["sessions"]
        # The counters of a restarted node begin at zero again.
        self.messages_per_second = max(0, relay["messages"] - self.messages) / seconds
        self.deliveries_per_second = max(0, relay["deliveries"] - self.deliveries) / seconds
        self.messages, self.deliveries = relay["messages"], relay["deliveries"]


async def start_process(
    node: SupervisedNode,
    environment: Mapping[str, str],
    print_line: Callable[[Text], None],
    *,
    host: str,
    shared_port: int,
) -> NodeProcess:
    """Start a process of this node."""
    node.starts += 1
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tannoy", "node", "--host", host),
        *("--port", str(node.port), "--shared-port", str(shared_port), "--node-id", node.name),
        "--while-stdin-is-open",
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    return NodeProcess(process, asyncio.create_task(_forward_output(node.name, process, print_line)))


async def _forward_output(name: str, process: asyncio.subprocess.Process, print_line: Callable[[Text], None]) -> None:
    """Print the process' standard error until it ends.

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
            print_line(Text.assemble((f"{name} ", "cyan"), text))


def describe_exit(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
