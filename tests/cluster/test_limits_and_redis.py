"""Limits while Redis is full, read-only, emptied, forgetful or away; and the limits of nodes and users."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.support.client import Client
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.node import HASTY, PRODUCT, Times
from tests.support.waiting import PATIENCE, eventually, value_becomes

FULL, LEASE_LOST = 1013, 4004
LIMIT = 2
UNUSED_PORT = "1"
_agents = itertools.count(1)


@pytest.fixture
def agent() -> str:
    return f"agent-{next(_agents)}"


@pytest.fixture
async def cluster() -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2, times=HASTY, AGENT_MAX_SESSIONS=str(LIMIT)) as running:
        yield running


@pytest.fixture
async def impatient() -> AsyncGenerator[Cluster]:
    """For tests in which Redis does not answer."""
    async with Cluster(nodes=2, times=PRODUCT, AGENT_MAX_SESSIONS=str(LIMIT)) as running:
        yield running


async def _refused(node: NodeProcess, path: str) -> dict[str, Any]:
    """The `bye` of a client that is turned away without a `welcome`."""
    client = await Client.open(node.ws_url + path)
    bye, code = await client.bye()
    assert (bye["code"], code) == (FULL, FULL)
    assert [frame["type"] for frame in client.inbox] == ["bye"]
    return bye


async def _shown(node: NodeProcess, agent: str) -> int:
    answer = await node.http.get(f"/api/v1/agents/{agent}")
    return len(answer.json()["sessions"]) if answer.status_code == 200 else -1


Attempt = Callable[[NodeProcess, str], Awaitable[bool]]


@pytest.fixture
async def is_admitted() -> AsyncGenerator[Attempt]:
    """Whether the agent gets another session on this node; if so it stays until the test ends."""
    clients: list[Client] = []

    async def attempt(node: NodeProcess, agent: str) -> bool:
        clients.append(await Client.open(f"{node.ws_url}/ws/agents/{agent}"))
        first = await clients[-1].find(lambda frame: frame["type"] in ("welcome", "bye"), "welcome or bye")
        return bool(first["type"] == "welcome")

    yield attempt
    for client in clients:
        await client.close()


async def _fill(cluster: Cluster, agent: str) -> list[Client]:
    return [await cluster.nodes[number % 2].connect(f"/ws/agents/{agent}") for number in range(LIMIT)]


async def test_scripts_that_redis_has_lost_are_loaded_again(cluster: Cluster, agent: str, is_admitted: Attempt) -> None:
    holders = await _fill(cluster, agent)
    await cluster.valkey.run("SCRIPT", "FLUSH", "SYNC")

    await _refused(cluster.nodes[0], f"/ws/agents/{agent}")
    await holders[0].close()
    await value_becomes(lambda: _shown(cluster.nodes[1], agent), LIMIT - 1)
    assert await is_admitted(cluster.nodes[1], agent)


async def test_redis_out_of_memory_refuses_sessions_and_keeps_those_that_are_open(cluster: Cluster, agent: str) -> None:
    holder = await cluster.nodes[0].connect(f"/ws/agents/{agent}")
    beats = await cluster.nodes[0].count("membership", "beats")
    await cluster.valkey.run("CONFIG", "SET", "maxmemory", "1")

    await _refused(cluster.nodes[1], f"/ws/agents/{agent}")

    async def beats_on() -> bool:
        return await cluster.nodes[0].count("membership", "beats") >= beats + 2

    await eventually(beats_on, what="heartbeats go on")
    await holder.call("ping")
    await holder.close()
    await value_becomes(lambda: _shown(cluster.nodes[0], agent), 0)
    await cluster.valkey.run("CONFIG", "SET", "maxmemory", "0")
    for client in await _fill(cluster, agent):
        await client.call("ping")
    await _refused(cluster.nodes[1], f"/ws/agents/{agent}")


async def test_a_read_only_redis_refuses_sessions_and_the_limit_holds_afterwards(
    cluster: Cluster, agent: str, is_admitted: Attempt
) -> None:
    holders = await _fill(cluster, agent)
    await cluster.valkey.run("REPLICAOF", "127.0.0.1", UNUSED_PORT)

    await _refused(cluster.nodes[0], f"/ws/agents/{agent}")
    for client in holders:  # no heartbeat gets through, so others might take over their leases
        assert (await client.bye())[1] == LEASE_LOST

    await cluster.valkey.run("REPLICAOF", "NO", "ONE")
    for node in cluster.nodes:
        await eventually(partial(is_admitted, node, agent), what="leases are granted again")
    await _refused(cluster.nodes[0], f"/ws/agents/{agent}")


async def test_an_emptied_redis_gets_all_leases_stated_before_it_grants_new_ones(cluster: Cluster, agent: str) -> None:
    holders = await _fill(cluster, agent)
    await cluster.valkey.run("FLUSHALL")

    await _refused(cluster.nodes[1], f"/ws/agents/{agent}")

    assert await _shown(cluster.nodes[0], agent) == LIMIT
    for client in holders:
        await client.call("ping")


async def test_a_redis_restarted_empty_gets_all_leases_stated_before_it_grants_new_ones(
    cluster: Cluster, agent: str
) -> None:
    holders = await _fill(cluster, agent)
    cluster.valkey.kill()
    await cluster.valkey.start()
    for node in cluster.nodes:
        await eventually(node.is_ready, what=f"{node.name} is ready again")

    await _refused(cluster.nodes[1], f"/ws/agents/{agent}")

    for client in holders:
        await client.call("ping")
    assert await _shown(cluster.nodes[0], agent) == LIMIT


NAMESAKE = "another node of this cluster has the same TANNOY_NODE_ID"


async def test_two_nodes_of_one_name_keep_the_limit_and_the_second_logs_an_error(agent: str) -> None:
    async with Cluster(nodes=2, times=HASTY, AGENT_MAX_SESSIONS=str(LIMIT)) as cluster:
        first, second = cluster.nodes
        await second.stop()
        second.rename(first.name)
        await second.start()

        await eventually(lambda: second.has_logged(NAMESAKE), what="the second node has noticed")
        await _fill(cluster, agent)
        await _refused(second, f"/ws/agents/{agent}")


async def test_a_node_that_replaces_a_killed_one_does_not_take_it_for_another_of_its_name() -> None:
    async with Cluster(nodes=1, times=HASTY, LOG_LEVEL="DEBUG") as cluster:
        node, looked = cluster.nodes[0], "no other node has the name of this node"
        await node.kill()
        before = node.log().count(looked)
        await node.start()

        await eventually(lambda: node.has_logged(looked, before + 1), what="it has looked")
        assert NAMESAKE not in node.log()


async def test_in_available_mode_sockets_stay_and_the_surplus_closes_afterwards(agent: str) -> None:
    times = Times(leases=HASTY.leases)
    async with Cluster(nodes=2, times=times, AGENT_MAX_SESSIONS=str(LIMIT), LIMIT_MODE="available") as cluster:
        holders = await _fill(cluster, agent)
        for node in cluster.nodes:
            await value_becomes(partial(node.count, "membership", "nodes_alive"), 2)
        cluster.valkey.kill()

        async def lost_it() -> bool:
            return not any([await node.count("counted", "connected") for node in cluster.nodes])

        await eventually(lost_it, what="both nodes know that Redis is away")
        newcomers = [await node.connect(f"/ws/agents/{agent}") for node in cluster.nodes]
        for node in cluster.nodes:  # one each: more than their share of the limit is not let in
            await _refused(node, f"/ws/agents/{agent}")
        await cluster.valkey.start()

        for client in newcomers:
            bye, code = await client.bye()
            assert (bye["code"], code) == (FULL, FULL)
        for client in holders:
            await client.call("ping")
        await value_becomes(lambda: _shown(cluster.nodes[0], agent), LIMIT)


@pytest.mark.parametrize("transport", list(Transport), ids=str)
async def test_a_full_node_refuses_the_handshake(transport: Transport) -> None:
    async with Cluster(nodes=1, transport=transport, NODE_MAX_SESSIONS="2") as cluster:
        (node,) = cluster.nodes
        first, other = await node.connect("/ws"), await node.connect("/ws/chat/lobby")

        with pytest.raises(InvalidStatus) as refused:
            await Client.open(f"{node.ws_url}/ws")

        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["Retry-After"]) >= 1
        ready = await node.http.get("/health/ready")
        assert (ready.status_code, ready.json()["reason"]) == (503, "this node has as many sessions as it may have")
        await other.ok("message", content="still here")
        assert await other.contents(1) == ["still here"]
        await first.close()

        async def takes_one() -> bool:
            try:
                await node.connect("/ws")
            except InvalidStatus:
                return False
            return True

        await eventually(node.is_ready, what="the node is ready, since it has a place again")
        await eventually(takes_one, what="the node admits another connection")


@pytest.mark.parametrize("transport", [Transport.FAST, Transport.PORTABLE], ids=str)
async def test_the_limit_of_a_user_counts_sessions_in_rooms_and_agents_together(transport: Transport) -> None:
    async with Cluster(nodes=2, transport=transport, USER_MAX_SESSIONS="2") as cluster:
        one, other = cluster.nodes
        in_room = await one.connect("/ws/chat/lobby?user_id=ada")
        await other.connect("/ws/agents/42?user_id=ada&session_id=tab")

        await _refused(one, "/ws?user_id=ada")
        await other.connect("/ws/chat/lobby?user_id=bob")
        await one.connect("/ws/agents/42?user_id=ada&session_id=tab")  # replaces itself, so it does not count twice
        await in_room.close()

        async def has_one() -> int:
            return len((await one.http.get("/api/v1/users/ada")).json()["sessions"])

        await value_becomes(has_one, 1)
        await other.connect("/ws?user_id=ada")
        shown = (await one.http.get("/api/v1/users/ada")).json()
        assert (shown["max_sessions"], shown["policy"], len(shown["sessions"])) == (2, "reject", 2)
        assert {gone["rule"] for gone in shown["disconnects"]} == {"user_max_sessions", "same_session"}


async def test_a_session_that_redis_does_not_count_in_time_is_refused(
    impatient: Cluster, agent: str, is_admitted: Attempt
) -> None:
    impatient.valkey.freeze()
    async with asyncio.timeout(PATIENCE):
        bye = await _refused(impatient.nodes[0], f"/ws/agents/{agent}")
    assert bye["retry_after"] > 0
    impatient.valkey.thaw()
    await eventually(lambda: is_admitted(impatient.nodes[0], agent), what="a session is admitted again")


async def test_a_read_of_the_api_is_unavailable_while_redis_does_not_answer(impatient: Cluster, agent: str) -> None:
    impatient.valkey.freeze()
    answer: httpx.Response = await impatient.nodes[0].http.get(f"/api/v1/agents/{agent}")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    impatient.valkey.thaw()
