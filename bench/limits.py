"""What do exact limits of sessions cost, and how soon do they take effect?

Two nodes and a Valkey. The time of each script in Redis comes from `INFO commandstats`; delays are measured at a
client, from opening its connection to the deciding frame.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from tannoy.fanout.batches import batched
from tannoy.fanout.lease_times import DEFAULT_TIMES
from tannoy.fanout.redis.script import Script
from tannoy.fanout.scripts import HEARTBEAT, LEASE_ACQUIRE, LEASE_RELEASE, SERVER_ENSURE
from tannoy.shared.channels import PARTITIONS, Owner, OwnerKind
from tannoy.shared.keyspace import Keyspace

from .live import LiveCluster, NodeProcess, ValkeyProcess, wait_for
from .rows import Row
from .session import Session

AGENTS = 1000
SESSIONS_EACH = 6
INFO = b'{"session_id":"abcdefghijklmnop","user_id":"ada","username":"Ada","node":"n1","agent_id":"42"}'
BATCH = 8
"""Leases that are acquired or released in one call of a script."""
BEATS = 100
EVICTIONS = 200
KILLS = 3


class _Scripts:
    """Runs the lease scripts in pipelines and reads their time from Redis."""

    def __init__(self, valkey: ValkeyProcess) -> None:
        self._valkey = valkey
        self.keyspace = Keyspace("bench")
        self.owners = [Owner(OwnerKind.AGENT, str(number)) for number in range(AGENTS)]

    async def prepare(self) -> None:
        for script in (SERVER_ENSURE, HEARTBEAT, LEASE_ACQUIRE, LEASE_RELEASE):
            await self._valkey.run("SCRIPT", "LOAD", script.source)
        await self.cost([(SERVER_ENSURE, (self.keyspace.server(part),), (0,)) for part in range(PARTITIONS)])
        await self.beat(1)

    async def cost(self, calls: Sequence[tuple[Script, tuple[bytes, ...], tuple[Any, ...]]]) -> float:
        """Microseconds of Redis time per call."""
        await self._valkey.run("CONFIG", "RESETSTAT")
        pipeline = self._valkey.client.pipeline(transaction=False)
        for script, keys, arguments in calls:
            pipeline.execute_command(*script.call(keys, arguments))
        await pipeline.execute(raise_on_error=True)
        statistics = await self._valkey.run("INFO", "commandstats")
        return float(statistics["cmdstat_evalsha"]["usec_per_call"])

    async def beat(self, times: int) -> float:
        """Microseconds of Redis time per heartbeat, which is one call for all partitions."""
        keys = [
            key for part in range(PARTITIONS) for key in (self.keyspace.heartbeats(part), self.keyspace.server(part))
        ]
        return await self.cost([(HEARTBEAT, tuple(keys), ("one", 600_000, *(0, 0) * PARTITIONS))] * times)

    async def acquire(self, first: int, count: int, limit: int) -> float:
        asked = [
            (self._keys(owner), (f"one|{n}|s{n}", INFO, limit, "reject", f"agent:{owner.name}", 0))
            for n in range(first, first + count)
            for owner in self.owners
        ]
        return await self._cost_in_batches(LEASE_ACQUIRE, asked)

    async def release(self, count: int) -> float:
        asked = [(self._keys(owner), (f"one|{n}|s{n}", "")) for n in range(count) for owner in self.owners]
        return await self._cost_in_batches(LEASE_RELEASE, asked)

    async def _cost_in_batches(
        self, script: Script, asked: Sequence[tuple[tuple[bytes, ...], tuple[Any, ...]]]
    ) -> float:
        """Microseconds of Redis time for each of what is asked for, BATCH of them in one call, as a busy node does."""
        calls = [
            (script, sum((keys for keys, _ in batch), ()), (DEFAULT_TIMES.lease_ms, *sum((w for _, w in batch), ())))
            for batch in batched(asked, BATCH)
        ]
        return await self.cost(calls) * len(calls) / len(asked)

    def _keys(self, owner: Owner) -> tuple[bytes, ...]:
        return self.keyspace.leases(owner, "one")


async def _measure_scripts(rows: dict[str, Row]) -> None:
    async with ValkeyProcess() as valkey:
        scripts = _Scripts(valkey)
        await scripts.prepare()
        rows["beat_few"].figures.append(await scripts.beat(BEATS))
        rows["acquire"].figures.append(await scripts.acquire(0, SESSIONS_EACH, 10))
        rows["full"].figures.append(await scripts.acquire(SESSIONS_EACH, 1, SESSIONS_EACH))
        await scripts.acquire(SESSIONS_EACH, 4, 100)
        rows["beat_many"].figures.append(await scripts.beat(BEATS))
        rows["release"].figures.append(await scripts.release(SESSIONS_EACH))


async def _set_limit(node: NodeProcess, agent: str, max_sessions: int, policy: str) -> None:
    body = {"max_sessions": max_sessions, "policy": policy}
    (await node.http.put(f"/api/v1/agents/{agent}/limit", json=body)).raise_for_status()


async def _measure_evictions(cluster: LiveCluster, row: Row) -> None:
    """Connect on one node after the other: each session evicts one on the other node before it gets its `welcome`."""
    await _set_limit(cluster.nodes[0], "evicted", 1, "evict_oldest")
    await cluster.nodes[0].connect("/ws/agents/evicted")
    for number in range(1, EVICTIONS + 1):
        began = time.perf_counter()
        await cluster.nodes[number % 2].connect("/ws/agents/evicted")
        row.figures.append((time.perf_counter() - began) * 1000)


async def _measure_kill(cluster: LiveCluster, rows: dict[str, Row], agent: str) -> None:
    """Kill a node with one session of an agent and one of a room; measure when the other node can take their place."""
    killed, other = cluster.nodes
    await _set_limit(other, agent, 1, "reject")
    watcher = await other.connect(f"/ws/chat/{agent}?user_id=watcher")
    await killed.connect(f"/ws/agents/{agent}")
    await killed.connect(f"/ws/chat/{agent}?user_id=ada")
    await watcher.expect("user_joined")

    async def is_admitted() -> bool:
        session = await Session.open(f"{other.ws_url}/ws/agents/{agent}")
        first = await session.find(lambda frame: frame["type"] in ("welcome", "bye"))
        await session.close()
        return bool(first["type"] == "welcome")

    async def wait_for_user_left() -> float:
        await watcher.expect("user_left")
        return time.perf_counter()

    await killed.kill()
    killed_at = time.perf_counter()
    leaving = asyncio.create_task(wait_for_user_left())
    rows["places"].figures.append(await wait_for(is_admitted, within=30))
    rows["left"].figures.append(await leaving - killed_at)
    await watcher.close()
    await killed.start()


async def _measure(rounds: int, report: Callable[[str], None]) -> list[Row]:
    rows = {
        row.key: row
        for row in (
            Row("acquire", "Redis time to acquire a lease", "µs", 25),
            Row("full", "… to refuse one at the limit (6 of 6)", "µs", 25),
            Row("release", "… to release one", "µs", 25),
            Row("beat_few", "Redis time of a node's heartbeat, without sessions", "µs", 0),
            Row("beat_many", "… with 10,000 sessions", "µs", 0),
            Row("evict", "from connecting to `welcome`, with an eviction on the other node", "ms", 100),
            Row(
                "places", "`kill -9` of a node: until the other node admits a session in place of the lost one", "s", 8
            ),
            Row("left", "`kill -9` of a node: until `user_left` is received", "s", 15),
        )
    }
    for number in range(rounds):
        report(f"limits, scripts, round {number + 1}")
        await _measure_scripts(rows)
    async with LiveCluster() as cluster:
        report("limits, evictions")
        await _measure_evictions(cluster, rows["evict"])
        for number in range(KILLS):
            report(f"limits, killing a node, {number + 1}")
            await _measure_kill(cluster, rows, f"killed.{number}")
    return list(rows.values())


def measure(*, rounds: int, report: Callable[[str], None]) -> list[Row]:
    """Run the benchmark. `report` gets a line for each step."""
    return asyncio.run(_measure(rounds, report))
