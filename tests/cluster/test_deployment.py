"""`deploy/` as it is: its HAProxy and its Valkey in front of and below two nodes; and what every container may do."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import httpx
import pytest

from tests.support.client import Client
from tests.support.cluster import PROJECT, NodeProcess
from tests.support.feature_tour import use_all_features
from tests.support.node import HASTY
from tests.support.raw_http import RawHttp
from tests.support.raw_socket import RawSocket
from tests.support.redis_servers import RedisServer, binary_of, two_nodes
from tests.support.reverse_proxies import deployed_haproxy, deployed_nginx

COMPOSE = (PROJECT / "deploy" / "compose.yaml").read_text()
DOCKERFILE = (PROJECT / "deploy" / "Dockerfile").read_text()
SECRETS = ("TANNOY_API_KEY", "TANNOY_CLUSTER_SECRET", "VALKEY_PASSWORD")
KEY = {"Authorization": "Bearer key"}
PASSWORD = "of-this-test"


def service(name: str) -> str:
    """The lines of a service in compose.yaml."""
    found = re.search(rf"^  {name}:\n((?:    .*\n)+)", COMPOSE, re.MULTILINE)
    assert found is not None
    return found.group(1)


def valkey_configuration() -> list[str]:
    """The file that compose.yaml gives to Valkey."""
    _, _, lines = COMPOSE.partition("    content: |\n")
    return re.sub(r"\$\{VALKEY_PASSWORD:\?[^}]*\}", PASSWORD, lines).strip().splitlines()


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[RedisServer]:
    lines = [line.strip() for line in valkey_configuration()]
    async with RedisServer(binary_of("valkey"), *lines) as running:
        yield running


class Deployment:
    """Two nodes behind the public and the private port of a balancer."""

    def __init__(self, public: int, private: int, nodes: list[NodeProcess]) -> None:
        self.public, self.private, self.nodes = public, private, nodes

    async def status(self, port: int, path: str) -> int:
        async with httpx.AsyncClient() as http:
            return (await http.get(f"http://127.0.0.1:{port}{path}", headers=KEY)).status_code


@pytest.fixture(scope="module")
async def deployment(anyio_backend: str, valkey: RedisServer) -> AsyncGenerator[Deployment]:
    url = valkey.url.replace("//", f"//tannoy:{PASSWORD}@")
    async with AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(two_nodes(url, API_KEY="key", CLUSTER_SECRET="secret"))
        public, private = await stack.enter_async_context(deployed_haproxy([node.port for node in nodes]))
        yield Deployment(public, private, nodes)


# ---- the balancers


async def test_nginx_passes_on_websockets_alone_through_its_public_port(deployment: Deployment) -> None:
    async with deployed_nginx([node.port for node in deployment.nodes]) as (public, private):
        client = await Client.open(f"ws://127.0.0.1:{public}/ws/chat/behind-nginx?user_id=ada")
        await client.welcomed()
        for path in ("/api/v1/nodes", "/metrics", "/diagnostics", "/ws/../api/v1/nodes", "/%61pi/v1/nodes"):
            assert await deployment.status(public, path) == 404
        assert await deployment.status(private, "/api/v1/nodes") == 200
        await client.close()


async def test_sessions_through_the_public_port_exchange_messages(deployment: Deployment) -> None:
    url = f"ws://127.0.0.1:{deployment.public}/ws/chat/lobby"
    ada, bob = await Client.open(f"{url}?user_id=ada"), await Client.open(f"{url}?user_id=bob")
    try:
        await ada.welcomed()
        await bob.welcomed()
        await ada.ok("message", content="through the balancer")
        assert (await bob.expect("message"))["content"] == "through the balancer"
    finally:
        ada.vanish()
        bob.vanish()


async def test_the_public_port_takes_each_path_of_a_websocket(deployment: Deployment) -> None:
    for path in ("/ws", "/ws/chat/lobby", "/ws/agents/42?session_id=s1"):
        async with RawSocket.to(deployment.public) as socket:
            assert await socket.handshake(path) == 101


PRIVATE = ["/api/v1/nodes", "/diagnostics", "/health/live", "/health/ready", "/api/v1/openapi.json", "/"]


@pytest.mark.parametrize("path", PRIVATE)
async def test_the_private_port_serves_what_the_public_one_does_not(path: str, deployment: Deployment) -> None:
    assert await deployment.status(deployment.public, path) == 404
    direct = (await deployment.nodes[0].http.get(path, headers=KEY)).status_code
    assert await deployment.status(deployment.private, path) == direct


HIDDEN = [
    "/%61pi/v1/nodes",
    "//api/v1/nodes",
    "/API/v1/nodes",
    "/ws/../api/v1/nodes",
    "/ws/..%2fapi/v1/nodes",
    "/./api/v1/nodes",
    "/api/v1/nodes?/ws/",
    "/api/v1/nodes#/ws/",
    "/wsx",
    "/metrics",
    "http://127.0.0.1/api/v1/nodes",
    "http://127.0.0.1/ws/../api/v1/nodes",
]


@pytest.mark.parametrize("target", HIDDEN)
async def test_no_spelling_of_a_path_gets_at_the_api_through_the_public_port(
    target: str, deployment: Deployment
) -> None:
    async with RawHttp.to(deployment.public) as http:
        head = f"GET {target} HTTP/1.1\nHost: 127.0.0.1\nAuthorization: Bearer key\nConnection: close"
        assert (await http.request(head)).status in (400, 404, 426)


# ---- Valkey


async def test_a_client_of_valkey_without_a_password_may_ping_and_nothing_else(valkey: RedisServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", valkey.port)
    answers: list[bytes] = []
    for command in ("PING", "PUBLISH tannoy:x y", "GET tannoy:x", "INFO", "CONFIG GET maxmemory"):
        writer.write(f"{command}\r\n".encode())
        answers.append((await reader.readline()).split()[0])
    writer.close()
    assert answers == [b"+PONG", *[b"-NOPERM"] * 4]


def test_compose_the_acl_file_and_the_documentation_have_the_same_rights() -> None:
    def rights_in(file: str) -> list[str]:
        return re.findall(r"user tannoy on \S*(?: a password\})? (~tannoy.*)", (PROJECT / file).read_text())

    (documented,) = rights_in("docs/redis.md")
    assert rights_in("deploy/compose.yaml") == rights_in("deploy/tannoy.acl") == [documented]


async def test_nodes_need_no_more_rights_than_the_user_of_valkey_has() -> None:
    lines = [line.strip() for line in valkey_configuration()]
    async with RedisServer(binary_of("valkey"), *lines, "user admin on >admin ~* &* +@all") as valkey:
        url = valkey.url.replace("//", f"//tannoy:{PASSWORD}@")
        async with two_nodes(url, times=HASTY, CLUSTER_SECRET="secret", PRESENCE_GRACE="0") as nodes:
            await use_all_features(nodes)
            assert "warning" not in (await nodes[0].http.get("/health/ready")).text
        assert await valkey.run("ACL", "LOG", username="admin", password="admin") == []
        policy = await valkey.run("CONFIG", "GET", "maxmemory*", username="admin", password="admin")
        assert policy[b"maxmemory-policy"] == b"noeviction"
        assert int(policy[b"maxmemory"]) > 0


# ---- the containers


@pytest.mark.parametrize("name", ["balancer", "node", "valkey"])
def test_no_container_may_write_gain_rights_or_take_memory_without_bound(name: str) -> None:
    hardened, _, _ = COMPOSE.partition("services:")
    for line in ("read_only: true", "cap_drop: [ALL]", 'security_opt: ["no-new-privileges:true"]'):
        assert line in hardened
    assert "<<: *hardened" in service(name)
    assert re.search(r"limits: \{ memory: \d+g, pids: \d+ \}", service(name))


def test_the_logs_of_each_container_are_bounded() -> None:
    hardened, _, _ = COMPOSE.partition("services:")
    assert re.search(r"logging: \{ driver: local, options: \{ max-size: \d+m, max-file: \"\d+\" \} \}", hardened)


@pytest.mark.parametrize("secret", SECRETS)
def test_nothing_starts_without_a_secret_and_none_has_a_value(secret: str) -> None:
    uses = re.findall(rf"\$\{{{secret}([^}}]*)\}}", COMPOSE)
    assert uses
    assert all(use.startswith(":?") for use in uses)


def test_valkey_is_on_a_network_of_its_own_with_the_nodes() -> None:
    assert "networks: [bus]" in service("valkey")
    assert "networks: [web]" in service("balancer")
    assert "  bus: { internal: true }" in COMPOSE
    assert [line for line in service("valkey").splitlines() if "ports:" in line] == []


def test_the_image_of_a_node_has_the_tested_versions_by_their_hashes_and_no_root() -> None:
    installs = re.findall(r"pip install (.*?)(?: \\)?$", DOCKERFILE, re.MULTILINE)
    assert [("--require-hashes" in each, "--no-deps --no-build-isolation" in each) for each in installs] == [
        (True, False),
        (False, True),
    ]
    assert "USER tannoy" in DOCKERFILE
