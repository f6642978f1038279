"""The examples of docs/embedding.md run as its page says, against a real Redis."""

import asyncio
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
from tannoy.fanout.startup import skip_recovery

from tests.support import processes
from tests.support.client import Client
from tests.support.cluster import PROJECT, environment
from tests.support.ports import free_port
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, eventually

EXAMPLES = PROJECT / "docs/examples"


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        await skip_recovery(running.address, "tannoy", PATIENCE)
        yield running


@asynccontextmanager
async def serving(valkey: Valkey, *arguments: str) -> AsyncGenerator[httpx.AsyncClient]:
    """The example under uvicorn, until the end of the block; a client of its host."""
    port = free_port()
    with tempfile.TemporaryFile() as output:
        server = processes.start(
            [sys.executable, "-m", "uvicorn", *arguments, "--port", str(port)],
            cwd=str(EXAMPLES),
            env={**environment({"REDIS_URL": valkey.url}), "SECRET_KEY": "a secret of the application"},
            output=output,
            errors=output,
        )

        async def is_ready() -> bool:
            output.seek(0)
            assert server.poll() is None, output.read().decode()
            try:
                return (await http.get("/rt/health/ready")).status_code == 200
            except httpx.TransportError:
                return False

        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as http:
            try:
                await eventually(is_ready, what="the example is ready")
                yield http
            finally:
                server.send_signal(signal.SIGKILL)
                await asyncio.to_thread(server.wait, PATIENCE)


async def test_the_chat_admits_who_has_logged_in_and_its_hooks_decide(valkey: Valkey) -> None:
    async with serving(valkey, "fastapi_chat:app", "--ws", "tannoy.node.server:Protocol") as http:
        assert "/login" in (await http.get("/")).text
        assert (await http.post("/login", data={"name": "Bob"})).status_code == 303
        assert "You are Bob." in (await http.get("/")).text
        cookie = {"Cookie": f"session={http.cookies['session']}"}
        url = f"ws://{http.base_url.host}:{http.base_url.port}/rt/ws/chat"

        stranger = await Client.open(f"{url}/lobby")
        assert (await stranger.bye())[1] == 4501
        outsider = await Client.open(f"{url}/board", additional_headers=cookie)
        assert (await outsider.bye())[1] == 4503
        bob = await Client.open(f"{url}/lobby", additional_headers=cookie)
        assert (await bob.welcomed())["username"] == "Bob"
        assert await bob.contents(1) == [{"text": "Bob is here"}]
        await bob.ok("message", content={"text": "damn"})
        assert await bob.contents(1) == [{"text": "d***"}]
        assert (await bob.call("message", content="damn"))["code"] == "forbidden"
        await bob.close()


async def test_the_application_of_litestar_publishes(valkey: Valkey) -> None:
    async with serving(valkey, "litestar_embedded:app") as http:
        client = await Client.open(f"ws://{http.base_url.host}:{http.base_url.port}/rt/ws/chat/orders")
        await client.welcomed()

        assert (await http.post("/orders/7/paid")).status_code == 201

        assert await client.contents(1) == [{"order": 7, "state": "paid"}]
        await client.close()
