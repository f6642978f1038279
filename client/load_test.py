"""A load test of a running cluster: sessions that connect, speak, and hear each other, and what became of it.

Each room has its share of the sessions. One message at a time is said somewhere, at an even rate, by each session in
turn; it carries its number, and each session in the room should hear it once. Latency is from before the author's
write to after the listener's read, on this machine: so the generator's own work is in it.
"""

import asyncio
import json
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from ..shared.waiting import wait_up_to
from .options import check_address

CONNECT_TRIES = 5
"""Of each session: a node that is busy says 429 or 503, and when to come back."""
OPEN_TIMEOUT = 20.0
"""Seconds for one handshake."""
DRAIN_SECONDS = 3.0
"""For the last messages to arrive."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    url: str
    sessions: int
    rooms: int
    messages_per_second: float
    seconds: float
    connects_per_second: float
    token: str | None = None


@dataclass(slots=True)
class LoadReport:
    """What became of it. Times are in seconds."""

    connected: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    """Sessions that could not connect, by reason."""
    retried: int = 0
    """Handshakes that were refused at first."""
    connects: list[float] = field(default_factory=list[float])
    sent: int = 0
    expected: int = 0
    """Deliveries that should have come: of each message, to every session that was in its room."""
    received: int = 0
    repeated: int = 0
    latencies: list[float] = field(default_factory=list[float])
    closed: Counter[str] = field(default_factory=Counter[str])
    """Sessions that were lost during the test, by close code."""

    @property
    def success_rate(self) -> float:
        return self.received / self.expected if self.expected else 0.0

    @property
    def is_good(self) -> bool:
        """Everybody got in and stayed, and heard each message once."""
        return not (self.refused or self.closed or self.repeated) and self.received == self.expected > 0

    def as_object(self) -> dict[str, object]:
        return {
            "sessions": {"connected": self.connected, "refused": dict(self.refused), "retried": self.retried},
            "closed": dict(self.closed),
            "messages": self.sent,
            "deliveries": {
                "expected": self.expected,
                "received": self.received,
                "repeated": self.repeated,
                "success_rate": round(self.success_rate, 6),
            },
            "connect_ms": describe_times(self.connects),
            "latency_ms": describe_times(self.latencies),
        }


def describe_times(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles in milliseconds; empty: nothing was measured."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    found = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in at.items()}
    return {name: round(1000 * value, 1) for name, value in (found | {"max": ordered[-1]}).items()}


@dataclass(slots=True)
class _Session:
    room: int
    socket: ClientConnection
    listening: asyncio.Task[None]


Progress = Callable[[str, int, int], None]
"""(what goes on, how much of it is done, of how much)"""


class LoadTest:
    """Run it once with `run`."""

    def __init__(self, plan: LoadPlan, progress: Progress = lambda what, done, of: None) -> None:
        self._plan = plan
        self._progress = progress
        self._report = LoadReport()
        self._base = "ws" + check_address(plan.url).removeprefix("http")
        self._name = f"bench-{secrets.token_hex(4)}"
        self._sessions: list[_Session] = []
        self._sent_at: dict[int, float] = {}
        self._has_spoken = self._is_over = False
        self._has_heard_all = asyncio.Event()

    async def run(self) -> LoadReport:
        try:
            await self._connect_all()
            if self._sessions:
                await self._speak()
                await self._wait_for_rest()
        finally:
            self._is_over = True
            for session in self._sessions:
                session.listening.cancel()
            await asyncio.gather(*(each.socket.close() for each in self._sessions), return_exceptions=True)
        return self._report

    # ---- connecting

    async def _connect_all(self) -> None:
        plan, done = self._plan, 0

        async def open_session(number: int) -> None:
            nonlocal done
            await self._open(number)
            done += 1
            self._progress("connecting", done, plan.sessions)

        async with asyncio.TaskGroup() as group:
            began = time.monotonic()
            for number in range(plan.sessions):
                await asyncio.sleep(max(0.0, began + number / plan.connects_per_second - time.monotonic()))
                group.create_task(open_session(number))

    async def _open(self, number: int) -> None:
        room = number % self._plan.rooms
        url = f"{self._base}/ws/chat/{self._name}-{room}"
        headers = {} if self._plan.token is None else {"Authorization": f"Bearer {self._plan.token}"}
        for attempt in range(CONNECT_TRIES):
            began = time.monotonic()
            try:
                socket = await connect(
                    url, additional_headers=headers, compression=None, ping_interval=None, open_timeout=OPEN_TIMEOUT
                )
                first = json.loads(await socket.recv())
            except InvalidStatus as error:
                status = error.response.status_code
                if status in (429, 503) and attempt < CONNECT_TRIES - 1:
                    self._report.retried += 1
                    wait = float(error.response.headers.get("Retry-After", 1))
                    await asyncio.sleep(wait * random.uniform(1, 1.5))
                    continue
                self._report.refused[f"HTTP {status}"] += 1
            except ConnectionClosed as error:
                self._report.refused[_code_of(error)] += 1
            except (OSError, InvalidHandshake, TimeoutError) as error:
                self._report.refused[type(error).__name__] += 1
            else:
                if first["type"] == "welcome":
                    self._add(room, socket, time.monotonic() - began)
                else:
                    self._report.refused[str(first.get("code", first["type"]))] += 1
                    await socket.close()
            return

    def _add(self, room: int, socket: ClientConnection, seconds: float) -> None:
        self._report.connected += 1
        self._report.connects.append(seconds)
        self._sessions.append(_Session(room, socket, asyncio.create_task(self._listen(socket))))

    # ---- speaking and hearing

    async def _speak(self) -> None:
        plan = self._plan
        count, began = max(1, round(plan.seconds * plan.messages_per_second)), time.monotonic()
        listeners = Counter(session.room for session in self._sessions)
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / plan.messages_per_second - time.monotonic()))
            session = self._sessions[number % len(self._sessions)]
            self._sent_at[number] = time.monotonic()
            try:
                await session.socket.send(json.dumps({"type": "message", "content": {"bench": number}}))
            except ConnectionClosed:
                continue  # its listener has counted it
            self._report.sent += 1
            self._report.expected += listeners[session.room]
            self._progress("speaking", number + 1, count)

    async def _listen(self, socket: ClientConnection) -> None:
        heard: set[int] = set()
        try:
            async for text in socket:
                now, frame = time.monotonic(), json.loads(text)
                if frame["type"] == "ping":
                    await socket.send('{"type":"pong"}')
                elif frame["type"] == "message":
                    self._note(frame["content"]["bench"], heard, now)
        except ConnectionClosed:
            pass
        if not self._is_over:
            self._report.closed[str(socket.close_code)] += 1

    def _note(self, number: int, heard: set[int], now: float) -> None:
        if number in heard:
            self._report.repeated += 1
            return
        heard.add(number)
        self._report.received += 1
        self._report.latencies.append(now - self._sent_at[number])
        self._check_complete()

    def _check_complete(self) -> None:
        if self._has_spoken and self._report.received >= self._report.expected:
            self._has_heard_all.set()

    async def _wait_for_rest(self) -> None:
        self._has_spoken = True
        self._check_complete()
        await wait_up_to(DRAIN_SECONDS, self._has_heard_all)


def _code_of(error: ConnectionClosed) -> str:
    return "connection lost" if error.rcvd is None else str(error.rcvd.code)
