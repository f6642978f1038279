"""How much memory does an idle session need?

Sessions join rooms of 100 and then only answer pings. The node's memory is read with a small number of sessions and
with all of them, each time once it no longer changes; the difference is divided by the sessions opened in between.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from .clients import Client, Crowd, connect_all
from .dialects import DIALECTS, make_payload
from .errors import BenchError
from .generator import run_job
from .proc import list_descendants, raise_file_limit, read_memory, read_resident
from .servers import BROADCAST, CENTRIFUGO, FLOOR, NAIVE, NCHAN, TANNOY, System, running

ROOM_SIZE = 100
WARM_UP_SESSIONS = 200
SETTLE_SECONDS = 15
STEADY_SECONDS = 3  # without growth for this long, the memory is settled
STEADY_BYTES = 64 * 1024
SPARE_FILES = 500  # open files of a process besides the sockets of sessions
# The rivals get half the sessions, to keep the run short: they need more memory per session.
SHARES = ((TANNOY, 1.0), (CENTRIFUGO, 0.5), (NCHAN, 0.5), (FLOOR, 0.5), (NAIVE, 0.5), (BROADCAST, 0.5))


@dataclass(slots=True)
class Row:
    """One server's growth, in bytes per session."""

    system: str
    title: str
    sessions: int
    rss: float = 0.0
    pss: float = 0.0
    private: float = 0.0
    seconds: float = 0.0  # time to connect all sessions
    presence: bool = False  # the welcome counted the users of the room
    error: str | None = None


async def _read_settled_memory(pid: int) -> dict[str, int]:
    """The memory of a process and its children once it no longer changes, or after SETTLE_SECONDS."""
    pids = list_descendants([pid])
    steady, last = 0, sum(map(read_resident, pids))
    for _ in range(SETTLE_SECONDS):
        await asyncio.sleep(1)
        now = sum(map(read_resident, pids))
        steady = steady + 1 if abs(now - last) < STEADY_BYTES else 0
        last = now
        if steady >= STEADY_SECONDS:
            break
    sizes = [asdict(read_memory(each)) for each in pids]
    return {name: sum(size[name] for size in sizes) for name in sizes[0]}


async def load(*, dialect: str, port: int, node: int, sessions: int) -> dict[str, Any]:
    """In the generator: connect some, read the node's memory, connect the rest, read it again."""
    loop = asyncio.get_running_loop()
    protocol, payload, crowd = DIALECTS[dialect], make_payload(64), Crowd(0)
    numbers = range(WARM_UP_SESSIONS + sessions)
    clients = [Client(protocol, f"room-{n // ROOM_SIZE}", n, payload, crowd) for n in numbers]
    await connect_all(clients[:WARM_UP_SESSIONS], [port])
    before = await _read_settled_memory(node)
    begun = loop.time()
    await connect_all(clients[WARM_UP_SESSIONS:], [port])
    seconds = loop.time() - begun
    after = await _read_settled_memory(node)
    if lost := sum(client.closed.done() for client in clients):
        raise BenchError(f"{lost} of {len(clients)} sessions were closed while idle")
    growth = {name: (after[name] - before[name]) / sessions for name in before}
    return {**growth, "seconds": seconds, "presence": b'"users_count"' in clients[-1].welcome}


def measure(*, sessions: int, report: Callable[[str], None]) -> list[Row]:
    """Measure each server once. `report` gets a line for each run."""
    most = raise_file_limit() - SPARE_FILES - WARM_UP_SESSIONS
    return [_measure_system(system, min(int(sessions * share), most), report) for system, share in SHARES]


def _measure_system(system: System, sessions: int, report: Callable[[str], None]) -> Row:
    report(f"idle, {sessions:,} sessions: {system.title}")
    row = Row(system.key, system.title, sessions)
    try:
        with running(system) as cluster:
            growth: dict[str, Any] = run_job(
                "idle",
                240,
                dialect=system.dialect,
                port=cluster.ports[0],
                node=cluster.nodes[0],
                sessions=sessions,
            )
    except BenchError as error:
        row.error = str(error)
    else:
        row.rss, row.pss, row.private, row.seconds = (growth[key] for key in ("rss", "pss", "private", "seconds"))
        row.presence = growth["presence"]
    return row
