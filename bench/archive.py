"""Does the archive keep up? `python -m bench.archive --rate 5000`

Messages of 200 bytes are published at a steady rate into 50 rooms that are archived, by a process of its own, while
`tannoy archive` writes them to a SQLite: with a sync for each transaction. It keeps up if what waits does not grow.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from tannoy import AsyncPublisher, MessageFields
from tannoy.fanout.archive.calls import READER_SCRIPTS, BacklogCalls, summarize
from tannoy.fanout.backend import SingleServer
from tannoy.fanout.scripts import SERVER_ENSURE, UNREADABLE_REMOVE
from tannoy.fanout.server_life import ServerLives
from tannoy.shared.archived_channels import ArchivedChannels
from tannoy.shared.clock import SystemClock
from tannoy.shared.keyspace import Keyspace

from .live import ValkeyProcess

ROOMS = 50
TICK = 0.1
"""Seconds between two batches of the publisher."""
CONTENT = {"text": "x" * 64}


async def publish(url: str, rate: int, seconds: float) -> int:
    """Publish at this rate, as far as one publisher gets; how many messages. A late batch is followed at once."""
    messages: list[MessageFields] = [
        {"room": f"r{number % ROOMS}", "content": CONTENT} for number in range(int(rate * TICK))
    ]
    started, published = time.monotonic(), 0
    async with AsyncPublisher(url) as publisher:
        while time.monotonic() - started < seconds:
            await publisher.many(messages)
            published += len(messages)
            await asyncio.sleep(max(0.0, started + published / rate - time.monotonic()))
    return published


async def measure(rate: int, seconds: float) -> str:
    keyspace = Keyspace("tannoy")
    with tempfile.TemporaryDirectory(prefix="tannoy-archive-") as folder:
        async with ValkeyProcess() as valkey:
            lives = ServerLives(keyspace, clock=SystemClock(), archived=ArchivedChannels(("room:*",), 1_000_000))
            pipeline = SingleServer(valkey.address, 10.0).pipeline(
                name="bench-archive",
                scripts=(SERVER_ENSURE, UNREADABLE_REMOVE, *READER_SCRIPTS),
                on_connected=lives.on_connected,
            )
            running = asyncio.create_task(pipeline.run())
            await pipeline.connected.wait()
            variables = {"TANNOY_REDIS_URL": valkey.url, "TANNOY_DATABASE_URL": f"sqlite:///{folder}/archive.db"}
            command = [sys.executable, "-m", "tannoy", "archive"]
            writer = await asyncio.create_subprocess_exec(*command, env=os.environ | variables)
            try:
                return await _measure(valkey.url, BacklogCalls(pipeline, keyspace), writer.pid, rate, seconds)
            finally:
                writer.terminate()
                await writer.wait()
                running.cancel()


async def _measure(url: str, calls: BacklogCalls, writer: int, rate: int, seconds: float) -> str:
    await publish(url, 100, 1.0)
    await _until_written(calls)
    before = _cpu(writer)
    command = [sys.executable, "-m", "bench.archive", "--publish", url, "--rate", str(rate), "--seconds", str(seconds)]
    publisher = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    most, lag = 0, 0.0
    while publisher.returncode is None:
        backlog = summarize(await calls.waiting())
        most, lag = max(most, backlog.waiting), max(lag, backlog.lag)
        await asyncio.sleep(TICK)
    output, _ = await publisher.communicate()
    ended, published = time.monotonic(), int(output)
    await _until_written(calls)
    each = (_cpu(writer) - before) / published * 1e6
    return (
        f"{published / seconds:,.0f} messages/s for {seconds:g} s: at most {most:,} waited, for {lag:.2f} s; the last "
        f"was written {time.monotonic() - ended:.2f} s after it was published; {each:.0f} µs CPU of the writer each"
    )


async def _until_written(calls: BacklogCalls) -> None:
    while True:
        if summarize(await calls.waiting()).waiting == 0:
            return
        await asyncio.sleep(0.01)


def _cpu(pid: int) -> float:
    """Seconds of CPU of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description="Does the archive keep up on SQLite?")
    parser.add_argument("--rate", type=int, default=5000, help="messages a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--publish", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.publish:
        print(asyncio.run(publish(options.publish, options.rate, options.seconds)))
    else:
        print(asyncio.run(measure(options.rate, options.seconds)))


if __name__ == "__main__":
    main()
