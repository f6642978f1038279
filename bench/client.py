"""How fast is the Python client, and how much memory does an idle one need? `python -m bench.client`

The client runs in this process on one core, against a stub of a node (`stub_node.py`) in another one. CPU time is that
of this process alone, so it does not matter how fast the stub is. Memory is the growth of this process, divided by the
clients that were opened in between: each has joined one room.
"""

import argparse
import asyncio
import gc
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from typing import Literal

import uvloop
from tannoy.client import Gap, connect

from .errors import BenchError
from .proc import raise_file_limit, read_resident

START_SECONDS = 10.0
WARM_UP_CLIENTS = 100
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@contextmanager
def _stub_node() -> Generator[str]:
    """A stub in a process of its own; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen([sys.executable, "-m", "bench.stub_node", str(port)])
    try:
        give_up = time.monotonic() + START_SECONDS
        while not _answers(port):
            if time.monotonic() > give_up:
                raise BenchError(f"the stub did not start within {START_SECONDS:g} s")
            time.sleep(0.05)
        yield f"ws://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def _receive(url: str, encoding: Literal["json", "msgpack"], messages: int) -> float:
    """Receive so many messages; the CPU seconds of this process."""
    async with connect(url, user_id="ada", encoding=encoding) as client:
        room = await client.join(f"burst-{messages}")
        began = time.process_time()
        async for item in room.items():
            if isinstance(item, Gap):
                raise BenchError(str(item))
            if item.offset == messages:
                break
        return time.process_time() - began


async def _grow(url: str, clients: int) -> float:
    """Open clients that each join a room; the bytes that each of them needs."""
    async with AsyncExitStack() as stack:
        before = 0
        for number in range(WARM_UP_CLIENTS + clients):
            if number == WARM_UP_CLIENTS:
                gc.collect()
                before = read_resident(os.getpid())
            client = await stack.enter_async_context(connect(url, user_id="ada"))
            await client.join("idle")
        gc.collect()
        return (read_resident(os.getpid()) - before) / clients


async def _measure(job: str, url: str, encoding: Literal["json", "msgpack"], count: int) -> float:
    return await (_receive(url, encoding, count) if job == "receive" else _grow(url, count))


def _run(job: str, loop: str, url: str, encoding: str, count: int) -> float:
    """Run a job in a fresh process: memory that an earlier one has freed would count for nothing."""
    command = [sys.executable, "-m", "bench.client", "--job", job, loop, url, encoding, str(count)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)


def main() -> None:
    """Print a line for each figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.client", description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000, help="messages to receive in each run")
    parser.add_argument("--clients", type=int, default=2_000, help="idle clients")
    parser.add_argument("--job", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    raise_file_limit()
    if given.job:
        job, loop, url, encoding, count = given.job
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            print(runner.run(_measure(job, url, encoding, int(count))))
        return
    with _stub_node() as url:
        for loop in LOOPS:
            for encoding in ("json", "msgpack"):
                seconds = _run("receive", loop, url, encoding, given.messages)
                print(f"{loop}, {encoding}: {given.messages / seconds:,.0f} messages a second of CPU time")
            size = _run("grow", loop, url, "json", given.clients)
            print(f"{loop}: {size / 1000:.1f} kB for each of {given.clients:,} idle clients")


if __name__ == "__main__":
    main()
