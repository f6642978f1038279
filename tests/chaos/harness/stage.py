"""The cluster under test: a Valkey, nodes, and a proxy to Valkey for each node. Every fault is added to the history."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from tannoy.fanout.redis.address import parse_address
from tannoy.fanout.startup import skip_recovery

from tests.chaos.harness.history import FaultKind, History, NodeDied
from tests.chaos.harness.proxy import Part, Proxy, Way
from tests.chaos.harness.staged_redis import StagedRedis
from tests.support.cluster import NodeProcess, Transport
from tests.support.node import SLOW_START, Times
from tests.support.waiting import PATIENCE, eventually

STARTS_MAX = 10
HTTP_TIMEOUT = 5.0
"""Seconds for an answer of a node, which may be frozen."""
PORT_TAKEN = "Address already in use"


class Stage:
    """`async with Stage(history, nodes=4) as stage:`. `mutant`: starts every node with this mutant.

    Without proxies no link can be stalled or reset, and Redis is as near as it can be.
    `settings` and `times` are every node's; of `own` the first node gets the first, the second the second, and so on in
    turn.
    """

    def __init__(
        self,
        history: History,
        *,
        nodes: int,
        mutant: str | None = None,
        settings: Mapping[str, str] | None = None,
        own: Sequence[Mapping[str, str]] = ({},),
        times: Times = SLOW_START,
        has_proxies: bool = True,
    ) -> None:
        self.history = history
        self.nodes: list[NodeProcess] = []
        self.proxies: list[Proxy] = []
        self.redis = StagedRedis(history, self.proxies)
        self.down: set[str] = set()
        """Names of nodes that cannot answer because they are killed or frozen."""
        self._count = nodes
        self._mutant = mutant
        self._settings = {"LOG_LEVEL": "WARNING", **(settings or {})}
        self._own = own
        self._times = times
        self._has_proxies = has_proxies
        self._stack: AsyncExitStack

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.redis)
            # No node was there before, so none has to wait until all have stated what they hold.
            await skip_recovery(parse_address(self.redis.valkey.url), "tannoy", PATIENCE)
            for _ in range(self._count if self._has_proxies else 0):
                self.proxies.append(await stack.enter_async_context(Proxy(self.redis.valkey.port)))
            starts = (self._start_node(number, stack) for number in range(self._count))
            self.nodes += await asyncio.gather(*starts)
            self._stack = stack.pop_all()
        return self

    async def _start_node(self, number: int, stack: AsyncExitStack) -> NodeProcess:
        """Start it on a free port; tried again if another process takes that port first."""
        own = self._own[number % len(self._own)]
        port = self.proxies[number].port if self._has_proxies else self.redis.valkey.port
        settings = {**self._settings, **own, "REDIS_URL": f"redis://127.0.0.1:{port}"}
        while True:
            node = NodeProcess(
                f"n{number + 1}",
                Transport.FAST,
                settings,
                mutant=self._mutant,
                times=self._times,
                http_timeout=HTTP_TIMEOUT,
            )
            stack.push_async_callback(node.close)
            try:
                await node.start()
            except AssertionError:
                if PORT_TAKEN not in node.log():
                    raise
            else:
                return node

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def live_nodes(self) -> list[NodeProcess]:
        return [node for node in self.nodes if node.name not in self.down]

    async def all_ready(self) -> bool:
        if self.down:
            return False
        return all(await asyncio.gather(*(_is_ready(node) for node in self.nodes)))

    def record_dead_nodes(self) -> None:
        """Add each node that exited without being killed to the history. It is not started again."""
        for node in self.live_nodes():
            if not node.is_alive:
                self.down.add(node.name)
                self.history.add(NodeDied(self.history.now(), node.name, node.log()[-2000:]))

    # ---- faults; each method returns once the fault is in effect, with the number by which it is removed

    async def freeze_node(self, node: NodeProcess) -> int:
        self.down.add(node.name)
        os.kill(node.pid, signal.SIGSTOP)
        await eventually(lambda: _is_stopped(node.pid), within=2, what=f"{node.name} is stopped")
        return self.history.record_fault(FaultKind.FREEZE_NODE, node.name)

    def thaw_node(self, node: NodeProcess, fault: int) -> None:
        self.history.record_healed(fault)
        os.kill(node.pid, signal.SIGCONT)
        self.down.discard(node.name)

    async def kill_node(self, node: NodeProcess) -> int:
        self.down.add(node.name)
        fault = self.history.record_fault(FaultKind.KILL_NODE, node.name)
        await node.kill()
        return fault

    async def restart_node(self, node: NodeProcess, fault: int) -> None:
        """Tried again if it does not start because Redis is away, as a supervisor would."""
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
        self.history.record_healed(fault)

    async def switch_server(self, node: NodeProcess, staying: Part) -> None:
        """Let the addresses lead to a copy of Redis, while one connection of a node stays on the former server.

        Returns when the node has left that, or should have.
        """
        parts = [staying if each is node else None for each in self.nodes]
        fault = await self.redis.switch(FaultKind.SWITCH_TO_COPY, parts)
        await self.redis.end_switch(fault)

    def stall_link(self, node: NodeProcess, way: Way) -> int:
        self.proxies[self.nodes.index(node)].stall(way)
        return self.history.record_fault(FaultKind.STALL_LINK, node.name)

    def stall_part(self, node: NodeProcess, part: Part, way: Way) -> int:
        self.proxies[self.nodes.index(node)].stall(way, part)
        return self.history.record_fault(FaultKind.STALL_PART, f"{node.name} {part}")

    def resume_link(self, node: NodeProcess, fault: int, part: Part | None = None) -> None:
        self.history.record_healed(fault)
        self.proxies[self.nodes.index(node)].flow(part)

    def lose_link(self, node: NodeProcess) -> int:
        """Reset the pub/sub connection of a node, and keep it from connecting again until `resume_link`."""
        proxy = self.proxies[self.nodes.index(node)]
        proxy.stall(Way.BOTH, Part.LINK)
        proxy.reset(Part.LINK)
        return self.history.record_fault(FaultKind.LOSE_LINK, node.name)

    def hold_replies(self, node: NodeProcess, part: Part | None) -> int:
        """Hold back the replies to a node until `drop_replies` discards them. `part`: of one connection alone."""
        self.proxies[self.nodes.index(node)].stall(Way.FROM_REDIS, part)
        return self.history.record_fault(FaultKind.CUT_REPLIES, f"{node.name} {part or 'all'}")

    def drop_replies(self, node: NodeProcess, part: Part | None, fault: int) -> None:
        proxy = self.proxies[self.nodes.index(node)]
        proxy.reset(part)
        self.resume_link(node, fault, part)

    def reset_link(self, node: NodeProcess) -> None:
        fault = self.history.record_fault(FaultKind.RESET_LINK, node.name)
        self.proxies[self.nodes.index(node)].reset()
        self.history.record_healed(fault)


async def _is_ready(node: NodeProcess) -> bool:
    try:
        return (await node.http.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def _is_stopped(pid: int) -> bool:
    return all(state in "Tt" for state in _states(pid))


def _states(pid: int) -> list[str]:
    """The states of all threads of a process."""
    stats = [(task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return [stat.rpartition(")")[2].split()[0] for stat in stats]
