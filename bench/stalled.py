"""Do sockets that stop reading delay the others?

500 sockets in a room, 1 % of which stop reading after the join. The latency of the others at W=1 with 4 KiB of payload
is compared with a run in which all of them read. The node may buffer OUTBOX_MAX_BYTES for each stalled socket, and
has to apply SLOW_POLICY: `disconnect` closes it with 4002, `skip` sends it `resync`.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from .clients import Client, Crowd, connect, connect_all
from .dialects import DIALECTS, make_payload
from .errors import BenchError
from .generator import run_job
from .load import ClosedLoop, check_exact
from .proc import read_resident
from .servers import NAIVE, TANNOY, System, running

PAYLOAD_BYTES = 4096  # large enough to fill an outbox several times within a run
ROOM = "bench"
OUTBOX_MAX_BYTES = 1_048_576  # Tannoy's default
WARM_UP_SECONDS = 0.5
DRAIN_SECONDS = 4.0  # without a message for this long, no further one is expected
READ_AGAIN_SECONDS = 2.0
SAMPLE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Case:
    """A server with a slow policy. `stall`: the last hundredth of the sockets stop reading."""

    key: str
    title: str
    system: System
    policy: str
    stall: bool
    at_least_seconds: float = 0.0
    once: bool = False  # measured in the first round only


CONTROLS = ("control", "again")  # two equal runs: their difference is the noise of this benchmark
CASES = (
    Case("control", "Tannoy, all sockets read", TANNOY, "disconnect", stall=False),
    Case("disconnect", "Tannoy, `SLOW_POLICY=disconnect`", TANNOY, "disconnect", stall=True),
    Case("skip", "Tannoy, `SLOW_POLICY=skip`", TANNOY, "skip", stall=True),
    Case("again", "Tannoy, all sockets read, again", TANNOY, "disconnect", stall=False),
    Case("naive", "Starlette, `gather(send_text …)`", NAIVE, "", stall=True, at_least_seconds=4.0, once=True),
)


@dataclass(slots=True)
class Row:
    """One case. Lists have one figure per round."""

    case: str
    title: str
    p50_ms: list[float] = field(default_factory=list[float])
    p99_ms: list[float] = field(default_factory=list[float])
    p99_ratio: list[float] = field(default_factory=list[float])  # to the mean of the controls of the same round
    messages: list[int] = field(default_factory=list[int])
    growth_bytes: list[int] = field(default_factory=list[int])  # of the node's resident memory, at its peak
    stalled: int = 0
    outcomes: list[str] = field(default_factory=list[str])  # what the stalled sockets received in the end
    stuck: int = 0  # rounds in which the other sockets received no further messages
    errors: list[str] = field(default_factory=list[str])


async def _record_peak(node: int, highest: list[int]) -> None:
    while True:
        highest[0] = max(highest[0], read_resident(node))
        await asyncio.sleep(SAMPLE_SECONDS)


async def _read_outcome(stalled: Sequence[Client]) -> str:
    """Let the stalled sockets read again, and describe what they receive."""
    for client in stalled:
        if client.transport is not None and not client.closed.done():
            client.transport.resume_reading()
    await asyncio.wait([client.closed for client in stalled], timeout=READ_AGAIN_SECONDS)
    closed = sum(client.closed.done() for client in stalled)
    codes = sorted({client.close_code or 1006 for client in stalled if client.closed.done()})
    resyncs = sum(any(note.startswith(b'{"type":"resync"') for note in client.notes) for client in stalled)
    parts = [f"{closed} of {len(stalled)} closed, code {', '.join(map(str, codes))}"] if closed else []
    parts += [f"{resyncs} of {len(stalled)} received `resync`"] if resyncs else []
    return "; ".join(parts) or "still connected: no outbox overflowed"


async def load(
    *, dialect: str, port: int, node: int, sockets: int, stalled: int, stall: bool, seconds: float
) -> dict[str, Any]:
    """The job of the load generator: with `stall`, stop reading on the last sockets; run the loop on the others."""
    protocol, payload = DIALECTS[dialect], make_payload(PAYLOAD_BYTES)
    crowd = Crowd(sockets - stalled)
    others = [Client(protocol, ROOM, n, payload, crowd) for n in range(sockets - stalled)]
    few = [Client(protocol, ROOM, n, payload, crowd, counts=False) for n in range(sockets - stalled, sockets)]
    await connect_all(others, [port])
    for number, client in enumerate(few):
        await connect(client, number, port, stalled=stall)
    text = protocol.encode_message(ROOM, payload)
    await ClosedLoop(crowd, others[0], text, 1).run(WARM_UP_SECONDS)
    if stall:
        for client in few:
            if client.transport is not None:
                client.transport.pause_reading()
    start = read_resident(node)
    highest = [start]
    watch = asyncio.create_task(_record_peak(node, highest))
    run = await ClosedLoop(crowd, others[0], text, 1).run(seconds, DRAIN_SECONDS)
    watch.cancel()
    if not run.stuck:
        await check_exact(others, crowd.everyone_has)
    return {
        "p50_ms": run.percentile(0.5), "p99_ms": run.percentile(0.99), "messages": run.messages, "stuck": run.stuck,
        "growth": highest[0] - start, "outcome": await _read_outcome(few) if stall and not run.stuck else "",
    }  # fmt: skip


def measure(*, rounds: int, seconds: float, sockets: int, report: Callable[[str], None]) -> list[Row]:
    """Measure all cases, once per round; every other round in reverse, so that no case is always the first."""
    rows = {case.key: Row(case.key, case.title) for case in CASES}
    for number in range(1, rounds + 1):
        found: dict[str, dict[str, Any]] = {}
        for case in CASES if number % 2 else reversed(CASES):
            if case.once and number > 1:
                continue
            report(f"stalled, round {number} of {rounds}: {case.title}")
            try:
                found[case.key] = _measure_case(case, sockets, seconds)
            except BenchError as error:
                rows[case.key].errors.append(str(error))
        controls = [found[key]["p99_ms"] for key in CONTROLS if key in found]
        for key, result in found.items():
            _add_result(rows[key], result, 0.0 if key == "naive" or not controls else mean(controls))
    return list(rows.values())


def _add_result(row: Row, result: dict[str, Any], control: float) -> None:
    row.p50_ms.append(result["p50_ms"])
    row.p99_ms.append(result["p99_ms"])
    row.messages.append(result["messages"])
    row.growth_bytes.append(result["growth"])
    row.stalled = result["stalled"]
    row.stuck += result["stuck"]
    if result["outcome"] and result["outcome"] not in row.outcomes:
        row.outcomes.append(result["outcome"])
    if control and not result["stuck"]:
        row.p99_ratio.append(result["p99_ms"] / control)


def _measure_case(case: Case, sockets: int, seconds: float) -> dict[str, Any]:
    stalled = max(sockets // 100, 1)
    seconds = max(seconds, case.at_least_seconds)
    settings = {"TANNOY_SLOW_POLICY": case.policy} if case.policy else {}
    with running(case.system, settings) as cluster:
        result: dict[str, Any] = run_job(
            "stalled",
            90 + seconds,
            dialect=case.system.dialect,
            port=cluster.ports[0],
            node=cluster.nodes[0],
            sockets=sockets,
            stalled=stalled,
            stall=case.stall,
            seconds=seconds,
        )
    return {**result, "stalled": stalled if case.stall else 0}
