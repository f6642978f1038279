"""A closed loop: W messages under way at once; the next is sent when the last socket has one."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from .clients import Client, Crowd, masked
from .errors import BenchError
from .proc import cpu_seconds

DRAIN_SECONDS = 10.0
SETTLE_SECONDS = 0.3  # after the last message, for a copy too many to show


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the loop gave."""

    messages: int
    wall_seconds: float
    latencies: list[float]  # seconds from the send to the last socket's receipt, sorted
    stuck: bool  # messages were under way at the end that never arrived everywhere

    def percentile(self, share: float) -> float:
        """The latency that this share of the messages kept within, in milliseconds."""
        if not self.latencies:
            return 0.0
        return self.latencies[min(int(len(self.latencies) * share), len(self.latencies) - 1)] * 1000


class ClosedLoop:
    """One sender and a crowd that must have each of its messages before more are sent."""

    def __init__(self, crowd: Crowd, sender: Client, text: bytes, under_way: int) -> None:
        self._crowd = crowd
        self._sender = sender
        self._frame = masked(text)
        self._under_way = under_way
        self._first = crowd.everyone_has  # messages of earlier loops
        self._sent_at: list[float] = []
        self._latencies: list[float] = []
        self._until = 0.0
        self._done = asyncio.Event()

    async def run(self, seconds: float, drain: float = DRAIN_SECONDS) -> Run:
        """Send for so long, then wait for what is under way, `drain` seconds at the most."""
        begun = time.perf_counter()
        self._until = begun + seconds
        self._crowd.on_progress = self._progress
        self._send(self._under_way)
        try:
            await asyncio.wait_for(self._done.wait(), seconds + drain)
            stuck = False
        except TimeoutError:
            stuck = True
        self._crowd.on_progress = None
        return Run(len(self._latencies), time.perf_counter() - begun, sorted(self._latencies), stuck)

    def _send(self, messages: int) -> None:
        transport = self._sender.transport
        if transport is None or messages < 1:
            return
        self._crowd.expect(messages)
        self._sent_at.extend([time.perf_counter()] * messages)
        transport.write(self._frame * messages)

    def _progress(self, everyone_has: int) -> None:
        now = time.perf_counter()
        finished, already = everyone_has - self._first, len(self._latencies)
        self._latencies.extend(now - sent for sent in self._sent_at[already:finished])
        if now < self._until:
            self._send(finished - already)
        elif finished == len(self._sent_at):
            self._done.set()


async def check_exact(clients: Sequence[Client], messages: int) -> None:
    """Every socket has exactly every message, or the run is an error and no figure."""
    await asyncio.sleep(SETTLE_SECONDS)
    lost = [client for client in clients if client.closed.done()]
    wrong = [client.received for client in clients if client.received != messages]
    if lost:
        raise BenchError(f"{len(lost)} of {len(clients)} sockets were closed, code {lost[0].close_code}")
    if wrong:
        span = f"{min(wrong)} to {max(wrong)}"
        raise BenchError(f"{len(wrong)} of {len(clients)} sockets have {span} of {messages} messages")


class Meter:
    """CPU time of some processes between two moments."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._start = cpu_seconds(pids)

    def read(self) -> tuple[float, float]:
        """CPU seconds since the meter was made: all of them, and those spent in the kernel."""
        user, system = cpu_seconds(self._pids)
        return user - self._start[0] + system - self._start[1], system - self._start[1]
