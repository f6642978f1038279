"""A closed loop with W messages in flight: the next one is sent when the last socket has received one."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from .clients import Client, Crowd, encode_frame
from .errors import BenchError
from .proc import cpu_seconds

DRAIN_SECONDS = 10.0
"""Seconds to wait for messages in flight at the end."""
SETTLE_SECONDS = 0.3
"""Seconds after the last message, in which a duplicate would arrive."""


@dataclass(frozen=True, slots=True)
class Run:
    """The result of one run of the loop."""

    messages: int
    wall_seconds: float
    latencies: list[float]  # seconds from the send to the last socket's receipt, sorted
    stuck: bool  # messages in flight at the end were not received by every socket

    def percentile(self, share: float) -> float:
        """The latency, in milliseconds, that this share (0 to 1) of the messages did not exceed."""
        if not self.latencies:
            return 0.0
        return self.latencies[min(int(len(self.latencies) * share), len(self.latencies) - 1)] * 1000


class ClosedLoop:
    """One sender, and a crowd that has to receive each message before the next one is sent."""

    def __init__(self, crowd: Crowd, sender: Client, text: bytes, under_way: int) -> None:
        self._crowd = crowd
        self._sender = sender
        self._frame = encode_frame(text)
        self._under_way = under_way
        self._first = crowd.everyone_has  # messages of earlier loops
        self._sent_at: list[float] = []
        self._latencies: list[float] = []
        self._until = 0.0
        self._done = asyncio.Event()

    async def run(self, seconds: float, drain: float = DRAIN_SECONDS) -> Run:
        """Send for `seconds`, then wait at most `drain` seconds for the messages in flight."""
        begun = time.perf_counter()
        self._until = begun + seconds
        self._crowd.on_progress = self._handle_progress
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

    def _handle_progress(self, everyone_has: int) -> None:
        now = time.perf_counter()
        finished, already = everyone_has - self._first, len(self._latencies)
        self._latencies.extend(now - sent for sent in self._sent_at[already:finished])
        if now < self._until:
            self._send(finished - already)
        elif finished == len(self._sent_at):
            self._done.set()


async def check_exact(clients: Sequence[Client], messages: int) -> None:
    """Raises BenchError unless every socket is open and has received exactly `messages` messages."""
    await asyncio.sleep(SETTLE_SECONDS)
    lost = [client for client in clients if client.closed.done()]
    wrong = [client.received for client in clients if client.received != messages]
    if lost:
        raise BenchError(f"{len(lost)} of {len(clients)} sockets were closed, code {lost[0].close_code}")
    if wrong:
        span = f"{min(wrong)} to {max(wrong)}"
        raise BenchError(f"{len(wrong)} of {len(clients)} sockets have {span} of {messages} messages")


class Meter:
    """Measures the CPU time of processes and their children."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._start = cpu_seconds(pids)

    def read(self) -> tuple[float, float]:
        """CPU seconds since the meter was created: the total, and those spent in the kernel."""
        user, system = cpu_seconds(self._pids)
        return user - self._start[0] + system - self._start[1], system - self._start[1]
