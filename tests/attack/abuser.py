"""One abuser, in a process of its own: one socket after the other, each used as fast as the node reads.

`python -m tests.attack.abuser PORT` reads lines from stdin: `KIND SECONDS` lets it go for so long, and it answers with
a line: what it sent and got, as JSON. It connects from one address, which counts, since it claims to be its proxy.

It takes a core only while nobody else wants it: on a machine of its own it would take none of the nodes'.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.attack.peer import Budget, Gone, Peer
from tests.attack.writing import text

PROJECT = Path(__file__).parent.parent.parent
ADDRESS = "203.0.113.1"
LEAST_URGENT = 19
STARTS_WITHIN = 60.0
LATE = 30.0
"""Seconds beyond its time in which it has to answer."""
_AT_ONCE = 64
WRITES: dict[str, bytes] = {
    "messages": text({"type": "message", "content": "x"}) * _AT_ONCE,
    "bytes": text({"type": "message", "content": "x" * 60_000}),
    "commands": text({"type": "ping"}) * _AT_ONCE,
    "handshakes": b"",
}
"""What each kind of abuse sends again and again; nothing: it only connects."""


class Abuser:
    """The process, as it looks from the one that started it. `port`: of the attacked node."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __name__, str(self._port)),
            cwd=PROJECT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        await self._answer(STARTS_WITHIN)
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def abuse(self, kind: str, seconds: float) -> Counter[str]:
        """Let it go for so long. Returns what it got, and under `MB sent` how much it has sent."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kind} {seconds}\n".encode())
        return Counter(json.loads(await self._answer(seconds + LATE)))

    async def _answer(self, within: float) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(within):
            line = await self._process.stdout.readline()
        if not line:
            raise AssertionError("the abuser has ended; its traceback is on stderr")
        return line.decode()


# ---- the process


async def _abuse(port: int, kind: str, seconds: float) -> Counter[str]:
    allowed = 1 << 40
    budget, got = Budget(allowed), Counter[str]()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                await _use_one_socket(port, WRITES[kind], budget, got)
    got["MB sent"] = round((allowed - budget.left) / 1e6)
    return got


async def _use_one_socket(port: int, data: bytes, budget: Budget, got: Counter[str]) -> None:
    """Until the node says `bye` or ends it, or, without data, until it is admitted."""
    try:
        peer = await Peer.connect(port, budget)
    except Gone:
        got["not connected"] += 1
        return
    try:
        await peer.upgrade("/ws/chat/abuse?user_id=abuser", f"X-Forwarded-For: {ADDRESS}")
        if data:
            sending = asyncio.create_task(_send_on(peer, data))
            try:
                await peer.until(lambda: peer.seen["bye 1013"] > 0)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
    except Gone:
        pass
    finally:
        got.update({what: count for what, count in peer.seen.items() if not what.startswith("user_")})
        await peer.close()


async def _send_on(peer: Peer, data: bytes) -> None:
    while True:
        await peer.send(data)


async def _serve(port: int) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, LEAST_URGENT)
    _write({})
    while words := (await asyncio.to_thread(sys.stdin.readline)).split():
        kind, seconds = words
        _write(await _abuse(port, kind, float(seconds)))


def _write(answer: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
