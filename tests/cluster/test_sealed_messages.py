"""Nodes with a secret share Redis with somebody else: what no node has sealed is heard by nobody, and in no history."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import msgpack
import pytest
from tannoy.fanout.redis.connection import Pushes
from tannoy.fanout.redis.opening import connect
from tannoy.shared.channels import Channel
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId, RoomName

from tests.support.client import Client
from tests.support.cluster import Cluster
from tests.support.history_room import envelope_of
from tests.support.node import STEADY
from tests.support.waiting import PATIENCE, eventually

KEYSPACE = Keyspace("tannoy")
ROOM, OTHER = KEYSPACE.room(RoomName("lobby")), KEYSPACE.room(RoomName("other"))
BYE = b'\1\0\0\0\0\x1b{"type":"bye","code":4504}\n\x80'


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2, times=STEADY, CLUSTER_SECRET="of this cluster") as running:
        yield running


@pytest.fixture
async def members(cluster: Cluster) -> list[Client]:
    """A session in the lobby on each node, of which nothing has been said yet."""
    return [await node.connect("/ws/chat/lobby?user_id=ada") for node in cluster.nodes]


async def head_of(cluster: Cluster, channel: Channel) -> tuple[bytes, int]:
    epoch, _, offset = (await cluster.valkey.run("GET", KEYSPACE.history(channel).head)).partition(b" ")
    return epoch, int(offset)


async def last_entry_of(cluster: Cluster, channel: Channel) -> bytes:
    ((_, fields),) = await cluster.valkey.run("XREVRANGE", KEYSPACE.history(channel).log, "+", "-", "COUNT", "1")
    envelope: bytes = fields[b"m"]
    return envelope


async def test_messages_of_nodes_with_the_same_secret_are_heard_and_kept(members: list[Client]) -> None:
    ada, bob = members
    position = await ada.ok("message", content="sealed")
    heard = await bob.expect("message")
    page = await bob.ok("history", since=position["offset"] - 1)
    assert (heard["content"], heard["offset"]) == ("sealed", position["offset"])
    assert [message["content"] for message in page["messages"]] == ["sealed"]


async def test_what_history_does_not_keep_is_heard_too(members: list[Client]) -> None:
    ada, bob = members
    await ada.send("typing")
    assert (await bob.expect("typing"))["user_id"] == "ada"


async def test_an_agent_hears_what_is_said_to_it_on_another_node(cluster: Cluster) -> None:
    first, second = [await node.connect("/ws/agents/sealed") for node in cluster.nodes]
    await first.ok("message", content="to the agent")
    assert (await second.expect("message"))["content"] == "to the agent"


async def test_forged_messages_are_heard_by_nobody_and_counted(cluster: Cluster, members: list[Client]) -> None:
    await members[0].ok("message", content="before")
    epoch, offset = await head_of(cluster, ROOM)
    forged = [
        BYE,
        envelope_of("forged"),
        b"\3%b %d %b" % (epoch, offset + 1, envelope_of("forged")),
        b"\3%b 1000000 %b" % (epoch, envelope_of("forged")),
        b"\3another-epoch 1 %b" % envelope_of("forged"),
        await last_entry_of(cluster, ROOM),
    ]
    before = await cluster.total("tracker", "malformed")
    for payload in forged:
        await cluster.valkey.run("PUBLISH", ROOM.address, payload)

    await members[0].ok("message", content="after")

    for member in members:
        frames = await member.received_since()
        assert [frame.get("content") for frame in frames] == ["before", "after"]
    assert await cluster.total("tracker", "malformed") == before + len(forged) * len(cluster.nodes)
    for node in cluster.nodes:
        await eventually(partial(node.has_logged, "is CLUSTER_SECRET the same on all nodes?"), what="a warning")


async def test_a_sealed_message_of_another_room_is_heard_by_nobody(cluster: Cluster, members: list[Client]) -> None:
    elsewhere = await cluster.nodes[0].connect("/ws/chat/other")
    await elsewhere.ok("message", content="for the other room")
    await members[0].ok("message", content="before")
    epoch, offset = await head_of(cluster, ROOM)
    moved = b"\3%b %d %b" % (epoch, offset + 1, await last_entry_of(cluster, OTHER))
    await cluster.valkey.run("PUBLISH", ROOM.address, moved)

    await members[0].ok("message", content="after")

    assert [frame["content"] for frame in await members[1].received_since()] == ["before", "after"]


async def test_a_forged_entry_of_the_history_is_left_out_of_every_answer(cluster: Cluster) -> None:
    member = await cluster.nodes[0].connect("/ws/chat/log")
    first = await member.ok("message", content="first")
    log = KEYSPACE.history(KEYSPACE.room(RoomName("log"))).log
    await cluster.valkey.run("XDEL", log, f"{first['offset']}-0")
    await cluster.valkey.run("XADD", log, f"{first['offset']}-1", "m", envelope_of("forged"))
    await member.ok("message", content="second")

    page = await member.ok("history")
    listed = (await cluster.nodes[1].http.get("/api/v1/rooms/log/messages")).json()
    late = await cluster.nodes[1].connect(f"/ws/chat/log?epoch={first['epoch']}&offset={first['offset'] - 1}")

    assert [message["content"] for message in page["messages"]] == ["second"]
    assert [message["content"] for message in listed["messages"]] == ["second"]
    assert late.welcome["recovered"] is False


async def test_who_comes_and_goes_is_told_on_the_other_node(cluster: Cluster) -> None:
    ada = await cluster.nodes[0].connect("/ws/chat/presence?user_id=ada")
    bob = await cluster.nodes[1].connect("/ws/chat/presence?user_id=bob")
    assert (await ada.expect("user_joined"))["user_id"] == "bob"
    await bob.close()
    assert (await ada.expect("user_left"))["user_id"] == "bob"


@pytest.mark.parametrize("users", [1, -1])
async def test_a_forged_change_of_presence_is_told_to_nobody(users: int, cluster: Cluster) -> None:
    member = await cluster.nodes[0].connect(f"/ws/chat/foreign{users}")
    room = KEYSPACE.room(RoomName(f"foreign{users}"))
    for kind in (b"\2", b"\6" + b"0" * 40):
        change = kind + msgpack.packb([room.name, "joined", users, 2**53 - 1, "eve", "Eve", False])
        await cluster.valkey.run("PUBLISH", room.address, change)
    assert await member.received_since(with_presence=True) == []


async def test_a_forged_agent_message_is_heard_by_nobody(cluster: Cluster) -> None:
    agent = await cluster.nodes[1].connect("/ws/agents/forged")
    await cluster.valkey.run("PUBLISH", KEYSPACE.agent(AgentId("forged")).address, BYE)
    assert await agent.received_since() == []


# ---- messages between nodes


@asynccontextmanager
async def recording(cluster: Cluster, channel: bytes) -> AsyncGenerator[list[bytes]]:
    """The payloads that are published on a channel meanwhile. To Redis it is one more node, which does not respond."""
    payloads: list[bytes] = []

    def on_pushes(pushes: Pushes) -> None:
        payloads.extend(push[2] for push in pushes if push[0] == b"message")

    connection = await connect(cluster.valkey.address, name="recorder", on_pushes=on_pushes, timeout=PATIENCE)
    connection.subscribe(("SUBSCRIBE", channel), lambda refusal: None)
    await connection.send("PING")
    try:
        yield payloads
    finally:
        connection.abort()
        await connection.lost


async def test_a_recorded_order_to_close_sessions_closes_none_that_came_since(cluster: Cluster) -> None:
    former = await cluster.nodes[0].connect("/ws?user_id=eve")
    async with recording(cluster, KEYSPACE.control) as recorded:
        answer = await cluster.nodes[1].http.delete("/api/v1/users/eve/sessions")
        assert answer.json() == {"sessions": 1}
    await former.close_code()
    since = await cluster.nodes[0].connect("/ws?user_id=eve")
    before = await cluster.total("control", "replayed")

    for payload in recorded:
        await cluster.valkey.run("PUBLISH", KEYSPACE.control, payload)

    assert await since.received_since() == []
    assert await cluster.total("control", "replayed") == before + len(recorded) * len(cluster.nodes)
    assert all([await node.has_logged("that has come before") for node in cluster.nodes])
