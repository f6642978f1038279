"""What does history cost, and how soon are missing messages found and delivered?

The cost of a publish is the whole CPU time per message of a Valkey with three subscribed connections, as the kernel
counts it: with history and without, one message at a time and several in a pipeline. Delays are measured at a client.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from tannoy.fanout.batches import batched
from tannoy.fanout.history.publish_batches import MESSAGES_AT_ONCE
from tannoy.fanout.pubsub.envelope import pack_publication
from tannoy.fanout.redis.connection import RedisConnection, Word, pack
from tannoy.fanout.redis.opening import connect
from tannoy.fanout.scripts import PUBLISH, PUBLISH_MANY, SERVER_ENSURE
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName, SessionId, UserId
from tannoy.shared.protocol.codec import encode_frame
from tannoy.shared.protocol.frames import Author, MessageFrame
from tannoy.shared.publication import Publication

from .live import LiveCluster, NodeProcess, ValkeyProcess, wait_for
from .rows import Row
from .session import Session

MESSAGES = 20_000
DEPTHS = (1, 8, 200)
"""Messages in flight at a time."""
LINKS = 3
"""Connections that are subscribed to the channel."""
CUTS = 60
FREEZES = 5
RESTARTS = 3
SESSIONS, ROOMS_EACH = 20, 500
RECOVERIES = 200
MISSED = 100


class _Publishing:
    """A connection that publishes, with the commands to publish with and without history.

    Those that are in flight at a time are published in one turn of the event loop, as by a node: with history in calls
    of as many as go together.
    """

    def __init__(self, valkey: ValkeyProcess, connection: RedisConnection) -> None:
        keyspace = Keyspace("bench")
        room = keyspace.room(RoomName("lobby"))
        author = Author(UserId("ada"), "Ada", SessionId("abcdefghijklmnop"))
        envelope = pack_publication(
            Publication(encode_frame(MessageFrame(room, author, "x" * 64, "2026-11-21T08:15:30.123Z")))
        )
        self.room = room
        self.server = keyspace.server(room.partition)
        self._plain: tuple[Word, ...] = ("PUBLISH", room.address, envelope)
        self._keys, self._shared, self._envelope = keyspace.history(room), (100, 300, 3600, 5500), envelope
        self._valkey = valkey
        self._connection = connection

    async def prepare(self) -> None:
        for script in (SERVER_ENSURE, PUBLISH, PUBLISH_MANY):
            await self._connection.send("SCRIPT", "LOAD", script.source)
        await self._connection.send(*SERVER_ENSURE.call((self.server,), (0,)))

    async def measure_plain(self, depth: int) -> float:
        return await self._measure([self._plain] * depth, depth)

    async def measure_kept(self, depth: int) -> float:
        batches = batched(range(depth), MESSAGES_AT_ONCE)
        return await self._measure([self._kept(len(batch)) for batch in batches], depth)

    def _kept(self, messages: int) -> tuple[Word, ...]:
        address = self.room.address
        if messages == 1:
            return PUBLISH.call(self._keys, (*self._shared, address, self._envelope, 300))
        return PUBLISH_MANY.call(self._keys, (*self._shared, 1, address, *(1, self._envelope, "") * messages))

    async def _measure(self, commands: Sequence[tuple[Word, ...]], messages: int) -> float:
        """Microseconds of the server's CPU time for each message, with so many in flight, in these commands."""
        count = MESSAGES if messages > 1 else MESSAGES // 4
        before = await self._cpu_seconds()
        for _ in range(count // messages):
            await asyncio.gather(*(self._connection.send(*words) for words in commands))
        return (await self._cpu_seconds() - before) / count * 1e6

    async def _cpu_seconds(self) -> float:
        used: dict[str, float] = await self._valkey.run("INFO", "cpu")
        return used["used_cpu_user"] + used["used_cpu_sys"]


async def _measure_cost(rows: dict[str, Row]) -> None:
    async with ValkeyProcess() as valkey:
        connections = [
            await connect(valkey.address, name="bench", on_pushes=lambda _: None, timeout=5) for _ in range(LINKS + 1)
        ]
        publishing = _Publishing(valkey, connections[0])
        for link in connections[1:]:
            link.write(pack(("SUBSCRIBE", publishing.room.address)))
        await publishing.prepare()
        for depth in DEPTHS:
            plain = await publishing.measure_plain(depth)
            kept = await publishing.measure_kept(depth)
            rows[f"plain_{depth}"].figures.append(plain)
            rows[f"kept_{depth}"].figures.append(kept)
            rows[f"ratio_{depth}"].figures.append(kept / plain)
        for connection in connections:
            connection.abort()


async def _measure_cuts(cluster: LiveCluster, row: Row) -> None:
    """Kill a node's link and publish before it is back: from the `ok` until a client of that node has the message."""
    other, node = cluster.nodes
    receiver = await node.connect("/ws/chat/cut")
    author = await other.connect("/ws/chat/cut")
    link = f"tannoy-link-{node.name}"
    for number in range(CUTS):
        clients: list[dict[str, Any]] = await cluster.valkey.client.client_list()
        await cluster.valkey.run("CLIENT", "KILL", "ID", *(one["id"] for one in clients if one["name"] == link))
        await author.call("message", content=number)
        published = time.perf_counter()
        await _receive_content(receiver, number)
        row.figures.append((time.perf_counter() - published) * 1000)
        await wait_for(lambda: _is_live(node), within=5)


async def _receive_content(session: Session, content: int) -> None:
    await session.find(lambda frame: frame.get("content") == content)


async def _is_live(node: NodeProcess) -> bool:
    return bool((await node.diagnostics())["link"]["live"])


async def _measure_freezes(cluster: LiveCluster, row: Row) -> None:
    """Freeze Valkey: until `/health/ready` of a node answers 503."""
    node = cluster.nodes[0]
    for _ in range(FREEZES):
        await wait_for(node.is_ready, within=30)
        cluster.valkey.send_signal(signal.SIGSTOP)
        frozen = time.perf_counter()
        await wait_for(lambda: _is_not_ready(node), within=30)
        row.figures.append(time.perf_counter() - frozen)
        cluster.valkey.send_signal(signal.SIGCONT)
    await wait_for(node.is_ready, within=30)


async def _is_not_ready(node: NodeProcess) -> bool:
    return not await node.is_ready()


async def _measure_recovery(cluster: LiveCluster, row: Row) -> None:
    """Join with a position that MISSED messages follow: from the command until the last of them is received."""
    node = cluster.nodes[0]
    session = await node.connect("/ws")
    start = await session.call("join", room="recovered")
    for number in range(MISSED):
        last = await session.call("message", room="recovered", content=number)
    await session.close()
    for _ in range(RECOVERIES):
        session = await node.connect("/ws")
        began = time.perf_counter()
        await session.call("join", room="recovered", recover={"epoch": start["epoch"], "offset": start["offset"]})
        await session.find(lambda frame: frame.get("offset") == last["offset"] and frame["type"] == "message")
        row.figures.append((time.perf_counter() - began) * 1000)
        await session.close()


async def _measure_restarts(cluster: LiveCluster, row: Row) -> None:
    """SESSIONS sessions in ROOMS_EACH rooms each. Restart Valkey: until a node is subscribed to all rooms again."""
    node = cluster.nodes[0]
    for number in range(SESSIONS):
        session = await node.connect("/ws")
        for room in range(ROOMS_EACH):
            await session.call("join", room=f"{number}.{room}")
    for _ in range(RESTARTS):
        await cluster.valkey.kill()
        await cluster.valkey.start()
        started = time.perf_counter()
        await wait_for(lambda: _is_live(node), within=30)
        row.figures.append(time.perf_counter() - started)
        await wait_for(node.is_ready, within=30)


def _build_rows() -> dict[str, Row]:
    rows: list[Row] = []
    for depth in DEPTHS:
        in_flight = "one at a time" if depth == 1 else f"{depth} in flight"
        rows += [
            Row(f"plain_{depth}", f"CPU time of Redis for a message without history, {in_flight}", "µs", 0),
            Row(f"kept_{depth}", "… with history", "µs", 0),
            Row(f"ratio_{depth}", "… which is", "×", 1.5 if depth == 200 else 2),
        ]
    channels = f"{SESSIONS * ROOMS_EACH:,} channels"
    rows += [
        Row("cut", "link killed: from `ok` of a message published meanwhile until its delivery", "ms", 2500),
        Row("frozen", "Redis frozen: until `/health/ready` answers 503", "s", 3),
        Row("recovered", f"from `join` until {MISSED} missed messages are received", "ms", 0),
        Row("restarted", f"Redis restarted: until {channels} are subscribed again", "s", 3),
    ]
    return {row.key: row for row in rows}


async def _measure(rounds: int, report: Callable[[str], None]) -> list[Row]:
    rows = _build_rows()
    for number in range(rounds):
        report(f"history, cost of a publish, round {number + 1}")
        await _measure_cost(rows)
    async with LiveCluster(HISTORY_SIZE="100") as cluster:
        report("history, killed links")
        await _measure_cuts(cluster, rows["cut"])
        report("history, recoveries")
        await _measure_recovery(cluster, rows["recovered"])
        report("history, freezes")
        await _measure_freezes(cluster, rows["frozen"])
        report(f"history, {SESSIONS * ROOMS_EACH:,} channels and restarts")
        await _measure_restarts(cluster, rows["restarted"])
    return list(rows.values())


def measure(*, rounds: int, report: Callable[[str], None]) -> list[Row]:
    """Run the benchmark. `report` gets a line for each step."""
    return asyncio.run(_measure(rounds, report))
