"""The Autobahn cases, through our own Python 3 runner, against the fast transport with an echo handler.

Without limits, and with the default ones of a session. `tests/conformance/README.md` has section 9, which takes longer.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.cluster import PROJECT
from tests.support.ports import free_port
from tests.support.waiting import eventually

RUNNER = PROJECT / "tests" / "conformance" / "autobahn.py"
CORE = "1,2,3,4,5,6,7,10"
CORE_CASES = 247
WITHIN = 600.0
"""Seconds for one run of the runner."""


@asynccontextmanager
async def _echo(*options: str) -> AsyncGenerator[int]:
    """The port of an echo server."""
    port = free_port()
    server = processes.start([sys.executable, "-m", "tests.support.echo_server", str(port), *options], cwd=PROJECT)
    try:
        await eventually(lambda: _listens(port), what="the echo server listens")
        yield port
    finally:
        processes.end_group(server)


@pytest.mark.parametrize("options", [(), ("--limits",)], ids=["without limits", "with the default limits"])
async def test_all_core_cases_pass(options: tuple[str, ...]) -> None:
    async with _echo(*options) as port:
        played = await asyncio.to_thread(_play, port, "--cases", CORE)

    assert played.returncode == 0, played.stdout + played.stderr
    summary = played.stdout.splitlines()[-1]
    assert summary.startswith(f"{CORE_CASES} cases: ")
    assert "FAILED" not in summary
    assert summary.endswith("not allowed: none")


def _play(port: int, *options: str) -> "subprocess.CompletedProcess[str]":
    cache = Path(PROJECT, ".cache")
    command = [sys.executable, str(RUNNER), f"ws://127.0.0.1:{port}/ws", *options, "--cache", str(cache)]
    return subprocess.run(command, capture_output=True, text=True, timeout=WITHIN, check=False)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
