"""A look at each Redis server from outside of a node: how far it is, what its clock says, and who has died."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..shared.keyspace import Keyspace
from .backend import RedisBackend
from .redis.connection import RedisConnection
from .redis.opening import connect

SAMPLES = 5
"""Round trips that are measured; the quickest counts."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    address: str
    """Without credentials."""
    round_trip: float
    """Seconds."""
    clock_offset: float
    """Seconds by which its clock is ahead of ours; as exact as half a round trip."""
    dead_processes: Sequence[str]
    """Incarnations whose heartbeat has expired, and whose sessions are not all removed."""


async def look_at_servers(backend: RedisBackend, keyspace: Keyspace, timeout: float) -> list[ServerFacts]:
    """Each server within `timeout` seconds. Raises StartError, RedisError, OSError, ConnectionLost."""
    found: list[ServerFacts] = []
    for server, partitions in await backend.servers(timeout):
        async with asyncio.timeout(timeout):
            connection = await connect(server, name="tannoy-doctor", on_pushes=lambda _: None, timeout=timeout)
            try:
                round_trip, offset = await _measure_clock(connection)
                keys = [keyspace.heartbeats(part) for part in partitions]
                dead = await _find_dead(connection, keys, time.time() + offset)
                found.append(ServerFacts(str(server), round_trip, offset, dead))
            finally:
                connection.abort()
    return found


async def _measure_clock(connection: RedisConnection) -> tuple[float, float]:
    """The quickest round trip, and the offset of the server's clock that it showed."""
    samples: list[tuple[float, float]] = []
    for _ in range(SAMPLES):
        before = time.time()
        seconds, micros = await connection.send("TIME")
        after = time.time()
        samples.append((after - before, int(seconds) + int(micros) / 1e6 - (before + after) / 2))
    return min(samples)


async def _find_dead(connection: RedisConnection, keys: Sequence[bytes], now: float) -> list[str]:
    asked = (connection.send("ZRANGEBYSCORE", key, 0, int(now * 1000)) for key in keys)
    members = {member.decode(errors="replace") for answer in await asyncio.gather(*asked) for member in answer}
    return sorted(member for member in members if not member.startswith("."))  # `.since` is no process
