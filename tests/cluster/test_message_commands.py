"""`tannoy publish`, `send` and `watch` against a running cluster."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tests.support.cluster import Cluster, environment
from tests.support.command_line import is_one_sentence, run_tannoy, run_tannoy_async
from tests.support.ports import free_port
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


@asynccontextmanager
async def _watching(*words: str, **variables: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """`tannoy watch WORDS…`; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tannoy", "watch", *words),
        env=environment({}) | {"PYTHONUNBUFFERED": "1"} | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _line_of(process: asyncio.subprocess.Process, *, errors: bool = False) -> bytes:
    stream = process.stderr if errors else process.stdout
    assert stream is not None
    return await stream.readline()


async def test_watch_prints_messages_until_it_is_interrupted(cluster: Cluster) -> None:
    async with _watching("room:watched", "--json", "--url", cluster.nodes[0].url) as process:
        assert json.loads(await _line_of(process))["type"] == "welcome"
        await cluster.nodes[1].http.post("/api/v1/rooms/watched/messages", json={"content": "[b]ü[/b]"})
        assert json.loads(await _line_of(process))["content"] == "[b]ü[/b]"
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_watch_prints_messages_with_their_control_characters_replaced(cluster: Cluster) -> None:
    async with _watching("room:escaped", "--url", cluster.nodes[0].url) as process:
        assert b"watching room:escaped" in await _line_of(process, errors=True)
        content = "\x1b]0;pwned\x07\x1b[31mred\u202e é"
        await cluster.nodes[1].http.post("/api/v1/rooms/escaped/messages", json={"content": content})
        line = await _line_of(process)
    assert line.decode().endswith(" \ufffd]0;pwned\ufffd\ufffd[31mred\ufffd é\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
async def test_watch_prints_characters_that_the_output_does_not_have_as_escapes(
    cluster: Cluster, encoding: str
) -> None:
    room = f"room:in-{encoding}"
    async with _watching(room, "--url", cluster.nodes[0].url, PYTHONIOENCODING=encoding) as process:
        assert b"watching room:" in await _line_of(process, errors=True)
        await cluster.nodes[1].http.post(f"/api/v1/rooms/in-{encoding}/messages", json={"content": "30 € 😀"})
        line = await _line_of(process)
    assert line.endswith(b"30 \\u20ac \\U0001f600\n")


async def test_watch_prints_frames_as_valid_json_whatever_the_output_has(cluster: Cluster) -> None:
    url = ("--url", cluster.nodes[0].url)
    async with _watching("room:json-in-ascii", "--json", *url, PYTHONIOENCODING="ascii") as process:
        assert json.loads(await _line_of(process))["type"] == "welcome"
        await cluster.nodes[1].http.post("/api/v1/rooms/json-in-ascii/messages", json={"content": "é 😀"})
        assert json.loads(await _line_of(process))["content"] == "é 😀"


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


async def test_standard_input_that_is_not_utf_8_is_an_error_of_one_sentence(cluster: Cluster) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tannoy", "publish", "room:bytes", "-", "--url", cluster.nodes[0].url),
        env=environment({}),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate(b"caf\xe9")

    assert process.returncode == 1
    assert errors == b"tannoy: standard input, at byte 3, is not UTF-8\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("caf\udce9",), r"content contains '\udce9', which is no character"),
        (("--text", "caf\udce9"), r"content contains '\udce9', which is no character"),
        (('{"half": "\\ud83d"}',), r"content contains '\ud83d', which is no character"),
        (("x", "--username", "caf\udce9"), r"username contains '\udce9', which is no character"),
        (("x", "--key", "caf\udce9"), r"key contains '\udce9', which is no character"),
    ],
)
def test_what_is_not_utf_8_is_refused_by_its_name(words: tuple[str, ...], complaint: str) -> None:
    ended = run_tannoy("publish", "room:bytes", *words)

    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr)
    assert complaint in ended.stderr


# ---- proxies


def _dead_proxy(monkeypatch: pytest.MonkeyPatch) -> str:
    """An http_proxy that does not answer."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    proxy = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("http_proxy", f"http://ada:hunter2@{proxy}")
    return proxy


async def test_a_cluster_on_this_machine_is_reached_without_the_proxy(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    _dead_proxy(monkeypatch)
    url = ("--url", cluster.nodes[0].url)

    published = await run_tannoy_async("publish", "room:direct", "x", *url)
    async with _watching("room:direct", "--json", "--history", "1", *url) as process:
        welcome, message = [json.loads(await _line_of(process)) for _ in range(2)]

    assert (published.returncode, published.stderr) == (0, "")
    assert (welcome["type"], message["content"]) == ("welcome", "x")


@pytest.mark.parametrize("command", [("publish", "room:a", "x"), ("watch", "room:a")], ids=lambda words: words[0])
def test_a_cluster_elsewhere_that_can_not_be_reached_is_named_with_the_proxy(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = _dead_proxy(monkeypatch)

    ended = run_tannoy(*command, "--url", "http://192.0.2.1:8000")

    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr)
    assert f"http://192.0.2.1:8000 through the proxy {proxy} (http_proxy)" in ended.stderr
