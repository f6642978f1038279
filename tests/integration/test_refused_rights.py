"""Redis refuses what sessions need, and neither heartbeats nor publishes: the node says so, and goes on afterwards."""

import pytest

from tests.support.client import Client
from tests.support.cluster import NodeProcess
from tests.support.node import STEADY
from tests.support.redis_servers import RedisServer, binary_of, two_nodes
from tests.support.waiting import eventually, value_becomes

NO_SESSIONS = "Redis takes no leases and presence: Redis does not allow it to the user of the node"
NO_PUBLISHES = "Redis takes no publishes: Redis does not allow it to the user of the node"
REASONS = {
    "del": NO_PUBLISHES,
    "expire": NO_PUBLISHES,
    **dict.fromkeys(("hdel", "hset", "hsetnx", "sadd", "srem", "zrem"), NO_SESSIONS),
}
"""Without some rights nothing is published either; a node gives one reason."""
TRY_AGAIN_LATER = 1013


async def _why_not_ready(node: NodeProcess) -> str | None:
    answer = await node.http.get("/health/ready")
    reason: str | None = answer.json().get("reason")
    return reason


async def _users_of_the_lobby(node: NodeProcess) -> list[str]:
    answer = await node.http.get("/api/v1/rooms/lobby/presence")
    return sorted(user["user_id"] for user in answer.json()["users"])


async def _is_admitted(node: NodeProcess, path: str) -> bool:
    client = await Client.open(node.ws_url + path)
    answer = await client.find(lambda frame: frame["type"] in ("welcome", "bye"), "an answer")
    return bool(answer["type"] == "welcome")


async def _come_and_go(node: NodeProcess) -> None:
    """A session of an agent, and one in the lobby; whether they are admitted depends on what Redis refuses."""
    for path in ("/ws/agents/a1", "/ws/chat/lobby?user_id=bob"):
        client = await Client.open(node.ws_url + path)
        await client.find(lambda frame: frame["type"] in ("welcome", "bye"), "an answer")
        await client.close()


@pytest.mark.parametrize("right", REASONS)
async def test_a_node_is_not_ready_without_a_right_of_its_sessions_and_no_session_stays_behind(right: str) -> None:
    settings = {"AGENT_MAX_SESSIONS": "1", "PRESENCE_GRACE": "0"}
    async with RedisServer(binary_of("valkey")) as redis, two_nodes(redis.url, times=STEADY, **settings) as nodes:
        await redis.run("ACL", "SETUSER", "default", f"-{right}")
        await value_becomes(lambda: _why_not_ready(nodes[0]), REASONS[right])
        await _come_and_go(nodes[0])
        await redis.run("ACL", "SETUSER", "default", f"+{right}")

        await value_becomes(lambda: _why_not_ready(nodes[0]), None)
        await value_becomes(lambda: _users_of_the_lobby(nodes[1]), [])
        await eventually(lambda: _is_admitted(nodes[1], "/ws/agents/a1"), what="the only lease is free")
        assert not await _is_admitted(nodes[0], "/ws/agents/a1")


@pytest.mark.parametrize("right", ["set", "xadd"])
async def test_a_node_that_redis_does_not_let_publish_is_not_ready(right: str) -> None:
    async with RedisServer(binary_of("valkey")) as redis, two_nodes(redis.url, times=STEADY) as nodes:
        await redis.run("ACL", "SETUSER", "default", f"-{right}")
        await value_becomes(lambda: _why_not_ready(nodes[0]), NO_PUBLISHES)
        await redis.run("ACL", "SETUSER", "default", f"+{right}")

        await value_becomes(lambda: _why_not_ready(nodes[0]), None)


async def test_without_history_a_node_needs_no_right_to_write_it() -> None:
    settings = {"HISTORY_SIZE": "0"}
    async with RedisServer(binary_of("valkey")) as redis, two_nodes(redis.url, times=STEADY, **settings) as nodes:
        await redis.run("ACL", "SETUSER", "default", "-xadd")
        probes = await nodes[0].count("pipeline", "answered")

        async def has_probed() -> bool:
            return await nodes[0].count("pipeline", "answered") >= probes + 2

        await eventually(has_probed, what="two probes of publishing")
        assert await _why_not_ready(nodes[0]) is None


@pytest.mark.parametrize("path", ["/ws/agents/a1", "/ws/chat/lobby?user_id=bob"])
async def test_a_session_that_redis_refuses_is_told_so_and_to_come_back(path: str) -> None:
    async with RedisServer(binary_of("valkey")) as redis, two_nodes(redis.url, times=STEADY) as nodes:
        await redis.run("ACL", "SETUSER", "default", "-sadd")
        client = await Client.open(nodes[0].ws_url + path)
        bye, code = await client.bye()
        assert (code, bye["reconnect"]) == (TRY_AGAIN_LATER, True)
        assert "Redis" in bye["reason"]
        assert bye["retry_after"] > 0
