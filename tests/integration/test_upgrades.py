"""Requests that offer to upgrade their connection to what no node speaks."""

import asyncio
import json
import shutil
import subprocess

import pytest

from tests.integration.conftest import Connect
from tests.support.cluster import PROJECT, NodeProcess
from tests.support.raw_http import RawHttp
from tests.support.waiting import PATIENCE

JAVA = PROJECT / "tests" / "interop" / "Publish.java"


async def _run(*command: str) -> str:
    """The output of a command, which has to succeed."""
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    async with asyncio.timeout(PATIENCE):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def test_curl_publishes_although_it_offers_http2(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no `curl` on the PATH")
    client = await connect(nodes[1], f"/ws/chat/{name}")

    answer = await _run(
        *("curl", "--silent", "--show-error", "--fail-with-body", "--http2", "--data", '{"content":"from curl"}'),
        f"{nodes[0].url}/api/v1/rooms/{name}/messages",
    )

    assert json.loads(answer)["offset"] == 1
    assert await client.contents(1) == ["from curl"]


async def test_the_http_client_of_java_publishes_although_it_offers_http2(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    java = shutil.which("java")
    if java is None or shutil.which("javac") is None:
        pytest.skip("no JDK on the PATH")
    client = await connect(nodes[1], f"/ws/chat/{name}")

    statuses = await _run(java, str(JAVA), f"{nodes[0].url}/api/v1/rooms/{name}/messages", "3")

    assert statuses.split() == ["200", "200", "200"]
    assert await client.contents(3) == [1, 2, 3]


@pytest.mark.parametrize("offered", ["h2c", "TLS/1.3", "unknown", "unknown/2, h2c"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_body_is_read_and_the_connection_goes_on_whatever_upgrade_is_offered(
    nodes: list[NodeProcess], name: str, offered: str, framing: str
) -> None:
    body = b'{"content":1}'
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    head = (
        f"POST {nodes[0].prefix}/api/v1/rooms/{name}/messages HTTP/1.1\n"
        f"Host: localhost\nUpgrade: {offered}\nConnection: upgrade\n"
        + (f"Content-Length: {len(body)}" if framing == "length" else "Transfer-Encoding: chunked")
    )
    async with RawHttp.to(nodes[0].port) as http:
        for offset in (1, 2):
            answer = await http.request(head, body if framing == "length" else chunked)

            assert (answer.status, answer.json()["offset"]) == (200, offset)


async def test_a_body_that_comes_in_pieces_is_read_whatever_upgrade_is_offered(
    nodes: list[NodeProcess], name: str
) -> None:
    content = "x" * 60_000
    body = json.dumps({"content": content}).encode()
    async with RawHttp.to(nodes[0].port) as http:
        head = f"POST {nodes[0].prefix}/api/v1/rooms/{name}/messages HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\n"
        await http.send(f"{head}Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n".encode())
        await http.send(f"Content-Length: {len(body)}\r\n\r\n".encode())
        for start in range(0, len(body), 7000):
            await http.send(body[start : start + 7000])

        assert (await http.answer()).status == 200
