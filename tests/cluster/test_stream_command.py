"""`tannoy stream` against a running cluster: standard input as a stream."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator

import pytest

from tests.support.client import Client
from tests.support.cluster import Cluster, environment
from tests.support.command_line import is_one_sentence
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2) as running:
        yield running


async def start(target: str, url: str, *options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tannoy", "stream", target, "--url", url, *options),
        env=environment({}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def finish(process: asyncio.subprocess.Process, rest: bytes = b"") -> tuple[int | None, str, str]:
    async with asyncio.timeout(PATIENCE):
        output, errors = await process.communicate(rest)
    return process.returncode, output.decode(), errors.decode()


async def write(process: asyncio.subprocess.Process, data: bytes, client: Client) -> str:
    """Write to the input of the command; what the client hears of it."""
    assert process.stdin is not None
    process.stdin.write(data)
    await process.stdin.drain()
    text: str = (await client.expect("delta"))["text"]
    return text


async def test_the_input_is_heard_as_it_comes_and_is_a_message_at_its_end(cluster: Cluster) -> None:
    client = await cluster.nodes[1].connect("/ws/chat/builds?user_id=ada")
    process = await start("room:builds", cluster.nodes[0].url, "--username", "ci")
    assert (await client.expect("stream"))["username"] == "ci"
    assert await write(process, "one é".encode()[:-1], client) == "one "
    assert await write(process, "é".encode()[1:] + b" two", client) == "é two"
    code, output, errors = await finish(process)
    assert (code, errors) == (0, "")
    ended = await client.expect("stream_end")
    told = json.loads(output)
    assert (told["stream_id"], told["status"], told["to"], told["offset"]) == (ended["stream_id"], "done", 10, 1)


async def test_a_long_input_is_sent_in_parts(cluster: Cluster) -> None:
    process = await start("agent:long", cluster.nodes[0].url)
    _, output, _ = await finish(process, "漢".encode() * 50_000)
    assert json.loads(output)["to"] == 150_000


async def test_whoever_stops_the_stream_ends_the_command(cluster: Cluster) -> None:
    client = await cluster.nodes[1].connect("/ws/agents/stopped")
    process = await start("agent:stopped", cluster.nodes[0].url)
    stream_id = (await client.expect("stream"))["stream_id"]
    await write(process, b"on and on", client)
    await client.ok("stop", stream_id=stream_id)
    assert process.stdin is not None
    process.stdin.write(b"!")
    code, output, errors = await finish(process)
    assert (code, json.loads(output)["status"], "asked to stop" in errors) == (0, "stopped", True)


async def test_ctrl_c_ends_the_stream_as_stopped(cluster: Cluster) -> None:
    client = await cluster.nodes[1].connect("/ws/agents/interrupted")
    process = await start("agent:interrupted", cluster.nodes[0].url)
    await client.expect("stream")
    await write(process, b"begun", client)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(PATIENCE):
        await process.wait()
    assert (await client.expect("stream_end"))["status"] == "stopped"


async def test_without_a_cluster_the_command_ends_with_a_sentence() -> None:
    process = await start("agent:42", f"http://127.0.0.1:{free_port()}")
    code, _, errors = await finish(process, b"x")
    assert (code, is_one_sentence(errors)) == (1, True)


async def test_a_target_that_has_no_streams_is_refused() -> None:
    process = await start("user:ada", "http://127.0.0.1:1")
    code, _, errors = await finish(process, b"x")
    assert (code, is_one_sentence(errors)) == (1, True)
