"""A key vanishes from Redis, by an eviction, by hand, by a clean-up script: what the protocol promises holds again.

Each kind of key is deleted under an agent and a room of its own, on one cluster, with sessions on both of its nodes.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.support.client import Client, Frame
from tests.support.cluster import Cluster, NodeProcess
from tests.support.node import HASTY, HASTY_LEASES
from tests.support.waiting import eventually

KINDS = (
    *("nodes", "node-info", "server"),
    *("owners", "held", "info", "state", "limit", "limits", "gone", "gone-owners"),
    *("users", "leaving", "presence", "rooms", "due", "in", "on"),
    *("head", "log", "once"),
)
"""What stands behind the tag in the names of keys: all that there are, as a test compares with Redis."""
READ_BY_NOBODY = "probe"
"""The key of a node's probe, which is written anew each second, and lives no longer."""
LIMIT = 2
"""Sessions of each agent: as an operator has set it, where the nodes' setting allows 10."""
FULL = 1013
TIMES = replace(HASTY, leases=replace(HASTY_LEASES, round_seconds=4.0))
KEYSPACE = Keyspace("tannoy")


def kind_of(key: bytes) -> str:
    return key.decode().partition("}:")[2].partition(":")[0]


class World:
    """An agent and a room of one name, with sessions on both nodes, and what becomes of them when a key vanishes."""

    def __init__(self, cluster: Cluster, kind: str, name: str) -> None:
        self.kind = kind
        self.kinds_seen: set[str] = set()
        self.refused: list[int] = []
        """Close codes of sessions above the limit that came right after the loss; 0: it was admitted."""
        self.heard: list[Frame] = []
        """Messages and `resync` that a member got after the loss, up to the message that was published then."""
        self.recovered: tuple[bool, list[Any]] = (False, [])
        """Whether a client recovered what it had missed, and what it got."""
        self.failure: AssertionError | None = None
        self._name = name
        self._valkey = cluster.valkey
        self._n1, self._n2 = self.nodes = cluster.nodes
        self._members: dict[str, Client] = {}
        self.holders: list[Client] = []

    # ---- what happens

    async def run(self) -> None:
        await self._build()
        await self._lose_key()
        try:
            await eventually(self._is_right, what="lists, limit and presence are as before the loss")
            await self._go_on()
            await eventually(self._is_right, what="a user who leaves after the loss is gone")
        except AssertionError as failure:
            self.failure = failure

    async def _build(self) -> None:
        limit = {"max_sessions": LIMIT, "policy": "reject"}
        assert (await self._n1.http.put(f"/api/v1/agents/{self._name}/limit", json=limit)).status_code == 200
        for node in self.nodes:
            self.holders.append(await node.connect(f"/ws/agents/{self._name}?session_id={node.name}"))
        await self.try_third(self._n1)  # an entry in `gone`
        for name, node, user in (("a", self._n1, "ada"), ("b", self._n2, "ada"), ("c", self._n2, "bob")):
            self._members[name] = await self._enter(node, user)
        await self._say("first")
        await self._members["a"].expect("message")

    async def _lose_key(self) -> None:
        keys: list[bytes] = []
        while self.kind not in self.kinds_seen:  # the leave is shown before it is noticed, if the machine is busy
            await (await self._enter(self._n1, "cyd")).close()
            await eventually(self._is_leaving, what="a user is leaving, or has left")
            keys = await self._keys()
            self.kinds_seen = set(map(kind_of, keys))
        await self._valkey.run("DEL", *(key for key in keys if kind_of(key) == self.kind))
        self.refused = [await self.try_third(node) for node in self.nodes]

    async def _go_on(self) -> None:
        await self._say("second")
        while not self.heard or self.heard[-1].get("content") != "second":
            frame = await self._members["a"].find(lambda each: each["type"] in ("message", "resync"), "the message")
            self.heard.append(frame)
        back = await self._enter(self._n1, "ada", f"&epoch={self._members['a'].welcome['epoch']}&offset=0")
        is_recovered: bool = back.welcome["recovered"]
        self.recovered = is_recovered, await back.contents(2 if is_recovered else 0)
        await back.close()
        await self._members.pop("c").close()

    # ---- what clients do

    async def _enter(self, node: NodeProcess, user: str, position: str = "") -> Client:
        return await node.connect(f"/ws/chat/{self._name}?user_id={user}&username={user}{position}")

    async def _say(self, content: str) -> None:
        body = {"content": content, "key": content, "user_id": "author"}
        answer = await self._n2.http.post(f"/api/v1/rooms/{self._name}/messages", json=body)
        assert answer.status_code == 200, answer.text

    async def try_third(self, node: NodeProcess) -> int:
        """A session that is one too many: the code with which it is closed, 0 if it is admitted."""
        client = await Client.open(f"{node.ws_url}/ws/agents/{self._name}")
        frame = await client.find(lambda each: each["type"] in ("welcome", "bye"), "welcome or bye")
        await client.close()
        return int(frame.get("code", 0))

    # ---- what there is

    async def _keys(self) -> list[bytes]:
        """All keys of the agent and the room, and those of their partitions; of the list of nodes too."""
        parts = {Owner(OwnerKind.AGENT, self._name).partition, KEYSPACE.room(RoomName(self._name)).partition}
        tags = {KEYSPACE.heartbeats(part).partition(b"}")[0] for part in parts}
        keys = [key for key in await self._valkey.run("KEYS", "*") if kind_of(key) != READ_BY_NOBODY]
        return [key for key in keys if key.partition(b"}")[0] in tags or kind_of(key) == "node-info"]

    async def _presence(self, node: NodeProcess) -> dict[str, int]:
        """User → sessions; 0: its leave is not shown yet."""
        users = (await node.http.get(f"/api/v1/rooms/{self._name}/presence")).json()["users"]
        return {user["user_id"]: user["sessions"] for user in users}

    async def _is_leaving(self) -> bool:
        return not (await self._presence(self._n2)).get("cyd")

    async def _is_right(self) -> bool:
        expected = Counter(member.welcome["user_id"] for member in self._members.values())
        for node in self.nodes:
            agent = (await node.http.get(f"/api/v1/agents/{self._name}")).json()
            sessions = sorted(session.get("session_id") for session in agent["sessions"])
            rooms = (await node.http.get("/api/v1/rooms?limit=1000")).json()["rooms"]
            users = {room["room"]: room["users_count"] for room in rooms}.get(self._name)
            nodes = [each["node"] for each in (await node.http.get("/api/v1/nodes")).json()["nodes"]]
            if (agent["max_sessions"], agent["policy"], sessions, nodes) != (
                LIMIT,
                "reject",
                ["n1", "n2"],
                ["n1", "n2"],
            ):
                return False
            if (await self._presence(node), users) != (expected, len(expected)):
                return False
        return True


def _names(count: int) -> list[str]:
    """Names whose agents and rooms are all in different partitions: some keys belong to a whole partition."""
    taken: set[int] = set()
    names: list[str] = []
    for number in itertools.count():
        name = f"w{number}"
        parts = {Owner(OwnerKind.AGENT, name).partition, KEYSPACE.room(RoomName(name)).partition}
        if len(parts) == 2 and not parts & taken:
            taken |= parts
            names.append(name)
        if len(names) == count:
            break
    return names


@pytest.fixture(scope="module")
async def worlds(anyio_backend: str) -> AsyncGenerator[dict[str, World]]:
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(
            Cluster(nodes=2, times=TIMES, PRESENCE_GRACE="3", PING_INTERVAL="3600")
        )
        worlds = [World(cluster, kind, name) for kind, name in zip(KINDS, _names(len(KINDS)), strict=True)]
        await asyncio.gather(*(world.run() for world in worlds))
        yield {world.kind: world for world in worlds}


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, worlds: dict[str, World]) -> World:
    return worlds[request.param]


def test_every_kind_of_key_is_deleted(worlds: dict[str, World]) -> None:
    assert set[str]().union(*(world.kinds_seen for world in worlds.values())) == set(KINDS)
    assert all(world.kind in world.kinds_seen for world in worlds.values())


def test_no_session_above_the_limit_is_admitted(world: World) -> None:
    assert world.refused == [FULL, FULL]


def test_lists_limit_and_presence_are_right_again(world: World) -> None:
    if world.failure is not None:
        raise world.failure


async def test_no_session_is_closed(world: World) -> None:
    for holder in world.holders:
        assert (await holder.call("ping"))["type"] == "pong"


async def test_the_limit_holds_afterwards(world: World, worlds: dict[str, World]) -> None:
    assert [await world.try_third(node) for node in world.nodes] == [FULL, FULL]


def test_a_member_gets_what_follows_or_hears_of_a_hole(world: World) -> None:
    *resyncs, message = world.heard
    assert {frame["type"] for frame in resyncs} <= {"resync"}
    assert message["offset"] == (resyncs[-1]["offset"] if resyncs else 1) + 1


def test_a_client_recovers_all_it_has_missed_or_is_told_that_it_does_not(world: World) -> None:
    assert world.recovered in ((True, ["first", "second"]), (False, []))
