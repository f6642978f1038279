"""A thousand secrets, each told a node where a client may tell it one: none is in anything that a node gives away.

Searched are the logs at DEBUG, all that HTTP answers, every frame and close reason, the diagnostics, what Redis tells
of its clients and its keys, and what a start that fails prints.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest
from tannoy.fanout.redis.address import parse_address
from tannoy.fanout.startup import skip_recovery

from tests.support.canaries import (
    API_KEY,
    CLUSTER_SECRET,
    JWT_SECRET,
    PASSWORD,
    PLACES,
    Outputs,
    Place,
    Site,
    new_canary,
)
from tests.support.cluster import NodeProcess, Transport
from tests.support.command_line import run_tannoy_async
from tests.support.node import PATIENT
from tests.support.ports import free_port
from tests.support.redis_servers import RedisServer, binary_of
from tests.support.waiting import PATIENCE, eventually

CANARIES = 1000
AT_ONCE = 20
"""Clients at a time."""
ADMIN = {"username": "admin", "password": "admin"}


@pytest.fixture(scope="module")
async def redis(anyio_backend: str) -> AsyncGenerator[RedisServer]:
    rights = "~tannoy:* &tannoy:* +@read +@write +@pubsub +@scripting +@connection -@dangerous +info +role +time"
    users = (f"user tannoy on >{PASSWORD} {rights}", "user admin on >admin ~* &* +@all", "user default off")
    async with RedisServer(binary_of("valkey"), *users) as running:
        yield running


@pytest.fixture(scope="module")
async def nodes(anyio_backend: str, redis: RedisServer) -> AsyncGenerator[list[NodeProcess]]:
    """One on each transport; the second takes tokens in the query."""
    url = redis.url.replace("//", f"//tannoy:{PASSWORD}@")
    await skip_recovery(parse_address(url), "tannoy", PATIENCE)
    settings = {
        "REDIS_URL": url,
        "AUTH": "jwt",
        "JWT_SECRET": JWT_SECRET,
        "API_KEY": API_KEY,
        "CLUSTER_SECRET": CLUSTER_SECRET,
        "LOG_LEVEL": "DEBUG",
        "PING_INTERVAL": "3600",
    }
    started = [
        NodeProcess("n1", Transport.FAST, settings, times=PATIENT),
        NodeProcess("n2", Transport.PORTABLE, {**settings, "AUTH_QUERY_TOKEN": "true"}, times=PATIENT),
    ]
    async with AsyncExitStack() as stack:
        for node in started:
            stack.push_async_callback(node.close)
            await node.start()
        yield started


async def _tell_secrets(sites: list[Site], outputs: Outputs) -> None:
    """Until there are as many canaries as are asked for, each place in turn and at both nodes."""
    permits, number = asyncio.Semaphore(AT_ONCE), 0

    async def tell(place: Place, site: Site) -> None:
        async with permits:
            await place(site)

    while len(outputs.canaries) < CANARIES:
        async with asyncio.TaskGroup() as group:
            for place in PLACES:
                group.create_task(tell(place, sites[number % 2]))
        number += 1


async def _look_as_an_operator(site: Site) -> None:
    """All that the API and the pages tell somebody who may ask."""
    key = {"Authorization": f"Bearer {API_KEY}"}
    for path in ("nodes", "rooms", "rooms/lobby", "rooms/lobby/presence", "rooms/lobby/messages", "revocations"):
        await site.ask("GET", f"/api/v1/{path}", headers=key)
    for path in ("agents/42", "users/ada"):
        await site.ask("GET", f"/api/v1/{path}", headers=key)
    for path in ("/diagnostics", "/health/ready", "/health/live", "/metrics", "/dashboard", "/"):
        await site.ask("GET", path, headers=key)


async def _let_redis_refuse(redis: RedisServer, site: Site) -> None:
    """Commands that Redis refuses, and a connection that it cuts."""
    key, message = {"Authorization": f"Bearer {API_KEY}"}, {"content": 1}
    await redis.run("ACL", "SETUSER", "tannoy", "-evalsha", **ADMIN)
    refused = await site.ask("POST", "/api/v1/rooms/lobby/messages", headers=key, json=message)
    assert refused.status_code == 503
    await redis.run("ACL", "SETUSER", "tannoy", "+evalsha", "resetpass", ">changed", **ADMIN)
    await redis.run("CLIENT", "KILL", "USER", "tannoy", **ADMIN)

    async def is_said() -> bool:
        return "WRONGPASS" in site.node.log()

    await eventually(is_said, what="a node says that its password is wrong")
    await site.ask("GET", "/health/ready")


async def test_none_of_a_thousand_secrets_is_in_anything_that_a_node_gives_away(
    nodes: list[NodeProcess], redis: RedisServer
) -> None:
    outputs = Outputs()
    sites = [Site(node, outputs) for node in nodes]

    await _tell_secrets(sites, outputs)
    for site in sites:
        await _look_as_an_operator(site)
    outputs.add(await redis.run("CLIENT", "LIST", **ADMIN), await redis.run("KEYS", "*", **ADMIN))
    await _let_redis_refuse(redis, sites[0])
    outputs.canaries.append(short := new_canary()[:20])
    for start in (
        {"JWT_SECRET": short, "AUTH": "jwt"},
        {"API_KEY": f"{outputs.new_canary()} with spaces"},
        {"REDIS_URL": redis.url.replace("//", f"//tannoy:{outputs.new_canary()}@")},
    ):
        ended = await run_tannoy_async("node", "--port", str(free_port()), LOG_LEVEL="DEBUG", **start)
        assert ended.returncode == 1
        outputs.add(ended.stdout, ended.stderr)
    for node in nodes:
        await node.stop()
        outputs.add(node.log())

    assert len(outputs.canaries) >= CANARIES
    assert outputs.found() == []
