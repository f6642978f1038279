"""A cluster to hurt: a Valkey, nodes, and a proxy before Redis for each of them. What is done to it is written down."""

import asyncio
import itertools
import os
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from tannoy.fanout.membership import vouch_for_new_server
from tannoy.fanout.wire import parse_address

from tests.chaos.history import Fault, FaultKind, Healed, History, NodeDied
from tests.chaos.proxy import Proxy, Way
from tests.support.cluster import START_SECONDS, Carrier, NodeProcess
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

STARTS_MAX = 10
COMMAND_TIMEOUT = 3.0


class Stage:
    """`async with Stage(history, nodes=4) as stage:`. `mutant`: a name out of `mutants.py` for every node."""

    def __init__(
        self, history: History, *, nodes: int, mutant: str | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.history = history
        self.valkey = Valkey()
        self.nodes: list[NodeProcess] = []
        self.proxies: list[Proxy] = []
        self.down: set[str] = set()
        """Names of nodes that can't answer: killed, or frozen."""
        self.empties = 0
        """How often Redis has lost its memory."""
        self._count = nodes
        self._mutant = mutant
        self._settings = {"LOG_LEVEL": "WARNING", "RATE_CONNECTS": "0", "RATE_MESSAGES": "0", **(settings or {})}
        self._numbers = itertools.count(1)
        self._stack: AsyncExitStack

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.valkey)
            # No node was there before, so none has to wait until all have stated what they hold.
            await vouch_for_new_server(parse_address(self.valkey.url), "tannoy", START_SECONDS)
            for number in range(1, self._count + 1):
                proxy = await stack.enter_async_context(Proxy(self.valkey.port))
                settings = {**self._settings, "REDIS_URL": f"redis://127.0.0.1:{proxy.port}"}
                node = NodeProcess(f"n{number}", Carrier.FAST, settings, mutant=self._mutant)
                stack.push_async_callback(node.close)
                self.proxies.append(proxy)
                self.nodes.append(node)
            await asyncio.gather(*(node.start() for node in self.nodes))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def up(self) -> list[NodeProcess]:
        return [node for node in self.nodes if node.name not in self.down]

    async def all_ready(self) -> bool:
        if self.down:
            return False
        return all(await asyncio.gather(*(_is_ready(node) for node in self.nodes)))

    def look_for_dead(self) -> None:
        """A node that has ended by itself is written down; it is not started again."""
        for node in self.up():
            if not node.is_alive:
                self.down.add(node.name)
                self.history.add(NodeDied(self.history.now(), node.name, node.log()[-2000:]))

    # ---- what is done to it; each returns once it certainly holds, with the number to heal it by

    def _began(self, kind: FaultKind, target: str) -> int:
        number = next(self._numbers)
        self.history.add(Fault(self.history.now(), number, kind, target))
        return number

    def _healed(self, number: int) -> None:
        self.history.add(Healed(self.history.now(), number))

    async def freeze_node(self, node: NodeProcess) -> int:
        self.down.add(node.name)
        os.kill(node.pid, signal.SIGSTOP)
        await eventually(lambda: _is_stopped(node.pid), within=2, what=f"{node.name} is stopped")
        return self._began(FaultKind.FREEZE_NODE, node.name)

    def thaw_node(self, node: NodeProcess, fault: int) -> None:
        self._healed(fault)
        os.kill(node.pid, signal.SIGCONT)
        self.down.discard(node.name)

    async def kill_node(self, node: NodeProcess) -> int:
        self.down.add(node.name)
        fault = self._began(FaultKind.KILL_NODE, node.name)
        await node.kill()
        return fault

    async def restart_node(self, node: NodeProcess, fault: int) -> None:
        """It may not come up while Redis is away: then it is tried again, as a supervisor would."""
        for _ in range(STARTS_MAX):
            try:
                await node.start()
                break
            except AssertionError:
                if node.is_alive:
                    await node.kill()
        else:
            raise AssertionError(f"{node.name} does not start:\n{node.log()[-2000:]}")
        self.down.discard(node.name)
        self._healed(fault)

    async def freeze_redis(self) -> int:
        self.valkey.freeze()
        return self._began(FaultKind.FREEZE_REDIS, "redis")

    def thaw_redis(self, fault: int) -> None:
        self._healed(fault)
        self.valkey.thaw()

    async def empty_redis(self) -> int:
        """Killed; `refill_redis` starts it again, with nothing in it."""
        fault = self._began(FaultKind.EMPTY_REDIS, "redis")
        self.valkey.kill()
        return fault

    async def refill_redis(self, fault: int) -> None:
        await self.valkey.start()
        self.empties += 1
        self._healed(fault)

    async def tell_redis(self, kind: FaultKind) -> None:
        """One of the faults that are a command."""
        words = {
            FaultKind.KILL_PUBSUB: ("CLIENT", "KILL", "TYPE", "pubsub"),
            FaultKind.KILL_NORMAL: ("CLIENT", "KILL", "TYPE", "normal"),
            FaultKind.FLUSH_SCRIPTS: ("SCRIPT", "FLUSH"),
        }[kind]
        async with asyncio.timeout(COMMAND_TIMEOUT):
            await self.valkey.run(*words)
        self._healed(self._began(kind, "redis"))

    def stall_link(self, node: NodeProcess, way: Way) -> int:
        self.proxies[self.nodes.index(node)].stall(way)
        return self._began(FaultKind.STALL_LINK, node.name)

    def let_flow(self, node: NodeProcess, fault: int) -> None:
        self._healed(fault)
        self.proxies[self.nodes.index(node)].flow()

    def reset_link(self, node: NodeProcess) -> None:
        fault = self._began(FaultKind.RESET_LINK, node.name)
        self.proxies[self.nodes.index(node)].reset()
        self._healed(fault)


async def _is_ready(node: NodeProcess) -> bool:
    try:
        return (await node.http.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def _is_stopped(pid: int) -> bool:
    return all(state in "Tt" for state in _states(pid))


def _states(pid: int) -> list[str]:
    """Of all threads of a process."""
    stats = [(task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return [stat.rpartition(")")[2].split()[0] for stat in stats]
