"""The examples of docs/sdk.md run as their pages say, against a real cluster."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.support.cluster import PROJECT, Cluster, environment
from tests.support.node import STEADY
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE, eventually

EXAMPLES = PROJECT / "docs/examples"


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=1, times=STEADY) as running:
        yield running


async def start(cluster: Cluster, arguments: Sequence[str]) -> asyncio.subprocess.Process:
    settings = environment({"REDIS_URL": cluster.valkey.url})
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=EXAMPLES, env=settings, stdout=PIPE, stderr=PIPE
    )


async def run(cluster: Cluster, example: str) -> str:
    """What it prints. It has to end well."""
    process = await start(cluster, [example])
    output, errors = await process.communicate()
    assert (errors.decode(), process.returncode) == ("", 0)
    return output.decode()


@asynccontextmanager
async def serving(cluster: Cluster, *arguments: str, port: int) -> AsyncGenerator[httpx.AsyncClient]:
    """The example as a server, which is ended with the block."""
    server = await start(cluster, arguments)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as http:

        async def answers() -> bool:
            if server.returncode is not None:
                raise AssertionError((await server.communicate())[1].decode())
            try:
                return (await http.get("/")).status_code == 404
            except httpx.TransportError:
                return False

        try:
            await eventually(answers, what=f"{arguments} answers")
            yield http
        finally:
            if server.returncode is None:
                server.kill()
            await server.communicate()


async def test_three_lines_publish_from_a_script(cluster: Cluster) -> None:
    listener = await cluster.nodes[0].connect("/ws/chat/lobby")

    printed = await run(cluster, "script.py")

    assert (await listener.expect("message"))["content"] == {"hi": 1}
    assert printed.startswith("Position(epoch=")


async def test_forked_workers_publish_what_they_do(cluster: Cluster) -> None:
    listener = await cluster.nodes[0].connect("/ws/chat/jobs")

    assert await run(cluster, "worker.py") == f"{sum(n * n for n in range(10))}\n"

    heard = await listener.contents(20)
    assert sorted(each["job"] for each in heard if each["status"] == "done") == list(range(10))


async def test_a_route_of_fastapi_publishes_once_for_each_order(cluster: Cluster) -> None:
    port = free_port()
    listener = await cluster.nodes[0].connect("/ws/chat/order-7?user_id=ada")
    async with serving(cluster, "-m", "uvicorn", "fastapi_publish:app", "--port", str(port), port=port) as http:
        answers = [(await http.post("/orders/7/shipped")).json() for _ in range(2)]
    assert answers == [{"offset": 1}] * 2
    assert [frame["content"] for frame in await listener.received_since()] == [{"status": "shipped"}]


async def test_a_view_of_django_publishes_once_for_each_order(cluster: Cluster) -> None:
    port = free_port()
    listener = await cluster.nodes[0].connect("/ws/chat/order-8?user_id=ada")
    async with serving(cluster, "django_publish.py", "runserver", "--noreload", str(port), port=port) as http:
        answers = [(await http.get("/orders/8/shipped")).json() for _ in range(2)]
    assert answers == [{"offset": 1}] * 2
    assert [frame["content"] for frame in await listener.received_since()] == [{"status": "shipped"}]
