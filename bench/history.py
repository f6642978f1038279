"""What does history cost, and how soon is a hole found and filled?

The cost of a publish is the whole CPU time of a Valkey with three links, as the kernel counts it, per message: with
history and without, one at a time and many in a pipeline. The delays are those that a client sees.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from tannoy.fanout.pubsub.envelope import pack_publication
from tannoy.fanout.redis.connection import RedisConnection, Word, connect, pack
from tannoy.fanout.scripts import PUBLISH, SERVER_ENSURE
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName, SessionId, UserId
from tannoy.shared.protocol.codec import encode_frame
from tannoy.shared.protocol.frames import Author, MessageFrame
from tannoy.shared.publication import Publication

from tests.support.client import Client
from tests.support.cluster import Cluster, NodeProcess
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

from .rows import Row

MESSAGES = 20_000
DEPTHS = (1, 8, 200)
"""Messages that are under way at once."""
LINKS = 3
CUTS = 60
FREEZES = 5
RESTARTS = 3
SESSIONS, ROOMS_EACH = 20, 500
RECOVERIES = 200
MISSED = 100


class _Publishing:
    """One connection that publishes, and LINKS that hear it."""

    def __init__(self, valkey: Valkey, wire: RedisConnection) -> None:
        keyspace = Keyspace("bench")
        room = keyspace.room(RoomName("lobby"))
        author = Author(UserId("ada"), "Ada", SessionId("abcdefghijklmnop"))
        envelope = pack_publication(
            Publication(encode_frame(MessageFrame(room, author, "x" * 64, "2026-11-21T08:15:30.123Z")))
        )
        self.room = room
        self.server = keyspace.server(room.partition)
        self.plain: tuple[Word, ...] = ("PUBLISH", room.address, envelope)
        self.kept = PUBLISH.call(keyspace.history(room), (room.address, envelope, 100, 300, 3600, 5500, 300))
        self._valkey = valkey
        self._wire = wire

    async def prepare(self) -> None:
        for script in (SERVER_ENSURE, PUBLISH):
            await self._wire.send("SCRIPT", "LOAD", script.source)
        await self._wire.send(*SERVER_ENSURE.call((self.server,), (0,)))

    async def cost(self, words: tuple[Word, ...], depth: int) -> float:
        """Microseconds of the server's CPU time for each message."""
        count = MESSAGES if depth > 1 else MESSAGES // 4
        before = await self._cpu()
        for _ in range(count // depth):
            await asyncio.gather(*(self._wire.send(*words) for _ in range(depth)))
        return (await self._cpu() - before) / count * 1e6

    async def _cpu(self) -> float:
        used: dict[str, float] = await self._valkey.run("INFO", "cpu")
        return used["used_cpu_user"] + used["used_cpu_sys"]


async def _measure_cost(rows: dict[str, Row]) -> None:
    async with Valkey() as valkey:
        address = valkey.address
        wires = [await connect(address, name="bench", on_pushes=lambda _: None, timeout=5) for _ in range(LINKS + 1)]
        publishing = _Publishing(valkey, wires[0])
        for link in wires[1:]:
            link.write(pack(("SUBSCRIBE", publishing.room.address)))
        await publishing.prepare()
        for depth in DEPTHS:
            plain = await publishing.cost(publishing.plain, depth)
            kept = await publishing.cost(publishing.kept, depth)
            rows[f"plain_{depth}"].figures.append(plain)
            rows[f"kept_{depth}"].figures.append(kept)
            rows[f"ratio_{depth}"].figures.append(kept / plain)
        for wire in wires:
            wire.abort()


async def _measure_cuts(cluster: Cluster, rows: dict[str, Row]) -> None:
    """A link is killed, a message is said before it is back: from its `ok` until the client behind that link has it."""
    speaker_node, node = cluster.nodes
    listener = await node.connect("/ws/chat/cut")
    speaker = await speaker_node.connect("/ws/chat/cut")
    link = f"tannoy-link-{node.name}"
    for number in range(CUTS):
        clients: list[dict[str, Any]] = await cluster.valkey.client.client_list()
        await cluster.valkey.run("CLIENT", "KILL", "ID", *(one["id"] for one in clients if one["name"] == link))
        await speaker.call("message", content=number)
        said = time.perf_counter()
        await _heard(listener, number)
        rows["cut"].figures.append((time.perf_counter() - said) * 1000)
        await eventually(lambda: _is_live(node), within=5, what="the link is back")


async def _heard(client: Client, content: int) -> None:
    await client.find(lambda frame: frame.get("content") == content, "the message")


async def _is_live(node: NodeProcess) -> bool:
    return bool((await node.diagnostics())["link"]["live"])


async def _measure_freezes(cluster: Cluster, row: Row) -> None:
    for _ in range(FREEZES):
        await eventually(lambda: _is_ready(cluster.nodes[0], True), within=30, what="ready")
        cluster.valkey.freeze()
        frozen = time.perf_counter()
        await eventually(lambda: _is_ready(cluster.nodes[0], False), within=30, what="not ready")
        row.figures.append(time.perf_counter() - frozen)
        cluster.valkey.thaw()
    await eventually(lambda: _is_ready(cluster.nodes[0], True), within=30, what="ready")


async def _is_ready(node: NodeProcess, wanted: bool) -> bool:
    return ((await node.http.get("/health/ready")).status_code == 200) is wanted


async def _measure_recovery(cluster: Cluster, row: Row) -> None:
    """MISSED messages, brought with the answer to `join`: from the command until the last of them is there."""
    node = cluster.nodes[0]
    client = await node.connect("/ws")
    start = await client.ok("join", room="recovered")
    for number in range(MISSED):
        last = await client.call("message", room="recovered", content=number)
    await client.close()
    for _ in range(RECOVERIES):
        client = await node.connect("/ws")
        began = time.perf_counter()
        await client.ok("join", room="recovered", recover={"epoch": start["epoch"], "offset": start["offset"]})
        await client.find(
            lambda frame: frame.get("offset") == last["offset"] and frame["type"] == "message", "the last"
        )
        row.figures.append((time.perf_counter() - began) * 1000)
        await client.close()


async def _measure_restarts(cluster: Cluster, row: Row) -> None:
    """SESSIONS in ROOMS_EACH rooms of their own; Redis is killed and comes back: until all is heard again."""
    node = cluster.nodes[0]
    for number in range(SESSIONS):
        client = await Client.open(f"{node.ws_url}/ws")
        for room in range(ROOMS_EACH):
            await client.call("join", room=f"{number}.{room}")
    for _ in range(RESTARTS):
        cluster.valkey.kill()
        await cluster.valkey.start()
        started = time.perf_counter()
        await eventually(lambda: _is_live(node), within=30, what="all is heard again")
        row.figures.append(time.perf_counter() - started)
        await eventually(lambda: _is_ready(node, True), within=30, what="ready")


async def _measure(rounds: int, tell: Callable[[str], None]) -> list[Row]:
    rows: dict[str, Row] = {}

    def ask(key: str, title: str, unit: str, wanted: float = 0) -> None:
        rows[key] = Row(key, title, unit, wanted)

    for depth in DEPTHS:
        at_once = "one at a time" if depth == 1 else f"{depth} under way at once"
        ask(f"plain_{depth}", f"CPU of Redis for a message without history, {at_once}", "µs")
        ask(f"kept_{depth}", "… with history", "µs")
        ask(f"ratio_{depth}", "… which is", "×", 2)
    ask("cut", "link killed: from `ok` of what was said meanwhile until it is delivered", "ms", 2500)
    ask("frozen", "from freezing Redis until `/health/ready` says 503", "s", 3)
    ask("recovered", f"from `join` until {MISSED} missed messages are there", "ms")
    ask("restarted", f"from Redis' restart until {SESSIONS * ROOMS_EACH:,} channels are heard again", "s", 3)

    for number in range(rounds):
        tell(f"history, cost of a publish, round {number + 1}")
        await _measure_cost(rows)
    async with Cluster(nodes=2, HISTORY_SIZE="100") as cluster:
        tell("history, links cut")
        await _measure_cuts(cluster, rows)
        tell("history, recoveries")
        await _measure_recovery(cluster, rows["recovered"])
        tell("history, freezes")
        await _measure_freezes(cluster, rows["frozen"])
        tell(f"history, {SESSIONS * ROOMS_EACH:,} channels and restarts")
        await _measure_restarts(cluster, rows["restarted"])
    return list(rows.values())


def measure(*, rounds: int, tell: Callable[[str], None]) -> list[Row]:
    """All rows."""
    return asyncio.run(_measure(rounds, tell))
