"""Nodes whose output nobody reads: a terminal that is paused, a container runtime that has stalled."""

import os
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from typing import IO, Any

import pytest
from tannoy.fanout.redis.address import parse_address
from tannoy.fanout.startup import skip_recovery
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.support.cluster import NodeProcess, Transport
from tests.support.raw_http import RawHttp
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, value_becomes

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
    channel = Keyspace("tannoy").room(RoomName("lobby")).address
    pipeline: Any = valkey.client.pipeline(transaction=False)
    for _ in range(BAD_DELIVERIES):
        pipeline.publish(channel, b"bad")
    await pipeline.execute()

    async def malformed() -> int:
        return await node.count("tracker", "malformed")

    await value_becomes(malformed, BAD_DELIVERIES)
