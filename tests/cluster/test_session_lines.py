"""What the log of a node says of its address and of each client that is refused, has no place, or ends."""

from collections.abc import AsyncGenerator

import pytest

from tests.support.client import Client
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.waiting import eventually


@pytest.fixture(scope="module", params=[Transport.FAST, Transport.PORTABLE], ids=str)
async def node(anyio_backend: str, request: pytest.FixtureRequest) -> AsyncGenerator[NodeProcess]:
    async with Cluster(nodes=1, transport=request.param, AGENT_MAX_SESSIONS="1", LOG_FORMAT="json") as cluster:
        yield cluster.nodes[0]


async def assert_logged(node: NodeProcess, *parts: str) -> None:
    async def is_logged() -> bool:
        return any(all(part in line for part in parts) for line in node.log().splitlines())

    await eventually(is_logged, what=f"a line with {parts}")


async def test_a_node_says_where_it_listens(anyio_backend: str) -> None:
    async with Cluster(nodes=1, LOG_FORMAT="json") as cluster:
        node = cluster.nodes[0]
        await assert_logged(node, '"event": "listening"', '"address": "127.0.0.1"', f'"port": {node.port}')


async def test_a_session_that_its_client_closes_is_logged(node: NodeProcess) -> None:
    client = await node.connect("/ws?user_id=ada")
    await client.close()
    await assert_logged(node, '"a session has ended"', '"ada"', '"127.0.0.1"', '"code": 1000', "closed by the client")


async def test_a_connection_that_is_lost_is_logged(node: NodeProcess) -> None:
    client = await node.connect("/ws?user_id=bob")
    client.vanish()
    await assert_logged(node, '"a session has ended"', '"bob"', '"127.0.0.1"', '"code": null')


async def test_a_session_that_an_operator_closes_is_logged(node: NodeProcess) -> None:
    await node.connect("/ws?user_id=cyd")
    await node.http.delete("/api/v1/users/cyd/sessions")
    await assert_logged(node, '"closed a session"', '"cyd"', '"127.0.0.1"', '"code": 4504')


async def test_a_session_without_a_place_is_logged(node: NodeProcess) -> None:
    await node.connect("/ws/agents/42?session_id=first")
    second = await Client.open(node.ws_url + "/ws/agents/42?session_id=second")
    await second.bye()
    await second.close()
    await assert_logged(node, '"refused a session"', '"second"', '"127.0.0.1"', '"code": 1013', '"agent:42"')


async def test_a_refused_handshake_is_logged(node: NodeProcess) -> None:
    client = await Client.open(node.ws_url + "/ws?user_id=not%20a%20name")
    await client.bye()
    await client.close()
    await assert_logged(node, '"refused a client"', '"127.0.0.1"', '"code": 4503', '"reason": "name"')
