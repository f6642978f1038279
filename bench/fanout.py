"""How many deliveries does a server make per CPU-second?

500 sockets in one room, 64 bytes of payload, a closed loop with W messages in flight. With two nodes the sockets are
split evenly, and the sender is connected to the first. The CPU time is that of all processes, with Valkey.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .clients import Client, Crowd, connect_all
from .dialects import DIALECTS, make_payload
from .errors import BenchError
from .generator import run_job
from .load import ClosedLoop, Meter, check_exact
from .servers import (
    BROADCAST,
    CENTRIFUGO_2,
    FLOOR,
    NAIVE,
    NCHAN_2,
    SOCKET_IO,
    SOCKET_IO_2,
    TANNOY,
    TANNOY_2,
    Cluster,
    System,
    running,
)

SYSTEMS = (FLOOR, NAIVE, BROADCAST, SOCKET_IO, TANNOY, SOCKET_IO_2, CENTRIFUGO_2, NCHAN_2, TANNOY_2)
UNDER_WAY = (1, 8)
SOCKETS = 500
PAYLOAD_BYTES = 64
ROOM = "bench"
SUBSCRIBED_SECONDS = 0.5
"""Some servers confirm a join before their store has subscribed them."""
WARM_UP_SECONDS = 0.5


@dataclass(slots=True)
class Row:
    """One system at one W (`under_way`). Lists have one figure per round."""

    system: str
    title: str
    nodes: int
    under_way: int
    per_cpu_second: list[float] = field(default_factory=list[float])
    per_second: list[float] = field(default_factory=list[float])
    p50_ms: list[float] = field(default_factory=list[float])
    p99_ms: list[float] = field(default_factory=list[float])
    store_share: list[float] = field(default_factory=list[float])  # of the CPU time
    kernel_share: list[float] = field(default_factory=list[float])
    frame_bytes: int = 0  # the text of a message as it arrived, frame header not counted
    numbered: bool = False  # messages had an offset, so they were stored as history
    errors: list[str] = field(default_factory=list[str])

    def add(self, point: dict[str, Any]) -> None:
        """Add the figures of one round."""
        cpu = point["node_cpu"] + point["store_cpu"]
        self.per_cpu_second.append(point["deliveries"] / cpu)
        self.per_second.append(point["deliveries"] / point["wall"])
        self.p50_ms.append(point["p50_ms"])
        self.p99_ms.append(point["p99_ms"])
        self.store_share.append(point["store_cpu"] / cpu)
        self.kernel_share.append(point["kernel_cpu"] / cpu)
        self.frame_bytes, self.numbered = point["frame_bytes"], point["numbered"]


async def load(
    *, dialect: str, cluster: dict[str, list[int]], sockets: int, under_way: list[int], seconds: float
) -> list[dict[str, Any]]:
    """The job of the load generator: connect the sockets once, then run the loop for each W."""
    protocol, payload = DIALECTS[dialect], make_payload(PAYLOAD_BYTES)
    crowd = Crowd(sockets)
    clients = [Client(protocol, ROOM, n, payload, crowd) for n in range(sockets)]
    await connect_all(clients, cluster["ports"])
    await asyncio.sleep(SUBSCRIBED_SECONDS)
    text = protocol.encode_message(ROOM, payload)
    points: list[dict[str, Any]] = []
    for messages_under_way in under_way:
        await ClosedLoop(crowd, clients[0], text, messages_under_way).run(WARM_UP_SECONDS)
        node, store = Meter(cluster["nodes"]), Meter(cluster["store"])
        run = await ClosedLoop(crowd, clients[0], text, messages_under_way).run(seconds)
        (node_cpu, node_kernel), (store_cpu, store_kernel) = node.read(), store.read()
        await check_exact(clients, crowd.everyone_has)
        if run.stuck or crowd.failure is not None or not run.messages:
            raise BenchError(crowd.failure or "messages were lost: the loop stopped")
        points.append(
            {
                "deliveries": run.messages * sockets,
                "wall": run.wall_seconds,
                "node_cpu": node_cpu,
                "store_cpu": store_cpu,
                "kernel_cpu": node_kernel + store_kernel,
                "p50_ms": run.percentile(0.5),
                "p99_ms": run.percentile(0.99),
                "frame_bytes": len(crowd.sample),
                "numbered": b'"offset":' in crowd.sample,
            }
        )
    return points


def measure(*, rounds: int, seconds: float, sockets: int, report: Callable[[str], None]) -> list[Row]:
    """Measure all systems in turn, once per round. Each run starts its servers anew. `report` gets a line for each."""
    rows = {
        (system.key, w): Row(system.key, system.title, system.nodes, w) for system in SYSTEMS for w in UNDER_WAY
    }  # fmt: skip
    for number in range(1, rounds + 1):
        for system in SYSTEMS:
            report(f"fan-out, round {number} of {rounds}: {system.title}")
            try:
                with running(system) as cluster:
                    points = _measure_system(system, cluster, sockets, seconds)
            except BenchError as error:
                for w in UNDER_WAY:
                    rows[system.key, w].errors.append(str(error))
                continue
            for w, point in zip(UNDER_WAY, points, strict=True):
                rows[system.key, w].add(point)
    return list(rows.values())


def _measure_system(system: System, cluster: Cluster, sockets: int, seconds: float) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = run_job(
        "fanout",
        60 + len(UNDER_WAY) * (seconds + 12),
        dialect=system.dialect,
        cluster={"ports": cluster.ports, "nodes": cluster.nodes, "store": cluster.store},
        sockets=sockets,
        under_way=list(UNDER_WAY),
        seconds=seconds,
    )
    return points
