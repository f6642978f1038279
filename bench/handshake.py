"""What does opening and closing a connection cost?

64 clients at a time connect, wait for the first frame of the server (`welcome`, or a hello) and close; several thousand
in all. The CPU time of the node, with some seconds afterwards for deferred work, is divided by their number.
"""

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count as counting
from typing import Any

from .clients import Client, Crowd, connect
from .dialects import DIALECTS, make_payload
from .errors import BenchError
from .generator import run_job
from .load import Meter
from .servers import BROADCAST, CENTRIFUGO, FLOOR, NAIVE, NCHAN, TANNOY, System, running

AT_ONCE = 64
WARM_UP = 200
ROOMS = 500
# The leave is published after PRESENCE_GRACE (5 s); this work is part of the handshake's cost too.
AFTERWARDS_SECONDS = {"tannoy": 6.5}
NO_ROOM = dataclasses.replace(TANNOY, key="tannoy-ws", title="Tannoy, `/ws`: no room", dialect="tannoy, no room")
IN_ROOM = dataclasses.replace(TANNOY, title="Tannoy, `/ws/chat/{room}`: joins a room")
SYSTEMS = (NO_ROOM, IN_ROOM, CENTRIFUGO, NCHAN, FLOOR, NAIVE, BROADCAST)


@dataclass(slots=True)
class Row:
    """One server. Lists have one figure per round."""

    system: str
    title: str
    handshakes: int
    node_us: list[float] = field(default_factory=list[float])  # CPU of the node per handshake, microseconds
    store_us: list[float] = field(default_factory=list[float])  # CPU of Valkey
    per_second: list[float] = field(default_factory=list[float])
    presence: bool = False  # the welcome counted the users of the room
    errors: list[str] = field(default_factory=list[str])


async def _connect_and_close(dialect: str, port: int, numbers: range) -> bytes:
    """Open and close one connection for each number; returns the first frame of the last one."""
    welcome = b""
    protocol, payload, crowd = DIALECTS[dialect], make_payload(64), Crowd(0)
    turns = counting(numbers.start)

    async def work() -> None:
        nonlocal welcome
        while (n := next(turns)) < numbers.stop:
            client = await connect(Client(protocol, f"room-{n % ROOMS}", n, payload, crowd), n, port)
            if not await client.close() or client.close_code != 1000:
                raise BenchError(f"a connection was not closed properly, code {client.close_code}")
            welcome = client.welcome

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    return welcome


async def load(
    *, dialect: str, port: int, node: list[int], store: list[int], handshakes: int, afterwards: float
) -> dict[str, Any]:
    """The job of the load generator: some connections to warm up, then the measured ones."""
    loop = asyncio.get_running_loop()
    await _connect_and_close(dialect, port, range(WARM_UP))
    await asyncio.sleep(afterwards)
    node_meter, store_meter = Meter(node), Meter(store)
    begun = loop.time()
    welcome = await _connect_and_close(dialect, port, range(WARM_UP, WARM_UP + handshakes))
    seconds = loop.time() - begun
    await asyncio.sleep(afterwards)
    return {
        "node_cpu": node_meter.read()[0],
        "store_cpu": store_meter.read()[0],
        "seconds": seconds,
        "presence": b'"users_count"' in welcome,
    }


def measure(*, rounds: int, handshakes: int, report: Callable[[str], None]) -> list[Row]:
    """Measure all servers in turn, once per round. `report` gets a line for each run."""
    rows = {system.key: Row(system.key, system.title, handshakes) for system in SYSTEMS}
    for number in range(1, rounds + 1):
        for system in SYSTEMS:
            report(f"handshakes, round {number} of {rounds}: {system.title}")
            row = rows[system.key]
            try:
                result = _measure_system(system, handshakes)
            except BenchError as error:
                row.errors.append(str(error))
                continue
            row.node_us.append(result["node_cpu"] / handshakes * 1e6)
            row.store_us.append(result["store_cpu"] / handshakes * 1e6)
            row.presence = bool(result["presence"])
            row.per_second.append(handshakes / result["seconds"])
    return list(rows.values())


def _measure_system(system: System, handshakes: int) -> dict[str, float]:
    with running(system) as cluster:
        result: dict[str, float] = run_job(
            "handshake",
            180,
            dialect=system.dialect,
            port=cluster.ports[0],
            node=cluster.nodes,
            store=cluster.store,
            handshakes=handshakes,
            afterwards=AFTERWARDS_SECONDS.get(system.key, 0.5),
        )
    return result
