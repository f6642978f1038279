"""Clients that come at once, as those of a node that has died do."""

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.conftest import Connect
from tests.support.client import Client
from tests.support.cluster import NodeProcess

CLIENTS = 100
"""More than joins are at once."""


@pytest.mark.parametrize("path", ["/ws/chat/{name}-{number}?user_id=u", "/ws/agents/{name}-{number}?user_id=u"])
async def test_clients_that_come_at_once_are_welcomed_beside_a_session_that_is_served(
    nodes: list[NodeProcess], connect: Connect, name: str, path: str
) -> None:
    session = await connect(nodes[0], "/ws")

    async def come(number: int) -> str:
        try:
            client = await connect(nodes[0], path.format(name=name, number=number))
        except InvalidStatus as refused:
            return f"{refused.response.status_code}"
        return str(client.welcome["type"])

    coming = [asyncio.create_task(come(number)) for number in range(CLIENTS)]
    assert (await session.call("ping"))["type"] == "pong"
    assert set(await asyncio.gather(*coming)) == {"welcome"}


async def test_sessions_that_join_at_once_all_join(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    clients = [await connect(nodes[0], f"/ws?user_id=u{number}") for number in range(CLIENTS)]

    async def join(client: Client, number: int) -> str:
        return str((await client.ok("join", room=f"{name}-{number}"))["room"])

    rooms = await asyncio.gather(*(join(client, number) for number, client in enumerate(clients)))
    assert rooms == [f"{name}-{number}" for number in range(CLIENTS)]
