"""Redis answers and refuses: the node is not ready, says why, and shows nobody the words of Redis."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import NodeProcess
from tests.support.node import STEADY
from tests.support.redis_servers import SERVERS, RedisServer, binary_of, two_nodes
from tests.support.waiting import eventually

WORDS_OF_REDIS = (
    "OOM",
    "NOREPLICAS",
    "MISCONF",
    "NOPERM",
    "READONLY",
    "script",
    "default",
    "maxmemory",
    "RDB",
    "tannoy:",
)


@asynccontextmanager
async def _without_replicas(redis: RedisServer) -> AsyncGenerator[str]:
    await redis.run("CONFIG", "SET", "min-replicas-to-write", "1")
    yield "Redis has too few replicas to accept writes"
    await redis.run("CONFIG", "SET", "min-replicas-to-write", "0")


@asynccontextmanager
async def _out_of_memory(redis: RedisServer) -> AsyncGenerator[str]:
    await redis.run("CONFIG", "SET", "maxmemory", "1")
    yield "Redis is out of memory"
    await redis.run("CONFIG", "SET", "maxmemory", "0")


@asynccontextmanager
async def _without_the_right_to_run_scripts(redis: RedisServer) -> AsyncGenerator[str]:
    await redis.run("ACL", "SETUSER", "default", "-evalsha")
    yield "Redis does not allow it to the user of the node"
    await redis.run("ACL", "SETUSER", "default", "+evalsha")


@asynccontextmanager
async def _without_the_right_to_publish(redis: RedisServer) -> AsyncGenerator[str]:
    await redis.run("ACL", "SETUSER", "default", "-set")
    yield "Redis does not allow it to the user of the node"
    await redis.run("ACL", "SETUSER", "default", "+set")


@asynccontextmanager
async def _that_can_not_save(redis: RedisServer) -> AsyncGenerator[str]:
    """As with a full disk: the file of the dump can't be written, here because there is a folder of its name."""
    folder: dict[bytes, bytes] = await redis.run("CONFIG", "GET", "dir")
    (Path(folder[b"dir"].decode()) / "dump.rdb").mkdir()
    await redis.run("CONFIG", "SET", "save", "3600 1")
    await redis.run("BGSAVE")
    yield "Redis can't save its data, and accepts no writes"
    await redis.run("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")


@asynccontextmanager
async def _that_is_a_replica(redis: RedisServer) -> AsyncGenerator[str]:
    async with RedisServer(binary_of("valkey")) as master:
        await redis.run("REPLICAOF", "127.0.0.1", str(master.port))
        yield "Redis "
        await redis.run("REPLICAOF", "NO", "ONE")


REFUSALS: dict[str, Callable[[RedisServer], AbstractAsyncContextManager[str]]] = {
    "NOREPLICAS": _without_replicas,
    "OOM": _out_of_memory,
    "NOPERM-scripts": _without_the_right_to_run_scripts,
    "NOPERM-write": _without_the_right_to_publish,
    "MISCONF": _that_can_not_save,
    "READONLY": _that_is_a_replica,
}
"""Each makes a server refuse, gives the reason that a node has to tell, and lets the server accept again."""


async def _is_not_ready(node: NodeProcess, reason: str) -> bool:
    answer = await node.http.get("/health/ready")
    return answer.status_code == 503 and reason in answer.json()["reason"]


async def _publishes(node: NodeProcess) -> bool:
    answer = await node.http.post("/api/v1/rooms/lobby/messages", json={"content": 1})
    return bool(answer.status_code == 200)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_node_is_not_ready_while_redis_refuses_and_ready_afterwards(refusal: str, server: str) -> None:
    async with RedisServer(binary_of(server)) as redis, two_nodes(redis.url, times=STEADY) as nodes:
        node = nodes[0]
        ada = await node.connect("/ws/chat/lobby?user_id=ada")
        async with REFUSALS[refusal](redis) as reason:
            await eventually(lambda: _is_not_ready(node, reason), what="the node is not ready, and says why")

            problem: dict[str, Any] = (await node.http.post("/api/v1/rooms/lobby/messages", json={"content": 1})).json()
            error = await ada.call("message", content="hi")
            assert (problem["code"], error["code"]) == ("unavailable", "unavailable")
            told = (problem["detail"], error["message"], (await node.http.get("/health/ready")).json()["reason"])
            assert [(word, text) for word in WORDS_OF_REDIS for text in told if word in text] == []

        await eventually(node.is_ready, what="the node is ready again")
        await eventually(lambda: _publishes(node), what="the node publishes again")
