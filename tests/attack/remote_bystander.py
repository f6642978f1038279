"""A bystander in a process of its own, so that what the attackers do in theirs does not disturb what it measures.

`python -m tests.attack.remote_bystander PORT PORT` reads words from stdin, a line each (`begin`, `settle SECONDS`), and
answers with a line: the window, as JSON.
"""

import asyncio
import gc
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Self

from tests.attack.bystander import Bystander
from tests.attack.window import Window

PROJECT = Path(__file__).parent.parent.parent
STARTS_WITHIN = 60.0
LINE_MAX = 1 << 26
"""Bytes of a window as JSON."""
LATE = 10.0
"""Seconds beyond what a window may take to settle."""


class RemoteBystander:
    """A Bystander, as it looks from the process that started it."""

    def __init__(self, ports: tuple[int, int]) -> None:
        self._ports = ports
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", __name__, *map(str, self._ports)),
            cwd=PROJECT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_MAX,
        )
        await self._answer(STARTS_WITHIN)
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def begin(self) -> None:
        self._say("begin")
        await self._answer(LATE)

    async def settle(self, within: float) -> Window:
        self._say(f"settle {within}")
        return Window(**json.loads(await self._answer(within + LATE)))

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    async def _answer(self, within: float) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(within):
            line = await self._process.stdout.readline()
        if not line:
            raise AssertionError("the bystander has ended; its traceback is on stderr")
        return line.decode()


# ---- the process


async def _serve(ports: tuple[int, int]) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Bystander(ports) as bystander:
        gc.freeze()
        _write("{}")
        while words := (await reader.readline()).split():
            if words[0] == b"begin":
                bystander.begin()
                _write("{}")
            else:
                _write(json.dumps(asdict(await bystander.settle(float(words[1])))))


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    attacked, other = map(int, sys.argv[1:])
    asyncio.run(_serve((attacked, other)))
