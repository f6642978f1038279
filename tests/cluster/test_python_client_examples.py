"""The examples of docs/python-client.md, run as the page says."""

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.cluster import Cluster, NodeProcess, environment
from tests.support.waiting import PATIENCE

EXAMPLES = Path(__file__).parent.parent.parent / "docs/examples"


@pytest.fixture(scope="module")
async def node(anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    async with Cluster(nodes=1) as cluster:
        yield cluster.nodes[0]


async def start(example: str, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / example),
        *words,
        env=environment({}),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


async def test_the_agent_that_listens_answers_what_others_say(node: NodeProcess) -> None:
    agent = await start("listening_agent.py", node.ws_url, "lobby")
    try:
        assert agent.stdout is not None
        async with asyncio.timeout(PATIENCE):
            assert await agent.stdout.readline() == b"listening in lobby\n"
        client = await node.connect("/ws/chat/lobby?user_id=ada")
        await client.ok("message", content={"text": "hi"})
        answer = await client.find(
            lambda frame: frame["type"] == "message" and frame["user_id"] == "echo-agent", "an answer"
        )
        assert answer["content"] == {"answer": {"text": "hi"}}
    finally:
        processes.signal_group(agent.pid, signal.SIGKILL)
        await agent.wait()


async def test_the_script_announces(node: NodeProcess) -> None:
    client = await node.connect("/ws/chat/canteen?user_id=ada")
    script = await start("announce.py", node.ws_url, "canteen", "Lunch")
    async with asyncio.timeout(PATIENCE):
        out, _ = await script.communicate()
    assert script.returncode == 0
    assert out.splitlines()[1:] == [b"2 users are in canteen"]
    assert (await client.expect("message"))["content"] == {"text": "Lunch"}
