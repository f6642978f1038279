"""Nodes that have much to log, and whose output nobody reads: a paused terminal, a container runtime that stalls."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from typing import IO, Any

import httpx
import pytest
from tannoy.fanout.redis.address import parse_address
from tannoy.fanout.startup import skip_recovery
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.support import processes
from tests.support.client import Client
from tests.support.cluster import Cluster, NodeProcess, Transport, environment
from tests.support.ports import free_ports_in_a_row
from tests.support.raw_http import RawHttp
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, eventually, value_becomes

BAD_DELIVERIES = 5000
BAD_REQUESTS = 200


@pytest.fixture
def full_pipe() -> Generator[IO[bytes]]:
    """The end to write to of a pipe that takes nothing more, and that is not read."""
    reading, writing = os.pipe()
    # Opened once more, since what is set for `writing` would hold for those who inherit it too.
    filling = os.open(f"/proc/self/fd/{writing}", os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(filling, b"x")
    os.close(filling)
    with open(writing, "wb", buffering=0) as pipe, open(reading, "rb", buffering=0):
        yield pipe


@pytest.fixture
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        await skip_recovery(parse_address(running.url), "tannoy", PATIENCE)  # no node was there before
        yield running


@pytest.mark.parametrize("transport", [Transport.FAST, Transport.PORTABLE], ids=str)
async def test_a_node_whose_log_is_not_read_starts_serves_and_stops(
    transport: Transport, valkey: Valkey, full_pipe: IO[bytes]
) -> None:
    node = NodeProcess("n1", transport, {"REDIS_URL": valkey.url}, output=full_pipe)
    try:
        await node.start()
        client = await node.connect("/ws/chat/lobby")
        await _flood(node, valkey)

        assert (await node.http.get("/health/live")).status_code == 200
        await client.ok("message", content="still here")
        assert await client.contents(1) == ["still here"]
        assert (await node.diagnostics())["log"]["waiting_bytes"] > 0
        if transport is Transport.FAST:
            assert await node.stop() == 0
    finally:
        await node.close()


async def _flood(node: NodeProcess, valkey: Valkey) -> None:
    """What a node complains of: bad requests of clients, and bad messages in Redis."""
    for _ in range(BAD_REQUESTS):
        async with RawHttp.to(node.port) as http:
            assert (await http.request("BAD")).status == 400
    await _publish_malformed(valkey)

    async def malformed() -> int:
        return await node.count("tracker", "malformed")

    await value_becomes(malformed, BAD_DELIVERIES)


async def _publish_malformed(valkey: Valkey) -> None:
    """Into a room."""
    channel = Keyspace("tannoy").room(RoomName("lobby")).address
    pipeline: Any = valkey.client.pipeline(transaction=False)
    for _ in range(BAD_DELIVERIES):
        pipeline.publish(channel, b"bad")
    await pipeline.execute()


async def test_up_whose_output_is_not_read_starts_a_killed_node_again_and_stops(
    valkey: Valkey, full_pipe: IO[bytes]
) -> None:
    port = free_ports_in_a_row(3)
    process = processes.start(
        [sys.executable, "-m", "tannoy", "up", "--nodes", "2", "--port", str(port)],
        env=environment({"REDIS_URL": valkey.url}),
        output=full_pipe,
    )
    try:
        first = await _pid_of_ready_node(port + 1)
        second = await _pid_of_ready_node(port + 2)
        client = await Client.open(f"ws://127.0.0.1:{port + 2}/ws/chat/lobby")
        await client.welcomed()
        await _publish_malformed(valkey)
        os.kill(first, signal.SIGKILL)

        assert await _pid_of_ready_node(port + 1, other_than=first) != first
        assert await _pid_of_ready_node(port + 2) == second
        await client.ok("message", content="still here")
        assert await client.contents(1) == ["still here"]
        await client.close()
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    finally:
        processes.end_group(process)


async def _pid_of_ready_node(port: int, *, other_than: int | None = None) -> int:
    found: list[int] = []

    async def is_ready() -> bool:
        try:
            async with httpx.AsyncClient() as http:
                state = (await http.get(f"http://127.0.0.1:{port}/diagnostics")).json()
        except httpx.TransportError:
            return False
        found[:] = [state["pid"]]
        return bool(state["ready"] and state["pid"] != other_than)

    await eventually(is_ready, what=f"the node on port {port} is ready")
    return found[0]


async def test_a_flood_of_bad_deliveries_is_logged_in_a_few_lines_that_count_them() -> None:
    async with Cluster(nodes=1) as cluster:
        node = cluster.nodes[0]
        await node.connect("/ws/chat/lobby")
        await _publish_malformed(cluster.valkey)

        async def all_are_counted() -> bool:
            return sum(_logged(node.log())) == BAD_DELIVERIES

        await eventually(all_are_counted, what=f"the log accounts for {BAD_DELIVERIES} bad deliveries")
        assert len(_logged(node.log())) < BAD_DELIVERIES


def _logged(log: str) -> list[int]:
    """For each line about bad deliveries, how many it is about."""
    lines = [line for line in log.splitlines() if "dropped a delivery" in line]
    counts = [re.search(r"(\d+) more within a second", line) for line in lines]
    return [1 if count is None else int(count[1]) for count in counts]
