"""A node in the application of a user, on both carriers, mounted at `/` and at `/rt`, below each framework.

The other integration tests run over two of these, of `tests/support/cluster.py`; the rest is toured here.
"""

from collections.abc import AsyncGenerator

import httpx
import pytest
import websockets

from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.feature_tour import use_all_features
from tests.support.hosts import Framework, Host
from tests.support.waiting import eventually

TOURED = [
    Host(Framework.LITESTAR, "/rt", is_fast=True),
    Host(Framework.LITESTAR, "/", is_fast=False),
    Host(Framework.STARLETTE, "/rt", is_fast=False),
    Host(Framework.FASTAPI, "/", is_fast=True),
]
OWN = "of the host"


@pytest.mark.parametrize("host", TOURED, ids=str)
async def test_all_features_work_and_the_host_s_own_routes_too(host: Host) -> None:
    async with Cluster(nodes=2, transport=host) as cluster:
        carrier = "carrier=fast" if host.is_fast else "carrier=portable"
        assert carrier in cluster.nodes[0].log()
        await use_all_features(cluster.nodes)
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"http://127.0.0.1:{cluster.nodes[0].port}/own")).text == OWN


@pytest.fixture(scope="module", params=[Transport.EMBEDDED, Transport.EMBEDDED_PORTABLE], ids=str)
async def node(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    async with Cluster(nodes=1, transport=request.param) as running:
        yield running.nodes[0]


async def test_a_websocket_of_the_host_is_served_beside_those_of_the_node(node: NodeProcess) -> None:
    async with websockets.connect(f"ws://127.0.0.1:{node.port}/own-socket") as socket:
        assert await socket.recv() == OWN
        await socket.send("back")
        assert await socket.recv() == "back"
        await socket.wait_closed()
        assert socket.close_code == 1000


async def test_the_application_publishes_with_the_names_of_the_publisher(node: NodeProcess) -> None:
    client = await node.connect("/ws/chat/lobby?user_id=ada")
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"http://127.0.0.1:{node.port}/own/say/lobby")

    assert answer.json() == {"offset": 1}
    assert (await client.expect("message"))["content"] == OWN
    await client.close()


async def test_a_handshake_that_is_answered_is_no_error_in_the_log_of_the_server(node: NodeProcess) -> None:
    await (await node.connect("/ws")).close()

    assert "without completing handshake" not in node.log()


@pytest.mark.parametrize("transport", [Transport.EMBEDDED, Transport.EMBEDDED_PORTABLE], ids=str)
async def test_a_node_that_an_operator_lets_leave_ends_its_readiness_and_not_the_process(transport: Transport) -> None:
    async with Cluster(nodes=1, transport=transport) as cluster:
        (node,) = cluster.nodes
        client = await node.connect("/ws/chat/lobby")

        await node.http.post("/api/v1/nodes/n1/drain")

        assert (await client.bye())[1] == 4001
        answer = await node.http.get("/health/ready")
        assert (answer.status_code, answer.json()["reason"]) == (503, "the node is draining")
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"http://127.0.0.1:{node.port}/own")).text == OWN


@pytest.mark.parametrize("transport", [Transport.EMBEDDED, Transport.EMBEDDED_PORTABLE], ids=str)
async def test_a_part_that_fails_ends_the_readiness_and_the_sessions_and_not_the_process(transport: Transport) -> None:
    async with Cluster(nodes=1, transport=transport) as cluster:
        (node,) = cluster.nodes
        client = await node.connect("/ws/chat/lobby")
        async with httpx.AsyncClient() as http:
            await http.post(f"http://127.0.0.1:{node.port}/own/break")

            assert (await client.bye())[1] == 4001
            answer = await node.http.get("/health/ready")
            assert (answer.status_code, answer.json()["reason"]) == (503, "the node has failed")
            assert (await http.get(f"http://127.0.0.1:{node.port}/own")).text == OWN
        assert await node.has_logged("a task of the node has failed")


@pytest.mark.parametrize("transport", [Transport.EMBEDDED, Transport.EMBEDDED_PORTABLE], ids=str)
async def test_a_process_that_is_stopped_tells_its_sessions_to_come_back(transport: Transport) -> None:
    async with Cluster(nodes=1, transport=transport) as cluster:
        (node,) = cluster.nodes
        client = await node.connect("/ws/chat/lobby")

        await node.stop()

        assert (await client.bye())[1] == 4001


async def test_a_socket_that_is_gone_leaves_nothing(node: NodeProcess) -> None:
    before = await node.count("connections", "open")
    client = await node.connect("/ws")
    client.vanish()

    async def is_gone() -> bool:
        return await node.count("connections", "open") == before

    await eventually(is_gone, what="the connection is gone")
