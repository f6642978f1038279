"""The command line in real processes: what they print, and their exit codes."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from tests.support import processes
from tests.support.client import Client
from tests.support.cluster import Cluster, environment
from tests.support.ports import free_port, free_ports_in_a_row
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, eventually


def _tannoy(*words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tannoy", *words],
        env=environment(settings) | {"COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


async def _tannoy_async(*words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(_tannoy, *words, **settings)


def _is_one_sentence(text: str) -> bool:
    return text.startswith("tannoy: ") and "Traceback" not in text


# ---- errors at start


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("PORT", "99999", "65535"),
        ("PORT", "http", "integer"),
        ("REDIS_URL", "postgres://x", "redis://"),
        ("REDIS_URL", "redis+ring://x", "redis+cluster://"),
        ("SLOW_POLICY", "panic", "'disconnect' or 'skip'"),
        ("PING_INTERVAL", "0", "greater than or equal to 1"),
        ("OUTBOX_MAX_BYTES", "-1", "greater than or equal to 4096"),
        ("NODE_ID", "no spaces", "A-Z a-z 0-9"),
        ("LOG_FORMAT", "xml", "'console' or 'json'"),
        ("AUTH", "jwt", "not available yet"),
        ("ALLOWED_ORIGINS", "example.com", "scheme://host"),
        ("REDIS_PREFIX", "a{b}", "match pattern"),
        ("LOG_FILE", "/nowhere/at/all.log", "No such file"),
    ],
)
def test_a_bad_setting_stops_the_start(setting: str, value: str, allowed: str) -> None:
    ended = _tannoy("node", **{setting: value})

    assert ended.returncode == 1
    assert _is_one_sentence(ended.stderr)
    assert f"TANNOY_{setting}" in ended.stderr
    assert allowed in ended.stderr


def test_a_port_in_use_is_an_error_of_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        for command in ("node", "up"):
            ended = _tannoy(command, "--port", port, LOG_LEVEL="ERROR")
            assert ended.returncode == 1
            assert _is_one_sentence(ended.stderr)
            assert f"127.0.0.1:{port}" in ended.stderr


def test_an_unreachable_redis_is_an_error_of_one_sentence() -> None:
    ended = _tannoy("node", "--port", str(free_port()), REDIS_URL=f"redis://127.0.0.1:{free_port()}", LOG_LEVEL="ERROR")

    assert ended.returncode == 1
    assert _is_one_sentence(ended.stderr)
    assert "can't be reached" in ended.stderr


@pytest.mark.parametrize("credentials", ["", "unknown:wrong@", ":wrong@"])
async def test_a_wrong_password_of_redis_is_an_error_of_one_sentence(credentials: str) -> None:
    async with Valkey("--requirepass", "right") as valkey:
        url = f"redis://{credentials}127.0.0.1:{valkey.port}"
        ended = await _tannoy_async("node", "--port", str(free_port()), REDIS_URL=url, LOG_LEVEL="ERROR")

    assert ended.returncode == 1
    assert _is_one_sentence(ended.stderr)
    assert "credentials" in ended.stderr
    assert "wrong@" not in ended.stderr


async def test_a_node_with_the_right_password_of_redis_is_ready() -> None:
    async with (
        Valkey("--requirepass", "right") as valkey,
        Cluster(1, REDIS_URL=f"redis://:right@127.0.0.1:{valkey.port}/3") as it,
    ):
        assert await it.nodes[0].is_ready()


# ---- help


@pytest.mark.parametrize("command", ["up", "node", "publish", "send", "watch"])
def test_help_shows_examples(command: str) -> None:
    shown = _tannoy(command, "--help")

    assert shown.returncode == 0
    assert "Examples:" in shown.stdout
    assert f"tannoy {command}" in shown.stdout


# ---- against a running cluster


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2) as running:
        yield running


async def test_publish_and_send_reach_their_sessions(cluster: Cluster) -> None:
    url = ("--url", cluster.nodes[0].url)
    in_room = await cluster.nodes[1].connect("/ws/chat/lobby?user_id=ada")
    of_agent = await cluster.nodes[1].connect("/ws/agents/42?session_id=laptop")

    published = await _tannoy_async("publish", "room:lobby", '{"hi":1}', "--username", "kitchen", *url)
    assert (published.returncode, json.loads(published.stdout)["offset"]) == (0, 1)
    received = await in_room.expect("message")
    assert (received["content"], received["username"]) == ({"hi": 1}, "kitchen")

    for target in ("agent:42", "agent:42/laptop"):
        assert (await _tannoy_async("send", target, "plain text", *url)).returncode == 0
        assert await of_agent.contents(1) == ["plain text"]

    sent = await _tannoy_async("send", "user:ada", "42", "--text", *url)
    assert sent.stdout == "delivered to 1 session\n"
    assert (await in_room.expect("private"))["content"] == "42"
    await in_room.close()
    await of_agent.close()


async def test_send_to_a_user_without_sessions_prints_zero_and_exits_with_1(cluster: Cluster) -> None:
    sent = await _tannoy_async("send", "user:unknown", "x", "--url", cluster.nodes[0].url)

    assert (sent.returncode, sent.stdout) == (1, "delivered to 0 sessions\n")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("publish", "lobby", "x"), "room:NAME"),
        (("publish", "room:a b", "x"), "A-Z a-z"),
        (("watch", "user:ada"), "room:NAME, agent:ID"),
        (("watch", "room:a", "--url", "localhost:8000"), "http://HOST:PORT"),
        (("watch", "room:a", "--url", f"http://127.0.0.1:{free_port()}"), "Is a cluster running there?"),
        (("send", "room:a", "x"), "agent:ID/SESSION"),
        (("publish", "user:ada", "x"), "room:NAME, agent:ID"),
        (("watch", "room:a", "--history", "5", "--since", "5"), "--history and --since"),
        (("send", "user:ada", "x", "--key", "k"), "--key is for room:NAME and agent:ID"),
        (("publish", "room:a", "[" * 100_000), "nests too deep"),
        (("publish", "room:a", "x", "--url", "http://[::1"), "http://HOST:PORT"),
        (("send", "user:ada", "x", "--url", "ftp://x"), "http://"),
        (("send", "user:ada", "x", "--url", f"http://127.0.0.1:{free_port()}"), "Is a cluster running there?"),
    ],
)
def test_a_bad_argument_is_an_error_of_one_sentence(words: tuple[str, ...], hint: str) -> None:
    ended = _tannoy(*words)

    assert ended.returncode == 1
    assert _is_one_sentence(ended.stderr)
    assert hint in ended.stderr


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


def test_the_version_is_printed() -> None:
    assert _tannoy("--version").stdout.startswith("tannoy 0.")


# ---- up


@asynccontextmanager
async def _up(port: int, *options: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tannoy", "up", "--nodes", "2", "--port", str(port), *options),
        env=environment({}) | {"PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = b""
            while b"Tannoy is at" not in line:
                line = await process.stdout.readline()
                assert line, "up ended before it was ready"
        assert f"http://127.0.0.1:{port}".encode() in line
        yield process
    finally:
        processes.signal_group(process.pid, signal.SIGKILL)
        await process.wait()


async def _diagnostics(port: int) -> dict[str, Any]:
    async with httpx.AsyncClient() as http:
        return cast(dict[str, Any], (await http.get(f"http://127.0.0.1:{port}/diagnostics")).json())


def _stat(pid: int) -> tuple[str, int]:
    """State and parent of a process. Raises FileNotFoundError where there is none."""
    state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return state, int(parent)


def _runs(pid: int) -> bool:
    try:
        return _stat(pid)[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def _pids(port: int) -> list[int]:
    return [(await _diagnostics(port + number))["pid"] for number in (1, 2)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
async def test_up_leaves_no_process_running_after_any_signal(number: signal.Signals) -> None:
    port = free_ports_in_a_row(3)
    async with _up(port) as process:
        pids = await _pids(port)
        children = _descendants(process.pid)
        assert set(pids) < set(children)

        process.send_signal(number)

        assert await process.wait() == (0 if number is not signal.SIGKILL else -signal.SIGKILL)
        await eventually(lambda: _none_runs(children), what="all processes are gone")


async def _none_runs(pids: list[int]) -> bool:
    return not any(map(_runs, pids))


def _descendants(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parents[int(process.name)] = _stat(int(process.name))[1]
    found = [pid]
    for known in found:
        found.extend(child for child, parent in parents.items() if parent == known)
    return found[1:]


async def test_up_starts_a_killed_node_again() -> None:
    port = free_ports_in_a_row(3)
    async with _up(port) as process:
        first, second = await _pids(port)

        os.kill(first, signal.SIGKILL)

        async def is_back() -> bool:
            try:
                return bool((await _diagnostics(port + 1))["pid"] != first)
            except httpx.TransportError:
                return False

        await eventually(is_back, what="node-1 runs again")
        assert (await _pids(port))[1] == second
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_up_on_every_interface_without_a_key_is_ready() -> None:
    """The way to look at the page on a phone."""
    port = free_ports_in_a_row(3)
    async with _up(port, "--host", "0.0.0.0") as process:
        assert len(await _pids(port)) == 2
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_the_shared_port_leads_to_any_node() -> None:
    port = free_ports_in_a_row(3)
    async with _up(port) as process:
        clients = [await Client.open(f"ws://127.0.0.1:{port}/ws/chat/lobby") for _ in range(40)]
        nodes = {(await client.welcomed())["node"] for client in clients}
        assert nodes == {"node-1", "node-2"}
        await clients[0].ok("message", content="to all")
        for client in clients:
            assert await client.contents(1) == ["to all"]
            await client.close()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
