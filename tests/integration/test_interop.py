"""A client of another language and library: npm `ws` with msgpack."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.integration.conftest import Connect
from tests.support.cluster import NodeProcess
from tests.support.waiting import PATIENCE

CONTENT = {
    "text": "naïve – 日本語 – 👩‍👩‍👧 – \u0000\u2028\ufeff",
    "numbers": [0, -1, 1.5, 2**53],
    "": {"nested": [None, True]},
}


class JavaScriptClient:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def frame(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return cast(dict[str, Any], json.loads(await self._process.stdout.readline()))

    def send(self, **frame: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(frame).encode() + b"\n")

    async def close(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()


@pytest.fixture
async def from_npm(npm_packages: Path, nodes: list[NodeProcess], name: str) -> AsyncGenerator[JavaScriptClient]:
    process = await asyncio.create_subprocess_exec(
        *("node", "client.mjs", f"{nodes[1].ws_url}/ws/chat/{name}?user_id=js"),
        cwd=npm_packages,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    client = JavaScriptClient(process)
    assert (await client.frame())["type"] == "welcome"
    yield client
    assert await client.close() == 0


async def test_a_python_client_with_json_and_npm_ws_with_msgpack_exchange_messages(
    nodes: list[NodeProcess], connect: Connect, from_npm: JavaScriptClient, name: str
) -> None:
    python = await connect(nodes[0], f"/ws/chat/{name}?user_id=py", wire="json")

    joined = await from_npm.frame()
    assert (joined["type"], joined["user_id"], joined["users_count"]) == ("user_joined", "py", 2)

    await python.ok("message", content=CONTENT)
    received_by_js, received_by_python = await from_npm.frame(), await python.expect("message")
    assert received_by_js == received_by_python
    assert received_by_js["content"] == CONTENT

    from_npm.send(type="message", id="from js", content=CONTENT)
    frames = {frame["type"]: frame for frame in (await from_npm.frame(), await from_npm.frame())}
    assert frames["ok"]["id"] == "from js"
    assert frames["message"] == await python.expect("message")
    assert frames["message"]["user_id"] == "js"
    assert frames["message"]["content"] == CONTENT
