"""Nodes on two databases of one Redis server: two clusters that know nothing of each other, under one prefix too."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from tannoy.fanout.redis.address import parse_address
from tannoy.fanout.startup import skip_recovery

from tests.support.cluster import NodeProcess, Transport
from tests.support.node import PATIENT
from tests.support.redis_servers import MASTER, RedisServer, Watched, binary_of
from tests.support.waiting import PATIENCE


@asynccontextmanager
async def _by_path(folder: Path) -> AsyncGenerator[tuple[str, str]]:
    async with RedisServer(binary_of("redis-7.0")) as redis:
        yield redis.url, f"{redis.url}/1"


@asynccontextmanager
async def _on_a_unix_socket(folder: Path) -> AsyncGenerator[tuple[str, str]]:
    async with RedisServer(binary_of("redis-7.0"), f"unixsocket {folder}/redis.sock") as redis:
        yield f"{redis.url}/0", f"unix://{folder}/redis.sock?db=1"


@asynccontextmanager
async def _behind_a_sentinel(folder: Path) -> AsyncGenerator[tuple[str, str]]:
    async with Watched(binary_of("redis-7.0"), replicas=1, sentinels=1) as redis:
        yield f"redis+sentinel://{redis.hosts}/{MASTER}/2", f"redis+sentinel://{redis.hosts}/{MASTER}/1"


SETUPS: dict[str, Callable[[Path], AbstractAsyncContextManager[tuple[str, str]]]] = {
    "path": _by_path,
    "unix": _on_a_unix_socket,
    "sentinel": _behind_a_sentinel,
}


@pytest.fixture(params=SETUPS)
async def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[list[NodeProcess]]:
    """One node on each of two databases."""
    async with SETUPS[request.param](tmp_path) as urls, AsyncExitStack() as stack:
        started: list[NodeProcess] = []
        for name, url in zip(("here", "there"), urls, strict=True):
            await skip_recovery(parse_address(url), "tannoy", PATIENCE)
            node = NodeProcess(name, Transport.FAST, {"REDIS_URL": url}, times=PATIENT)
            stack.push_async_callback(node.close)
            await node.start()
            started.append(node)
        yield started


async def test_a_room_of_one_database_does_not_hear_that_of_another(nodes: list[NodeProcess]) -> None:
    clients = [await node.connect(f"/ws/chat/lobby?user_id={node.name}") for node in nodes]

    for node in nodes:
        await node.http.post("/api/v1/rooms/lobby/messages", json={"content": f"from {node.name}"})

    assert [await client.contents(1) for client in clients] == [["from here"], ["from there"]]
    assert [(await client.ok("presence"))["users_count"] for client in clients] == [1, 1]


async def test_private_messages_stay_in_their_database(nodes: list[NodeProcess]) -> None:
    for node in nodes:
        await node.connect("/ws/chat/lobby?user_id=ada")

    sent = [(await node.http.post("/api/v1/users/ada/messages", json={"content": 1})).json() for node in nodes]

    assert [answer["sessions"] for answer in sent] == [1, 1]


async def test_an_order_to_close_sessions_stays_in_its_database(nodes: list[NodeProcess]) -> None:
    here, there = [await node.connect("/ws/agents/42?session_id=only") for node in nodes]

    assert (await nodes[0].http.delete("/api/v1/agents/42/sessions")).json() == {"sessions": 1}

    await here.bye()
    await there.ok("message", content="still here")


async def test_nodes_of_another_database_are_not_listed(nodes: list[NodeProcess]) -> None:
    for node in nodes:
        shown = (await node.http.get("/api/v1/nodes")).json()["nodes"]
        assert [each["node"] for each in shown] == [node.name]
