"""What do the others notice while the sessions of a killed node come back?

Three nodes. All sessions are at the third, in rooms of 50, and bystanders at the two others send each other a message
every 50 ms. The third node is killed: within a second its clients begin to connect to the others, and try again after a
time of their own, or when the server says so. Sessions back, latency of the bystanders and CPU time of the store are
read every 250 ms.
"""

import asyncio
import dataclasses
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from .clients import Client, Crowd, connect, connect_all
from .dialects import DIALECTS, Dialect, make_payload
from .errors import BenchError
from .generator import run_job
from .load import Meter
from .servers import CENTRIFUGO, NCHAN, TANNOY, System, running

SYSTEMS = tuple(
    dataclasses.replace(each, key=f"{each.key}-3", title=each.title.replace("1 node", "3 nodes"), nodes=3)
    for each in (TANNOY, CENTRIFUGO, NCHAN)
)
ROOM_SIZE = 50
BYSTANDERS = 20
PROBE_SECONDS = 0.05
SAMPLE_SECONDS = 0.25
CALM_SECONDS = 3.0
"""Before the node is killed, and after the last session is back."""
SPREAD_SECONDS = 1.0
"""In which clients try for the first time."""
BACKOFF_SECONDS = (0.2, 5.0)
"""After the first refusal, and at most; each is drawn between half of it and the whole."""
GIVE_UP_SECONDS = 60.0
PAYLOAD_BYTES = 64


@dataclass(slots=True)
class Row:
    """One system. Lists have one figure per round; `samples` are of the last round."""

    system: str
    title: str
    sessions: int
    back_seconds: list[float] = field(default_factory=list[float])  # from the kill to the last session
    node_cpu: list[float] = field(default_factory=list[float])  # seconds, of the two nodes, until then
    store_cpu: list[float] = field(default_factory=list[float])
    calm_p99_ms: list[float] = field(default_factory=list[float])  # of the bystanders
    storm_p99_ms: list[float] = field(default_factory=list[float])
    refused: list[int] = field(default_factory=list[int])  # attempts
    samples: list[list[float]] = field(default_factory=list[list[float]])
    """Seconds since the kill, sessions back, worst latency of the bystanders in ms, CPU of the store (1: a core)."""
    errors: list[str] = field(default_factory=list[str])


class _Refused(Client):
    """A client for which a refusal is no error of the benchmark: it is told as such, with the time to come back."""

    retry_after: float | None = None

    def data_received(self, data: bytes) -> None:
        """Count the messages in the data, or read the refusal."""
        try:
            super().data_received(data)
        except BenchError as error:
            head = self._rest.lower()
            _, found, rest = head.partition(b"retry-after:")
            self.retry_after = float(rest.split(b"\r\n")[0]) if found else None
            if not self.ready.done():
                self.ready.set_exception(error)
            if self.transport is not None:
                self.transport.abort()


class _Probe:
    """Bystanders of one room. A message is sent when PROBE_SECONDS have passed and all have the one before."""

    def __init__(self, protocol: Dialect, payload: bytes) -> None:
        self.crowd = Crowd(BYSTANDERS)
        self.clients = [Client(protocol, "bystanders", n, payload, self.crowd) for n in range(BYSTANDERS)]
        self._text = protocol.encode_message("bystanders", payload)
        self.latencies: list[tuple[float, float]] = []  # when it was sent, and how long it took to the last

    async def run(self) -> None:
        arrived = asyncio.Event()
        self.crowd.on_progress = lambda _: arrived.set()
        while True:
            arrived.clear()
            self.crowd.expect(1)
            sent = time.perf_counter()
            self.clients[0].send(self._text)
            await arrived.wait()
            self.latencies.append((sent, time.perf_counter() - sent))
            await asyncio.sleep(PROBE_SECONDS)

    def between(self, begin: float, end: float) -> list[float]:
        """Milliseconds, of the messages that were sent then; sorted."""
        return sorted(latency * 1000 for sent, latency in self.latencies if begin <= sent < end)


class _Storm:
    """The sessions of the node that is killed."""

    def __init__(self, protocol: Dialect, payload: bytes, sessions: int, ports: Sequence[int]) -> None:
        self.back = self.refused = 0
        self._protocol, self._payload, self._ports = protocol, payload, ports
        self._crowd = Crowd(0)
        self.clients = [self._new(number) for number in range(sessions)]

    def _new(self, number: int) -> Client:
        return _Refused(self._protocol, f"room-{number // ROOM_SIZE}", number, self._payload, self._crowd, counts=False)

    async def return_all(self) -> None:
        """Raises TimeoutError, if some are not back in time."""
        async with asyncio.timeout(GIVE_UP_SECONDS), asyncio.TaskGroup() as group:
            for number in range(len(self.clients)):
                group.create_task(self._return(number))

    async def _return(self, number: int) -> None:
        wait, most = BACKOFF_SECONDS
        await asyncio.sleep(random.uniform(0, SPREAD_SECONDS))
        while True:
            client = self.clients[number] = self._new(number)
            try:
                await connect(client, number, random.choice(self._ports))
            except (BenchError, OSError, TimeoutError):
                self.refused += 1
                told = getattr(client, "retry_after", None)
                await asyncio.sleep(random.uniform(wait / 2, wait) if told is None else told)
                wait = min(2 * wait, most)
            else:
                self.back += 1
                return


async def load(*, dialect: str, cluster: dict[str, list[int]], sessions: int) -> dict[str, Any]:
    """The job of the load generator. It kills the third node."""
    protocol, payload = DIALECTS[dialect], make_payload(PAYLOAD_BYTES)
    *others, killed = cluster["ports"]
    *nodes, victim = cluster["nodes"]
    probe, storm = _Probe(protocol, payload), _Storm(protocol, payload, sessions, others)
    await connect_all(probe.clients, others)
    await connect_all(storm.clients, [killed])
    await asyncio.sleep(CALM_SECONDS)  # what deferred work there is of the joins
    probing = asyncio.create_task(probe.run())
    samples: list[tuple[float, int, float]] = []
    began = time.perf_counter()
    store = Meter(cluster["store"])
    sampling = asyncio.create_task(_sample(samples, storm, store))
    await asyncio.sleep(CALM_SECONDS)
    node_meter, store_meter, at = Meter(nodes), Meter(cluster["store"]), time.perf_counter()
    os.kill(victim, signal.SIGKILL)
    try:
        await storm.return_all()
    except TimeoutError:
        raise BenchError(f"{sessions - storm.back:,} sessions were not back after {GIVE_UP_SECONDS:g} s") from None
    end = time.perf_counter()
    node_cpu, store_cpu = node_meter.read()[0], store_meter.read()[0]
    await asyncio.sleep(CALM_SECONDS)
    sampling.cancel()
    probing.cancel()
    return {
        "back_seconds": end - at,
        "node_cpu": node_cpu,
        "store_cpu": store_cpu,
        "calm_p99_ms": _p99(probe.between(began, at)),
        "storm_p99_ms": _p99(probe.between(at, end)),
        "refused": storm.refused,
        "samples": _rows_of(samples, probe, at),
    }


async def _sample(samples: list[tuple[float, int, float]], storm: _Storm, store: Meter) -> None:
    """When, sessions back, CPU seconds of the store so far."""
    while True:
        samples.append((time.perf_counter(), storm.back, store.read()[0]))
        await asyncio.sleep(SAMPLE_SECONDS)


def _p99(ordered: Sequence[float]) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else 0.0


def _rows_of(samples: Sequence[tuple[float, int, float]], probe: _Probe, killed_at: float) -> list[list[float]]:
    rows: list[list[float]] = []
    for (before, _, used_before), (now, back, used) in pairwise(samples):
        worst = max(probe.between(before, now), default=0.0)
        rows.append([round(now - killed_at, 2), back, round(worst, 2), round((used - used_before) / (now - before), 3)])
    return rows


def measure(*, rounds: int, sessions: int, report: Callable[[str], None]) -> Sequence[Row]:
    """Measure all systems in turn, once per round. `report` gets a line for each run."""
    rows = {system.key: Row(system.key, system.title, sessions) for system in SYSTEMS}
    for number in range(1, rounds + 1):
        for system in SYSTEMS:
            report(f"storm of {sessions:,}, round {number} of {rounds}: {system.title}")
            row = rows[system.key]
            try:
                result = _measure_system(system, sessions)
            except BenchError as error:
                row.errors.append(str(error))
                continue
            row.samples = result.pop("samples")
            for name, figure in result.items():
                getattr(row, name).append(figure)
    return list(rows.values())


def _measure_system(system: System, sessions: int) -> dict[str, Any]:
    with running(system) as cluster:
        result: dict[str, Any] = run_job(
            "storm",
            180,
            dialect=system.dialect,
            cluster={"ports": cluster.ports, "nodes": cluster.nodes, "store": cluster.store},
            sessions=sessions,
        )
    return result
