"""Redis holds what no node has written: no node ends or is kept from starting, and other rooms notice nothing.

Each case writes to keys of one room and one agent, and of their partitions. Another room, and another agent, in other
partitions, live on beside them; in the end the first ones work again too.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest
from tannoy.fanout.listening import ENCODED_TIMES, PRESENCE_MAX_BYTES, STREAM_TIMES
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.support.client import Client
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.node import HASTY, HASTY_LEASES
from tests.support.valkey import Valkey
from tests.support.waiting import eventually, value_becomes

TIMES = replace(
    HASTY,
    leases=replace(HASTY_LEASES, heartbeat_seconds=0.1, sweep_seconds=0.1, repair_seconds=0.05, round_seconds=0.4),
)
KEYSPACE = Keyspace("tannoy")
ROOM, AGENT = "odd", "odd"
NO_TEXT = b"\xff\xfe"
HUGE = b"9" * 300_000
FAR = "9007199254740993"
PAYLOAD_MAX_BYTES = ENCODED_TIMES * 65_536 + STREAM_TIMES * 1_048_576 + PRESENCE_MAX_BYTES
"""With the default settings."""
"""More than the exact integers of Lua, and far in the future as a time in milliseconds."""

Commands = list[tuple[str | bytes, ...]]


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of the keys of the odd room, of the odd agent and of their partitions; `incarnation` is the node's."""

    incarnation: str

    def __getitem__(self, kind: str) -> bytes:
        room, owner = KEYSPACE.room(RoomName(ROOM)), Owner(OwnerKind.AGENT, AGENT)
        part, leases = room.partition, KEYSPACE.leases(owner, self.incarnation)
        presence, history = KEYSPACE.presence(room), KEYSPACE.history(room)
        names: dict[str, bytes] = {
            "nodes": KEYSPACE.heartbeats(part),
            "server": KEYSPACE.server(part),
            "node-info": KEYSPACE.node_info(),
            **{kind: getattr(leases, kind) for kind in ("owners", "held", "info", "state", "limit", "limits")},
            "gone": KEYSPACE.disconnects(owner),
            "gone-owners": KEYSPACE.owners_with_disconnects(owner.partition),
            **{kind: getattr(presence, kind) for kind in ("rooms", "due", "users", "leaving")},
            "presence": presence.meta,
            "in": KEYSPACE.sessions_of_node(room, self.incarnation),
            "on": KEYSPACE.rooms_of_node(part, self.incarnation),
            "head": history.head,
            "log": history.log,
            "once": KEYSPACE.idempotency(room, "author", "key"),
        }
        return names[kind]


KINDS = (
    *("nodes", "server", "node-info", "owners", "held", "info", "state", "limit", "limits", "gone"),
    *("rooms", "due", "users", "leaving", "presence", "in", "on", "head", "log", "once"),
)
STRINGS = ("head", "once")
SETS, SORTED_SETS = ("owners", "on"), ("nodes", "held", "rooms", "due", "leaving")
HASHES = ("server", "node-info", "info", "state", "limit", "limits", "users", "presence", "in")


def _wrong_type(kind: str) -> Callable[[Keys], Commands]:
    """In one step: a node may write the key again as soon as it is missing."""
    script = "redis.call('DEL', KEYS[1]) redis.call(ARGV[1], KEYS[1], 7, 1)"
    return lambda keys: [("EVAL", script, "1", keys[kind], "SADD" if kind in STRINGS else "SETBIT")]


def _member(kind: str, member: str | bytes, score: str = "0") -> Callable[[Keys], Commands]:
    if kind in SETS:
        return lambda keys: [("SADD", keys[kind], member)]
    return lambda keys: [("ZADD", keys[kind], score, member)]


def _field(kind: str, field: str | bytes, value: str | bytes) -> Callable[[Keys], Commands]:
    """`ME`: the incarnation of the node."""
    return lambda keys: [("HSET", keys[kind], keys.incarnation if field == "ME" else field, value)]


def _every_field(kind: str, value: str | bytes) -> Callable[[Keys], Commands]:
    """Every value of a hash that the node has written becomes this one; its number of fields stays the same."""
    script = "for _, f in ipairs(redis.call('HKEYS', KEYS[1])) do redis.call('HSET', KEYS[1], f, ARGV[1]) end"
    return lambda keys: [("EVAL", script, "1", keys[kind], value)]


def _text(kind: str, value: str | bytes) -> Callable[[Keys], Commands]:
    return lambda keys: [("SET", keys[kind], value)]


def _with_life(kind: str, rest: str) -> Callable[[Keys], Commands]:
    script = "return redis.call('SET', KEYS[2], redis.call('HGET', KEYS[1], 'life') .. ARGV[1])"
    return lambda keys: [("EVAL", script, "2", keys["server"], keys[kind], rest)]


CASES: dict[str, Callable[[Keys], Commands]] = {
    **{f"{kind}: wrong type": _wrong_type(kind) for kind in KINDS},
    **{f"{kind}: no UTF-8": _member(kind, NO_TEXT) for kind in (*SETS, *SORTED_SETS)},
    **{f"{kind}: empty member": _member(kind, "") for kind in (*SETS, "nodes", "due")},
    **{f"{kind}: huge member": _member(kind, HUGE) for kind in (*SETS, "nodes", "held", "due")},
    **{f"{kind}: far future": _member(kind, "far", FAR) for kind in SORTED_SETS},
    **{f"{kind}: for ever": _member(kind, "ever", "+inf") for kind in SORTED_SETS},
    **{f"{kind}: no number or JSON": _every_field(kind, "{") for kind in HASHES},
    **{f"{kind}: empty values": _every_field(kind, "") for kind in HASHES},
    **{f"{kind}: values without UTF-8": _every_field(kind, NO_TEXT) for kind in HASHES},
    **{f"{kind}: values far in the future": _every_field(kind, FAR) for kind in HASHES},
    **{f"{kind}: huge values": _every_field(kind, HUGE) for kind in ("server", "info", "users", "presence")},
    **{f"{kind}: odd field": _field(kind, NO_TEXT, NO_TEXT) for kind in HASHES},
    "rooms: of another partition": _member("rooms", "lobby", "3"),
    "due: of another partition": _member("due", "lobby"),
    "on: of another partition": _member("on", "lobby"),
    "owners: of another partition": _member("owners", "agent:42"),
    "owners: unknown kind": _member("owners", "robot:1"),
    "node-info: of a living node": _field("node-info", "ME", "{"),
    "gone: no JSON": lambda keys: [("LPUSH", keys["gone"], NO_TEXT, "{", "[]", "")],
    "gone: huge": lambda keys: [("LPUSH", keys["gone"], HUGE)],
    "head: no UTF-8": _text("head", NO_TEXT),
    "head: empty": _text("head", ""),
    "head: set back": _with_life("head", "-x 0"),
    "head: far ahead": _with_life("head", f"-x {FAR}"),
    "head: beyond all numbers": _with_life("head", f"-x {'9' * 400}"),
    "head: no number": _with_life("head", "-x 1e5"),
    "log: ahead of its head": lambda keys: [("XADD", keys["log"], f"{FAR}-0", "m", "x")],
    "log: odd fields": lambda keys: [("XADD", keys["log"], "MAXLEN", "1", "*", NO_TEXT, "", "m", NO_TEXT)],
    "once: no UTF-8": _text("once", NO_TEXT),
    "once: no number": _text("once", "epoch offset"),
}


class World:
    """One node with an odd room and agent, and a room of two clients and an agent that have nothing to do with them."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.node = cluster.nodes[0]
        self.keys = Keys("")
        self.members: list[Client] = []
        self.agent: Client
        self.spoken = 0

    async def build(self) -> None:
        (described,) = (await self.node.http.get("/api/v1/nodes")).json()["nodes"]
        self.keys = Keys(described["incarnation"])
        self.members = [await self.node.connect(f"/ws/chat/healthy?user_id={user}") for user in ("ada", "bob")]
        self.agent = await self.node.connect("/ws/agents/healthy")
        for member in self.members:
            await member.received_since()
        await self.node.connect(f"/ws/chat/{ROOM}?user_id=eve")
        await self.node.connect(f"/ws/agents/{AGENT}?session_id=eve")
        await self.node.http.put(f"/api/v1/agents/{AGENT}/limit", json={"max_sessions": 5, "policy": "reject"})
        await self.publish()

    async def write(self, commands: Commands) -> None:
        for command in commands:
            await self.cluster.valkey.run(*command)

    async def publish(self) -> int:
        body = {"content": "x", "user_id": "author", "key": "key"}
        return int((await self.node.http.post(f"/api/v1/rooms/{ROOM}/messages", json=body)).status_code)

    async def read_everything(self) -> list[int]:
        """The status of each call of the API that reads what the odd room and agent have in Redis."""
        paths = (
            "nodes",
            "rooms",
            f"rooms/{ROOM}",
            f"rooms/{ROOM}/presence",
            f"rooms/{ROOM}/messages",
            f"agents/{AGENT}",
        )
        return [(await self.node.http.get(f"/api/v1/{path}")).status_code for path in paths] + [await self.publish()]

    async def has_noted(self, kind: str) -> bool:
        """The node has found something under a key of this kind that no node has written."""
        return kind in (await self.node.diagnostics())["unreadable"]

    async def wait_for_all_jobs(self) -> None:
        """Until every periodic job has run once from its beginning to its end."""

        async def count() -> list[int]:
            now = await self.node.diagnostics()
            return [now["membership"]["beats"], now["presence"]["sweeps"], now["repair"]["rounds"]]

        before = await count()

        async def have_run() -> bool:
            assert self.node.is_alive, f"the node has ended:\n{self.node.log()[-3000:]}"
            return all(now >= then + 2 for now, then in zip(await count(), before, strict=True))

        await eventually(have_run, what="heartbeats, sweeps and anti-entropy have run")

    async def heard_by_the_others(self) -> list[list[str]]:
        """The types of what the other room and the other agent got since this was last asked, and of a message now."""
        self.spoken += 1
        await self.members[0].ok("message", content=self.spoken)
        sessions = (*self.members, self.agent)
        return [[frame["type"] for frame in await session.received_since(with_presence=True)] for session in sessions]


async def can_be_used(node: NodeProcess) -> bool:
    """Whether a newcomer can publish in the odd room, and another one be the odd agent."""
    for path in (f"/ws/chat/{ROOM}", f"/ws/agents/{AGENT}"):
        client = await Client.open(node.ws_url + path)
        greeting = await client.find(lambda frame: frame["type"] in ("welcome", "bye"), "welcome or bye")
        is_in = greeting["type"] == "welcome"
        answer = await client.call("message", content="y") if is_in and "chat" in path else {}
        await client.close()
        if not is_in or answer.get("type") == "error":
            return False
    return True


@pytest.fixture(scope="module")
async def world(anyio_backend: str) -> AsyncGenerator[World]:
    async with Cluster(nodes=1, times=TIMES, PRESENCE_GRACE="0") as cluster:
        world = World(cluster)
        await world.build()
        yield world


@pytest.mark.parametrize("case", CASES)
async def test_no_node_ends_and_other_rooms_notice_nothing(case: str, world: World) -> None:
    await world.write(CASES[case](world.keys))

    statuses = await world.read_everything()
    await world.wait_for_all_jobs()

    assert 500 not in statuses, world.node.log()[-3000:]
    if case.endswith("wrong type"):
        await eventually(partial(world.has_noted, case.partition(":")[0]), what="the key is counted")
    assert await world.heard_by_the_others() == [["message"], ["message"], []]
    await eventually(world.node.is_ready, what="the node is ready")
    await eventually(lambda: can_be_used(world.node), what="the room and the agent work again")


async def test_a_disconnect_is_remembered_where_the_list_of_such_owners_was_of_another_type(world: World) -> None:
    await world.write(_wrong_type("gone-owners")(world.keys))
    api, agent = world.node.http, f"/api/v1/agents/{AGENT}"
    await world.node.connect(f"/ws/agents/{AGENT}?session_id=leaving")

    await api.delete(f"{agent}/sessions/leaving")

    async def is_remembered() -> bool:
        return any(entry["session_id"] == "leaving" for entry in (await api.get(agent)).json()["disconnects"])

    await eventually(is_remembered, what="the disconnect is remembered")
    assert "gone-owners" in (await world.node.diagnostics())["unreadable"]


async def test_a_payload_larger_than_any_message_reaches_nobody(world: World) -> None:
    room = KEYSPACE.room(RoomName("healthy"))
    before = (await world.node.diagnostics())["unreadable"].get("room", 0)

    await world.cluster.valkey.run("PUBLISH", room.address, b"\1\0\0\0\0\2{}" + bytes(PAYLOAD_MAX_BYTES))

    assert await world.heard_by_the_others() == [["message"], ["message"], []]
    assert (await world.node.diagnostics())["unreadable"]["room"] == before + 1


async def test_a_payload_far_larger_than_any_message_is_not_read_to_its_end(world: World) -> None:
    room = KEYSPACE.room(RoomName("healthy"))
    before = await world.node.count("link", "connections")

    await world.cluster.valkey.run("PUBLISH", room.address, bytes(20_000_000))
    await value_becomes(lambda: world.node.count("link", "connections"), before + 1)
    await eventually(world.node.is_ready, what="the node is ready")

    assert await world.heard_by_the_others() == [["message"], ["message"], []]
    assert await world.node.has_logged("bytes was published, which no node does")


@pytest.mark.parametrize("of_wrong_type", [False, True])
async def test_a_node_starts_beside_all_of_it(of_wrong_type: bool) -> None:
    """On a server that no other node has cleaned."""
    keys = Keys("0123456789abcdef")
    async with Valkey() as valkey:
        await valkey.run("HSET", keys["server"], "life", "0a", "beats", "1", "losses", "1")
        for case, commands in CASES.items():
            if case.endswith("wrong type") == of_wrong_type:
                for command in commands(keys):
                    await valkey.run(*command)
        node = NodeProcess("n1", Transport.FAST, {"REDIS_URL": valkey.url}, times=TIMES)
        try:
            await node.start()
            await eventually(lambda: can_be_used(node), what="the room and the agent work")
        finally:
            await node.close()
