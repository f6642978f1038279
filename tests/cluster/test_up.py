"""`tannoy up`: its nodes, the port that they share, and its end."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from tannoy.client import connect

from tests.support import processes
from tests.support.client import Client
from tests.support.cluster import environment
from tests.support.ports import free_ports_in_a_row
from tests.support.waiting import PATIENCE, eventually


@asynccontextmanager
async def _up(port: int, *options: str, **settings: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tannoy", "up", "--nodes", "2", "--port", str(port), *options),
        env=environment(settings) | {"PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = await process.stdout.readline()
            assert line == f"Tannoy starts at http://127.0.0.1:{port}\n".encode()
            while b"Tannoy is at" not in line:
                line = await process.stdout.readline()
                assert line, "up ended before it was ready"
        assert f"http://127.0.0.1:{port}".encode() in line
        yield process
    finally:
        processes.signal_group(process.pid, signal.SIGKILL)
        await process.wait()


async def _diagnostics(port: int) -> dict[str, Any]:
    async with httpx.AsyncClient(verify=False) as http:
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


async def test_up_does_not_start_a_drained_node_again_and_ends_with_the_last_one() -> None:
    port = free_ports_in_a_row(3)
    async with _up(port) as process, httpx.AsyncClient(timeout=PATIENCE) as http:
        first, second = await _pids(port)

        async def has_ended() -> bool:
            return not _runs(second)

        assert (await http.post(f"http://127.0.0.1:{port + 1}/api/v1/nodes/node-2/drain")).status_code == 200
        await eventually(has_ended, what="node-2 has ended")
        nodes = (await http.get(f"http://127.0.0.1:{port + 1}/api/v1/nodes")).json()["nodes"]
        assert [node["node"] for node in nodes if not node["draining"]] == ["node-1"]
        assert (await http.post(f"http://127.0.0.1:{port + 1}/api/v1/nodes/node-1/drain")).status_code == 200
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    assert not _runs(first)


# ---- one that several tests share


@dataclass(frozen=True, slots=True)
class Up:
    """One that no test ends."""

    port: int
    archive: Path
    process: asyncio.subprocess.Process


@pytest.fixture(scope="module")
async def up(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Up]:
    """On every interface, with an archive. It ends without a process that runs on, whatever its nodes went through."""
    port, file = free_ports_in_a_row(3), tmp_path_factory.mktemp("up") / "archive.db"
    archive = {"ARCHIVE": "room:*", "DATABASE_URL": f"sqlite:///{file}"}
    async with _up(port, "--host", "0.0.0.0", **archive) as process:
        assert process.stdout is not None
        _, hint = [(await process.stdout.readline()).decode() for _ in range(2)]
        assert hint.startswith("Before others use it: TANNOY_AUTH=none:")
        assert "no TANNOY_API_KEY is set" in hint
        yield Up(port, file, process)
        children = _descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
        await eventually(lambda: _none_runs(children), what="all processes are gone")


async def test_up_starts_a_killed_node_again(up: Up) -> None:
    first, second = await _pids(up.port)

    os.kill(first, signal.SIGKILL)

    async def is_back() -> bool:
        try:
            return bool((await _diagnostics(up.port + 1))["pid"] != first)
        except httpx.TransportError:
            return False

    await eventually(is_back, what="node-1 runs again")
    assert (await _pids(up.port))[1] == second


async def test_up_writes_the_archive_of_its_nodes(up: Up) -> None:
    of_room = "SELECT count(*) FROM tannoy_messages WHERE channel = 'room:archived'"

    async def is_written() -> bool:
        with contextlib.closing(sqlite3.connect(up.archive)) as database:
            try:
                return bool(database.execute(of_room).fetchone() == (1,))
            except sqlite3.OperationalError:  # there is no table yet
                return False

    async with httpx.AsyncClient(verify=False) as http:
        answer = await http.post(f"http://127.0.0.1:{up.port}/api/v1/rooms/archived/messages", json={"content": "hi"})

    assert answer.status_code == 200
    await eventually(is_written, what="the archive is written")


async def test_up_on_every_interface_without_a_key_is_ready_and_serves_the_page(up: Up) -> None:
    """The way to look at the page on a phone."""
    async with httpx.AsyncClient(verify=False) as http:
        assert len(await _pids(up.port)) == 2
        assert (await http.get(f"http://127.0.0.1:{up.port}/")).status_code == 200


async def test_the_shared_port_leads_to_any_node(up: Up) -> None:
    clients = [await Client.open(f"ws://127.0.0.1:{up.port}/ws/chat/lobby") for _ in range(40)]
    nodes = {(await client.welcomed())["node"] for client in clients}
    assert nodes == {"node-1", "node-2"}
    await clients[0].ok("message", content="to all")
    for client in clients:
        assert await client.contents(1) == ["to all"]
        await client.close()


async def test_sighup_replaces_the_nodes_one_by_one_and_no_session_misses_a_message(up: Up) -> None:
    async with connect(f"ws://127.0.0.1:{up.port}", user_id="ada") as client:
        before = await _pids(up.port)
        room = await client.join("spoken-in-meanwhile")

        up.process.send_signal(signal.SIGHUP)

        heard: list[object] = []
        async with asyncio.timeout(PATIENCE):
            while not await _all_replaced(up.port, before):
                await room.send(len(heard), key=f"message-{len(heard)}")
                heard.append((await anext(room)).content)
        assert heard == list(range(len(heard)))
        await eventually(lambda: _none_runs(before), what="the former processes are gone")


async def _all_replaced(port: int, before: list[int]) -> bool:
    try:
        return not set(await _pids(port)) & set(before)
    except httpx.TransportError:
        return False
