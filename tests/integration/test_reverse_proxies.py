"""Nodes behind a real nginx or HAProxy: what passes, what is refused, and what the refusal says."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager

import httpx
import pytest

from tests.support.client import Client
from tests.support.cluster import NodeProcess
from tests.support.raw_socket import RawSocket
from tests.support.reverse_proxies import NGINX_NAMES_CLIENTS, NGINX_PASSES_UPGRADES, haproxy, nginx


def _start(server: str, ports: Sequence[int]) -> AbstractAsyncContextManager[int]:
    return haproxy(ports) if server == "haproxy" else nginx(ports, *NGINX_PASSES_UPGRADES, *NGINX_NAMES_CLIENTS)


@pytest.fixture(params=["nginx", "haproxy"])
async def proxy(request: pytest.FixtureRequest, nodes: list[NodeProcess]) -> AsyncGenerator[int]:
    """The port of a proxy in front of all nodes."""
    async with _start(request.param, [node.port for node in nodes]) as port:
        yield port


async def test_sessions_through_a_proxy_exchange_messages(proxy: int, nodes: list[NodeProcess], name: str) -> None:
    url = f"ws://127.0.0.1:{proxy}{nodes[0].prefix}/ws/chat/{name}"
    ada, bob = await Client.open(f"{url}?user_id=ada"), await Client.open(f"{url}?user_id=bob")
    try:
        await ada.welcomed()
        await bob.welcomed()
        await ada.ok("message", content="x" * 10_000)

        assert (await bob.expect("message"))["content"] == "x" * 10_000
    finally:
        ada.vanish()
        bob.vanish()


@pytest.mark.parametrize("path", ["/api/v1/nodes", "/diagnostics"])
async def test_without_a_key_the_api_is_closed_to_clients_of_a_proxy_on_this_machine(
    proxy: int, nodes: list[NodeProcess], path: str
) -> None:
    path = nodes[0].prefix + path
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://127.0.0.1:{proxy}{path}", headers={"Host": "localhost"})

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "no proxies" in answer.text


async def test_a_handshake_whose_upgrade_the_proxy_left_out_is_answered_with_426(nodes: list[NodeProcess]) -> None:
    async with nginx([nodes[0].port], *NGINX_NAMES_CLIENTS) as port, RawSocket.to(port) as socket:
        assert await socket.handshake(f"{nodes[0].prefix}/ws") == 426
