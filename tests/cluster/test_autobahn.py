"""The Autobahn cases, through our own Python 3 runner, against the fast transport with an echo handler."""

import subprocess
import sys
from pathlib import Path

from tests.support import processes
from tests.support.cluster import PROJECT
from tests.support.ports import free_port
from tests.support.waiting import eventually

RUNNER = PROJECT / "tests" / "conformance" / "autobahn.py"
CORE = "1,2,3,4,5,6,7,10"
CASES = 247


async def test_all_core_cases_pass() -> None:
    port = free_port()
    server = processes.start([sys.executable, "-m", "tests.support.echo_server", str(port)], cwd=PROJECT)
    try:
        await eventually(lambda: _listens(port), what="the echo server listens")
        played = _play(port, Path(PROJECT, ".cache"))
    finally:
        processes.end_group(server)

    assert played.returncode == 0, played.stdout + played.stderr
    summary = played.stdout.splitlines()[-1]
    assert summary.startswith(f"{CASES} cases: ")
    assert "FAILED" not in summary
    assert summary.endswith("not allowed: none")


def _play(port: int, cache: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(RUNNER), f"ws://127.0.0.1:{port}/ws", "--cases", CORE, "--cache", str(cache)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


async def _listens(port: int) -> bool:
    import asyncio

    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
