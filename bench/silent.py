"""What silent handshakes cost the good ones: `python -m bench.silent` prints how long clients take to connect.

Each of the good clients connects to `/ws`, waits for `welcome` and closes, one after the other: alone, and while 2,000
connections are open that have sent half a handshake and nothing more. Rounds of both alternate on one node.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from .clients import Client, Crowd, connect
from .dialects import DIALECTS, make_payload
from .handshake import NO_ROOM
from .proc import raise_file_limit
from .servers import running

SILENT = 2000
GOOD = 1000
"""Handshakes of one round: it ends before the node gives the silent ones up, after 5 s."""
ROUNDS = 5
HALF = b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"


@asynccontextmanager
async def _silent(port: int) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for _ in range(SILENT):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(HALF)
        yield


async def _connect_one_by_one(port: int) -> list[float]:
    """Milliseconds that each took until its `welcome`."""
    protocol, payload, crowd = DIALECTS[NO_ROOM.dialect], make_payload(64), Crowd(0)
    times: list[float] = []
    for number in range(GOOD):
        began = time.perf_counter()
        client = await connect(Client(protocol, "", number, payload, crowd), number, port)
        times.append((time.perf_counter() - began) * 1000)
        await client.close()
    return times


async def measure(port: int) -> tuple[list[float], list[float]]:
    """(alone, beside the silent ones): milliseconds of each handshake, sorted."""
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(ROUNDS):
        alone += await _connect_one_by_one(port)
        async with _silent(port):
            beside += await _connect_one_by_one(port)
    return sorted(alone), sorted(beside)


def _percentile(times: Sequence[float], share: float) -> float:
    return times[int(share * (len(times) - 1))]


if __name__ == "__main__":
    raise_file_limit()
    with running(NO_ROOM) as cluster:
        found = asyncio.run(measure(cluster.ports[0]))
    for what, times in zip(("alone", f"beside {SILENT:,} silent handshakes"), found, strict=True):
        print(f"{what}: p50 {_percentile(times, 0.5):.2f} ms, p99 {_percentile(times, 0.99):.2f} ms")
