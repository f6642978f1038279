"""A Redis that is 200 ms away is reached, and everything works over it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from websockets import ConnectionClosedError

from tests.support.client import Client, Frame
from tests.support.cluster import NodeProcess, Transport
from tests.support.delaying_proxy import DelayingProxy
from tests.support.node import PRODUCT
from tests.support.redis_servers import MASTER, RedisServer, Watched, binary_of
from tests.support.waiting import PATIENCE, eventually

ROUND_TRIP = 0.2
TRY_AGAIN_LATER = 1013
SETTINGS = {"AGENT_MAX_SESSIONS": "2", "PRESENCE_GRACE": "0"}


@asynccontextmanager
async def a_node(url: str) -> AsyncGenerator[NodeProcess]:
    """With the times of the product, which are what a distance could exceed. What is repeated here has to end."""
    node = NodeProcess("n1", Transport.FAST, {"REDIS_URL": url, **SETTINGS}, times=PRODUCT)
    try:
        await node.start()
        async with asyncio.timeout(PATIENCE):
            yield node
    finally:
        await node.close()


async def _is_connected(server: RedisServer) -> bool:
    clients: bytes = await server.run("CLIENT", "LIST")
    return all(b"tannoy-%b-" % name in clients for name in (b"publisher", b"history", b"counted"))


async def carry_out(client: Client, command: str, **fields: Any) -> Frame:
    """Repeat a command for as long as Redis has not answered in time: this machine may be busy too."""
    while (answer := await client.call(command, **fields))["type"] != "ok":
        assert answer["code"] == "unavailable", answer
    return answer


async def sessions_reached(sender: Client, to: str) -> int:
    """By a private message."""
    return int((await carry_out(sender, "private", to=to, content="hi"))["sessions"])


async def connect(node: NodeProcess, path: str) -> Client:
    """Repeated likewise: each of the questions that a handshake asks has the product's deadline."""
    while True:
        try:
            return await node.connect(path)
        except ConnectionClosedError as closed:
            if closed.rcvd is None or closed.rcvd.code != TRY_AGAIN_LATER:
                raise


async def everything_works(node: NodeProcess) -> None:
    speaker, listener = await connect(node, "/ws/chat/lobby"), await connect(node, "/ws/chat/lobby?user_id=bob")
    await carry_out(speaker, "message", content="hello", key="hello")  # with the key it is delivered once
    assert (await listener.expect("message"))["content"] == "hello"
    assert await sessions_reached(speaker, "bob") == 1
    await connect(node, "/ws/agents/a1")


async def test_a_node_starts_and_works(anyio_backend: str) -> None:
    async with (
        RedisServer(binary_of("valkey")) as server,
        DelayingProxy(server.port, round_trip=ROUND_TRIP) as far,
        a_node(f"redis://127.0.0.1:{far.port}") as node,
    ):
        await everything_works(node)


async def test_a_node_comes_back_and_states_its_leases_after_its_redis_has_lost_all_data(anyio_backend: str) -> None:
    async with (
        RedisServer(binary_of("valkey")) as server,
        DelayingProxy(server.port, round_trip=ROUND_TRIP) as far,
        a_node(f"redis://127.0.0.1:{far.port}") as node,
    ):
        holder = await connect(node, "/ws/agents/a0")
        await server.run("FLUSHALL")
        await server.run("CLIENT", "KILL", "TYPE", "normal")

        await eventually(lambda: _is_connected(server), what="the node has connected anew")
        await eventually(node.is_ready, what="the node is ready again")
        await everything_works(node)
        assert await sessions_reached(holder, "nobody") == 0


async def test_a_node_starts_whose_sentinels_are_far(anyio_backend: str) -> None:
    async with (
        Watched(binary_of("redis-7.0"), replicas=0, sentinels=1) as redis,
        DelayingProxy(redis.sentinels[0].port, round_trip=ROUND_TRIP) as far,
        a_node(f"redis+sentinel://127.0.0.1:{far.port}/{MASTER}") as node,
    ):
        await everything_works(node)
