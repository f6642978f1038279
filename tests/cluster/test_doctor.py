"""`tannoy doctor` finds each fault that is planted in a running cluster, and nothing in a healthy one."""

import json
import resource
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tannoy.node.auth.signing import sign_token

from tests.support.client import Client
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.command_line import run_tannoy_async
from tests.support.node import HASTY, PRODUCT, STEADY, Times
from tests.support.raw_socket import RawSocket
from tests.support.reverse_proxies import haproxy
from tests.support.waiting import eventually

SECRET = "a secret of thirty-two characters"
KEYS = {"AUTH": "jwt", "JWT_SECRET": SECRET, "API_KEY": "key", "CLUSTER_SECRET": "sealed"}
"""Settings of which no start warns."""


def _authorization(seconds: int = 600) -> dict[str, str]:
    """The header with a token that lives so long."""
    return {"Authorization": f"Bearer {sign_token(SECRET, subject='ada', expires_at=int(time.time()) + seconds)}"}


async def _diagnose(node: NodeProcess, *, is_critical: bool, **settings: str) -> dict[str, dict[str, Any]]:
    """Findings by their type; `settings` are those of the doctor."""
    ended = await run_tannoy_async("doctor", "--json", "--url", node.url, **{"API_KEY": "key", **settings})
    assert ended.stdout.startswith("{"), ended.stderr
    answer = json.loads(ended.stdout)
    assert ended.returncode == (1 if is_critical else 0), answer
    return {finding["type"]: finding for finding in answer["findings"]}


def _cluster(times: Times = STEADY) -> Cluster:
    return Cluster(1, Transport.FAST, times=times, NODE_MAX_SESSIONS="1000", **KEYS)


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    """For faults that leave it as it is."""
    async with _cluster() as running:
        yield running


async def test_nothing_is_found_in_a_healthy_cluster(cluster: Cluster) -> None:
    (node,) = cluster.nodes
    client = await node.connect("/ws/chat/lobby", additional_headers=_authorization())
    await client.ok("message", content="hello")
    redis = {**KEYS, "REDIS_URL": cluster.valkey.url, "NODE_MAX_SESSIONS": "1000"}
    assert await _diagnose(node, is_critical=False, **redis) == {}

    shown = await run_tannoy_async("doctor", "--url", node.url, **redis)
    assert shown.stdout.endswith("Nothing is wrong.\n")
    checked = await run_tannoy_async("check", **redis)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.startswith("A node can start")


async def test_a_missing_key_of_tokens_is_found(cluster: Cluster) -> None:
    settings = {"AUTH": "jwt", "REDIS_URL": cluster.valkey.url}
    found = await _diagnose(cluster.nodes[0], is_critical=True, **settings)
    assert "TANNOY_JWT_SECRET" in found["can_not_start"]["seen"]
    checked = await run_tannoy_async("check", **settings)
    assert checked.returncode == 1
    assert "TANNOY_JWT_SECRET" in checked.stderr


async def test_a_redis_user_without_the_rights_is_found(cluster: Cluster) -> None:
    await cluster.valkey.run("ACL", "SETUSER", "weak", "on", ">pw", "~*", "&*", "+@read", "+@connection")
    url = cluster.valkey.url.replace("redis://", "redis://weak:pw@")
    found = await _diagnose(cluster.nodes[0], is_critical=True, **KEYS, REDIS_URL=url)
    assert "docs/redis.md lists the rights" in found["can_not_start"]["seen"]
    assert "pw@" not in json.dumps(found)


async def test_expired_tokens_are_found(cluster: Cluster) -> None:
    (node,) = cluster.nodes
    for _ in range(3):
        client = await Client.open(f"{node.ws_url}/ws", additional_headers=_authorization(-1))
        await client.bye()
    found = (await _diagnose(node, is_critical=False))["tokens_refused"]
    assert (found["part"], found["figures"]) == ("tokens", {"token_expired": 3})


async def test_a_proxy_that_cuts_idle_connections_is_found(cluster: Cluster) -> None:
    (node,) = cluster.nodes
    async with haproxy([node.port], tunnel="1s") as port, AsyncExitStack() as stack:
        for _ in range(6):
            socket = await stack.enter_async_context(RawSocket.to(port))
            assert await socket.handshake("/ws/chat/lobby", **_authorization()) == 101

        async def are_lost() -> bool:
            headers = {"Authorization": "Bearer key"}
            return len((await node.http.get("/diagnostics", headers=headers)).json()["loss_ages"]) >= 6

        await eventually(are_lost, what="the proxy has cut the connections")
    found = (await _diagnose(node, is_critical=False))["idle_timeout"]
    assert 1.0 <= found["figures"]["age_seconds"] < 3.0


async def test_a_blocked_event_loop_is_found() -> None:
    async with _cluster() as cluster:
        (node,) = cluster.nodes
        node.signal(signal.SIGSTOP)
        time.sleep(1.5)  # noqa: ASYNC251 the time for which it is blocked
        node.signal(signal.SIGCONT)
        found = (await _diagnose(node, is_critical=False))["blocked_loop"]
        assert found["figures"]["loop_lag_worst_ms"] > 1000


async def test_a_low_limit_of_open_files_is_found() -> None:
    async with _cluster() as cluster:
        resource.prlimit(cluster.nodes[0].pid, resource.RLIMIT_NOFILE, (200, 200))
        found = (await _diagnose(cluster.nodes[0], is_critical=False))["open_files"]
        assert found["figures"]["sessions_possible"] < 200


async def test_a_redis_that_takes_no_writes_is_found() -> None:
    async with _cluster(PRODUCT) as cluster:
        await cluster.valkey.run("CONFIG", "SET", "min-replicas-to-write", "1")
        await eventually(lambda: _is_not_ready(cluster.nodes[0]), what="the node notices")
        found = await _diagnose(cluster.nodes[0], is_critical=True, **KEYS, REDIS_URL=cluster.valkey.url)
        assert {"not_ready", "can_not_start"} <= found.keys()
        assert "NOREPLICAS" in found["can_not_start"]["seen"]


async def _is_not_ready(node: NodeProcess) -> bool:
    return not await node.is_ready()


async def test_a_link_that_hears_nothing_is_found() -> None:
    async with _cluster(PRODUCT) as cluster:
        await cluster.valkey.run("ACL", "SETUSER", "default", "resetchannels")
        await eventually(lambda: _is_not_ready(cluster.nodes[0]), what="the node notices")
        assert "deaf_link" in await _diagnose(cluster.nodes[0], is_critical=True)


async def test_sessions_of_a_node_that_has_died_are_found() -> None:
    async with _cluster(HASTY) as cluster:
        (node,) = cluster.nodes
        await node.connect("/ws/chat/lobby", additional_headers=_authorization())
        await node.kill()
        redis = {**KEYS, "REDIS_URL": cluster.valkey.url, "NODE_MAX_SESSIONS": "1000"}

        async def are_found() -> bool:
            return "ghost_sessions" in await _diagnose(node, is_critical=True, **redis)

        await eventually(are_found, what="its heartbeat has run out")


async def test_a_clock_that_is_wrong_is_found() -> None:
    async with _cluster(Times(STEADY.leases, STEADY.timeouts, clock_ahead=30.0)) as cluster:
        found = (await _diagnose(cluster.nodes[0], is_critical=False))["clock_skew"]
        assert 29 < found["figures"]["offset_seconds"] < 31
