"""What does a message cost where rooms are small?

Two sockets in each of 150 rooms, one at each of two nodes. Messages come at a fixed rate, to one room after the other,
from its two sockets in turn. The CPU time of the nodes, and that of the store, is divided by the messages.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .clients import Client, Crowd, connect_all, encode_frame
from .dialects import DIALECTS, make_payload
from .errors import BenchError
from .generator import run_job
from .load import Meter
from .servers import CENTRIFUGO_2, NCHAN_2, TANNOY_2, System, running

SYSTEMS = (TANNOY_2, CENTRIFUGO_2, NCHAN_2)
ROOMS = 150
PER_SECOND = 3_000
PAYLOAD_BYTES = 64
TICK_SECONDS = 0.01
WARM_UP_SECONDS = 0.5
SUBSCRIBED_SECONDS = 1.0
"""Some servers confirm a join before their store has subscribed them."""
ARRIVED_SECONDS = 5.0


@dataclass(slots=True)
class Row:
    """One system. Lists have one figure per round."""

    system: str
    title: str
    node_us: list[float] = field(default_factory=list[float])  # CPU of the nodes per message, microseconds
    store_us: list[float] = field(default_factory=list[float])  # CPU of Valkey
    per_second: list[float] = field(default_factory=list[float])  # messages that arrived at both sockets
    errors: list[str] = field(default_factory=list[str])


class _Rooms:
    """Two clients of each room, and how many messages each of them has to receive."""

    def __init__(self, dialect: str) -> None:
        protocol, payload, crowd = DIALECTS[dialect], make_payload(PAYLOAD_BYTES), Crowd(0)
        names = [f"room-{number}" for number in range(ROOMS)]
        self.clients = [
            Client(protocol, name, 2 * number + at, payload, crowd, counts=False)
            for number, name in enumerate(names)
            for at in range(2)
        ]
        self._frames = [encode_frame(protocol.encode_message(name, payload)) for name in names]
        self._expected = [0] * ROOMS
        self._sent = 0

    async def send(self, seconds: float) -> int:
        """Send at the rate; returns how many messages, once all have arrived. Raises BenchError."""
        first, begun = self._sent, time.perf_counter()
        while (elapsed := time.perf_counter() - begun) < seconds:
            while self._sent - first < elapsed * PER_SECOND:
                self._send_next()
            await asyncio.sleep(TICK_SECONDS)
        for _ in range(round(ARRIVED_SECONDS / TICK_SECONDS)):
            if self._have_arrived():
                return self._sent - first
            await asyncio.sleep(TICK_SECONDS)
        raise BenchError("messages were lost, or came twice")

    def _send_next(self) -> None:
        room, turn = self._sent % ROOMS, self._sent // ROOMS % 2
        transport = self.clients[2 * room + turn].transport
        if transport is None:
            raise BenchError("a socket was closed")
        transport.write(self._frames[room])
        self._expected[room] += 1
        self._sent += 1

    def _have_arrived(self) -> bool:
        return all(client.received == self._expected[at // 2] for at, client in enumerate(self.clients))


async def load(*, dialect: str, cluster: dict[str, list[int]], seconds: float) -> dict[str, Any]:
    """The job of the load generator."""
    rooms = _Rooms(dialect)
    await connect_all(rooms.clients, cluster["ports"])
    await asyncio.sleep(SUBSCRIBED_SECONDS)
    await rooms.send(WARM_UP_SECONDS)
    node, store = Meter(cluster["nodes"]), Meter(cluster["store"])
    begun = time.perf_counter()
    messages = await rooms.send(seconds)
    wall = time.perf_counter() - begun
    return {"messages": messages, "wall": wall, "node_cpu": node.read()[0], "store_cpu": store.read()[0]}


def measure(*, rounds: int, seconds: float, report: Callable[[str], None]) -> Sequence[Row]:
    """Measure all systems in turn, once per round. `report` gets a line for each run."""
    rows = {system.key: Row(system.key, system.title) for system in SYSTEMS}
    for number in range(1, rounds + 1):
        for system in SYSTEMS:
            report(f"small rooms, round {number} of {rounds}: {system.title}")
            row = rows[system.key]
            try:
                result = _measure_system(system, seconds)
            except BenchError as error:
                row.errors.append(str(error))
                continue
            row.node_us.append(result["node_cpu"] / result["messages"] * 1e6)
            row.store_us.append(result["store_cpu"] / result["messages"] * 1e6)
            row.per_second.append(result["messages"] / result["wall"])
    return list(rows.values())


def _measure_system(system: System, seconds: float) -> dict[str, Any]:
    with running(system) as cluster:
        result: dict[str, Any] = run_job(
            "small_rooms",
            60 + seconds,
            dialect=system.dialect,
            cluster={"ports": cluster.ports, "nodes": cluster.nodes, "store": cluster.store},
            seconds=seconds,
        )
    return result
