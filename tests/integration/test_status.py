"""Clients are told when their node is without Redis, and when it has Redis again, in both formats and on every path."""

from collections.abc import AsyncGenerator

import pytest

from tests.support.client import Client
from tests.support.cluster import Cluster, Transport
from tests.support.node import PRODUCT

PATHS = ("/ws", "/ws/chat/lobby", "/ws/agents/42")


@pytest.fixture(params=list(Transport), ids=str)
async def cluster(request: pytest.FixtureRequest) -> AsyncGenerator[Cluster]:
    """In the mode `available` the sessions of agents stay while Redis is away."""
    async with Cluster(nodes=1, transport=request.param, times=PRODUCT, LIMIT_MODE="available") as running:
        yield running


async def states(clients: list[Client]) -> list[str]:
    return [(await client.expect("status"))["bus"] for client in clients]


async def test_sessions_are_told_that_the_bus_is_down_and_up_again(cluster: Cluster) -> None:
    (node,) = cluster.nodes
    clients = [await node.connect(path, wire=wire) for path in PATHS for wire in ("json", "msgpack")]

    cluster.valkey.freeze()
    assert await states(clients) == ["down"] * len(clients)
    assert (await clients[2].call("message", content=1))["code"] == "unavailable"
    newcomers = [await node.connect("/ws", wire=wire) for wire in ("json", "msgpack")]
    assert await states(newcomers) == ["down"] * len(newcomers)

    cluster.valkey.thaw()
    everybody = [*clients, *newcomers]
    assert await states(everybody) == ["up"] * len(everybody)
    assert (await node.http.get("/health/ready")).status_code == 200
    assert [frame["type"] for client in newcomers for frame in client.inbox] == []
