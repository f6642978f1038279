"""Every integration test runs over each transport, against three real nodes and a real Valkey."""

import itertools
import shutil
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.cluster import PROJECT, Cluster, NodeProcess, Transport

_names = itertools.count(1)


@pytest.fixture(scope="session", params=list(Transport), ids=str)
async def cluster(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=3, transport=request.param) as running:
        yield running


@pytest.fixture
def nodes(cluster: Cluster) -> list[NodeProcess]:
    return cluster.nodes


@pytest.fixture
def name() -> str:
    """A name that no other test uses: tests share a cluster, never a room."""
    return f"test-{next(_names)}"


Connect = Callable[..., Awaitable[Client]]


@pytest.fixture
async def connect() -> AsyncGenerator[Connect]:
    """`await connect(node, path, **options)`: a client with its welcome; closed with the test."""
    clients: list[Client] = []

    async def open_client(node: NodeProcess, path: str, **options: object) -> Client:
        client = await node.connect(path, **options)
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        await client.close()


@pytest.fixture(scope="session")
def npm_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the JavaScript client, with its packages installed: one for each worker of pytest-xdist."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no `npm` on the PATH: the packages of tests/interop need it")
    folder = tmp_path_factory.mktemp("interop")
    shutil.copytree(PROJECT / "tests/interop", folder, dirs_exist_ok=True)
    subprocess.run([npm, "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=300)
    return folder
