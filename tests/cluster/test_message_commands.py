"""`tannoy publish`, `send` and `watch` against a running cluster."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator

import pytest

from tests.support.cluster import Cluster, environment
from tests.support.command_line import run_tannoy_async
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2) as running:
        yield running


async def test_publish_and_send_reach_their_sessions(cluster: Cluster) -> None:
    url = ("--url", cluster.nodes[0].url)
    in_room = await cluster.nodes[1].connect("/ws/chat/lobby?user_id=ada")
    of_agent = await cluster.nodes[1].connect("/ws/agents/42?session_id=laptop")

    published = await run_tannoy_async("publish", "room:lobby", '{"hi":1}', "--username", "kitchen", *url)
    assert (published.returncode, json.loads(published.stdout)["offset"]) == (0, 1)
    received = await in_room.expect("message")
    assert (received["content"], received["username"]) == ({"hi": 1}, "kitchen")

    for target in ("agent:42", "agent:42/laptop"):
        assert (await run_tannoy_async("send", target, "plain text", *url)).returncode == 0
        assert await of_agent.contents(1) == ["plain text"]

    sent = await run_tannoy_async("send", "user:ada", "42", "--text", *url)
    assert sent.stdout == "delivered to 1 session\n"
    assert (await in_room.expect("private"))["content"] == "42"
    await in_room.close()
    await of_agent.close()


async def test_send_to_a_user_without_sessions_prints_zero_and_exits_with_1(cluster: Cluster) -> None:
    sent = await run_tannoy_async("send", "user:unknown", "x", "--url", cluster.nodes[0].url)

    assert (sent.returncode, sent.stdout) == (1, "delivered to 0 sessions\n")


async def test_watch_prints_messages_until_it_is_interrupted(cluster: Cluster) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tannoy", "watch", "room:watched", "--json", "--url", cluster.nodes[0].url),
        env=environment({}) | {"PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert json.loads(await process.stdout.readline())["type"] == "welcome"
        await cluster.nodes[1].http.post("/api/v1/rooms/watched/messages", json={"content": "[b]ü[/b]"})
        assert json.loads(await process.stdout.readline())["content"] == "[b]ü[/b]"
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_watch_prints_messages_with_their_control_characters_replaced(cluster: Cluster) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tannoy", "watch", "room:escaped", "--url", cluster.nodes[0].url),
        env=environment({}) | {"PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        assert b"watching room:escaped" in await process.stderr.readline()
        content = "\x1b]0;pwned\x07\x1b[31mred\u202e é"
        await cluster.nodes[1].http.post("/api/v1/rooms/escaped/messages", json={"content": content})
        line = await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        await process.wait()
    assert line.decode().endswith(" \ufffd]0;pwned\ufffd\ufffd[31mred\ufffd é\n")


async def test_content_may_come_from_standard_input(cluster: Cluster) -> None:
    in_room = await cluster.nodes[0].connect("/ws/chat/piped")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tannoy", "publish", "room:piped", "-", "--url", cluster.nodes[0].url),
        env=environment({}),
        stdin=asyncio.subprocess.PIPE,
    )
    await process.communicate(b'{"big": "' + b"x" * 50_000 + b'"}')
    assert process.returncode == 0
    assert await in_room.contents(1) == [{"big": "x" * 50_000}]
    await in_room.close()
