"""What do exact limits cost, and how soon do they act?

Two nodes and a Valkey, real processes. Redis' own time of each script comes from `INFO commandstats`; the delays are
those that a client sees, from its first byte to the frame that decides.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from tannoy.fanout.lease_times import DEFAULT_TIMES
from tannoy.fanout.redis.script import Script
from tannoy.fanout.scripts import HEARTBEAT, LEASE_ACQUIRE, LEASE_RELEASE, SERVER_ENSURE
from tannoy.shared.channels import PARTITIONS, Owner, OwnerKind
from tannoy.shared.keyspace import Keyspace

from tests.support.client import Client
from tests.support.cluster import Cluster, NodeProcess
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

from .rows import Row

AGENTS = 1000
SESSIONS_EACH = 6
INFO = b'{"session_id":"abcdefghijklmnop","user_id":"ada","username":"Ada","node":"n1","agent_id":"42"}'
BEATS = 100
EVICTIONS = 200
KILLS = 3


class _Scripts:
    """Scripts run in pipelines against a Valkey of their own, and what Redis says they took."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey
        self.keyspace = Keyspace("bench")
        self.owners = [Owner(OwnerKind.AGENT, str(number)) for number in range(AGENTS)]

    async def prepare(self) -> None:
        for script in (SERVER_ENSURE, HEARTBEAT, LEASE_ACQUIRE, LEASE_RELEASE):
            await self._valkey.run("SCRIPT", "LOAD", script.source)
        await self.cost([(SERVER_ENSURE, (self.keyspace.server(part),), (0,)) for part in range(PARTITIONS)])
        await self.beat(1)

    async def cost(self, calls: Sequence[tuple[Script, tuple[bytes, ...], tuple[Any, ...]]]) -> float:
        """Microseconds of Redis per call."""
        await self._valkey.run("CONFIG", "RESETSTAT")
        pipeline = self._valkey.client.pipeline(transaction=False)
        for script, keys, arguments in calls:
            pipeline.execute_command(*script.call(keys, arguments))
        await pipeline.execute(raise_on_error=True)
        statistics = await self._valkey.run("INFO", "commandstats")
        return float(statistics["cmdstat_evalsha"]["usec_per_call"])

    async def beat(self, times: int) -> float:
        """Microseconds of a whole heartbeat, which is one script in each partition."""
        calls = [
            (HEARTBEAT, (self.keyspace.heartbeats(part), self.keyspace.server(part)), ("one", 600_000))
            for _ in range(times)
            for part in range(PARTITIONS)
        ]
        return await self.cost(calls) * PARTITIONS

    async def acquire(self, first: int, count: int, limit: int) -> float:
        asked = (0, DEFAULT_TIMES.lease_ms)
        calls = [
            (LEASE_ACQUIRE, self._keys(owner), (f"one|{n}|s{n}", INFO, limit, "reject", f"agent:{owner.name}", *asked))
            for n in range(first, first + count)
            for owner in self.owners
        ]
        return await self.cost(calls)

    async def release(self, count: int) -> float:
        return await self.cost(
            [(LEASE_RELEASE, self._keys(owner), (f"one|{n}|s{n}", "")) for n in range(count) for owner in self.owners]
        )

    def _keys(self, owner: Owner) -> tuple[bytes, ...]:
        return self.keyspace.leases(owner, "one")


async def _measure_scripts(rows: dict[str, Row]) -> None:
    async with Valkey() as valkey:
        scripts = _Scripts(valkey)
        await scripts.prepare()
        rows["beat_few"].figures.append(await scripts.beat(BEATS))
        rows["acquire"].figures.append(await scripts.acquire(0, SESSIONS_EACH, 10))
        rows["full"].figures.append(await scripts.acquire(SESSIONS_EACH, 1, SESSIONS_EACH))
        await scripts.acquire(SESSIONS_EACH, 4, 100)
        rows["beat_many"].figures.append(await scripts.beat(BEATS))
        rows["release"].figures.append(await scripts.release(SESSIONS_EACH))


async def _limit(node: NodeProcess, agent: str, max_sessions: int, policy: str) -> None:
    body = {"max_sessions": max_sessions, "policy": policy}
    (await node.http.put(f"/api/v1/agents/{agent}/limit", json=body)).raise_for_status()


async def _measure_evictions(cluster: Cluster, row: Row) -> None:
    """Each newcomer on the other node than its victim: connected when the victim has gone and it is welcome."""
    await _limit(cluster.nodes[0], "evicted", 1, "evict_oldest")
    await cluster.nodes[0].connect("/ws/agents/evicted")
    for number in range(1, EVICTIONS + 1):
        began = time.perf_counter()
        await cluster.nodes[number % 2].connect("/ws/agents/evicted")
        row.figures.append((time.perf_counter() - began) * 1000)


async def _measure_kill(cluster: Cluster, rows: dict[str, Row], agent: str) -> None:
    doomed, other = cluster.nodes
    await _limit(other, agent, 1, "reject")
    watcher = await other.connect(f"/ws/chat/{agent}?user_id=watcher")
    await doomed.connect(f"/ws/agents/{agent}")
    await doomed.connect(f"/ws/chat/{agent}?user_id=ada")
    await watcher.expect("user_joined")

    async def gets_in() -> bool:
        client = await Client.open(f"{other.ws_url}/ws/agents/{agent}")
        first = await client.find(lambda frame: frame["type"] in ("welcome", "bye"), "welcome or bye")
        await client.close()
        return bool(first["type"] == "welcome")

    async def left() -> float:
        await watcher.expect("user_left")
        return time.perf_counter()

    await doomed.kill()
    killed = time.perf_counter()
    leaving = asyncio.create_task(left())
    rows["places"].figures.append(await eventually(gets_in, within=30, what="a place is free"))
    rows["left"].figures.append(await leaving - killed)
    await watcher.close()
    await doomed.start()


async def _measure(rounds: int, tell: Callable[[str], None]) -> list[Row]:
    rows = {
        row.key: row
        for row in (
            Row("acquire", "Redis time of taking a place", "µs", 25),
            Row("full", "… of being told that none is free (6 of 6)", "µs", 25),
            Row("release", "… of giving it back", "µs", 25),
            Row("beat_few", "Redis time of a node's heartbeat, without sessions", "µs", 0),
            Row("beat_many", "… with 10,000 sessions", "µs", 0),
            Row("evict", "from connecting to `welcome`, with an eviction on the other node", "ms", 100),
            Row("places", "from `kill -9` of a node until its place is taken by another", "s", 8),
            Row("left", "from `kill -9` of a node until `user_left` is seen", "s", 15),
        )
    }
    for number in range(rounds):
        tell(f"limits, scripts, round {number + 1}")
        await _measure_scripts(rows)
    async with Cluster(nodes=2) as cluster:
        tell("limits, evictions")
        await _measure_evictions(cluster, rows["evict"])
        for number in range(KILLS):
            tell(f"limits, killing a node, {number + 1}")
            await _measure_kill(cluster, rows, f"killed.{number}")
    return list(rows.values())


def measure(*, rounds: int, tell: Callable[[str], None]) -> list[Row]:
    """All rows."""
    return asyncio.run(_measure(rounds, tell))
