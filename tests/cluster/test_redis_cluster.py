"""Two nodes on a Redis Cluster of three masters: everything works over all of them."""

import re
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path

import pytest
from tannoy.shared.channels import PARTITIONS
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.support.archive_process import ArchiveWriterProcess
from tests.support.client import Client
from tests.support.cluster import PROJECT, NodeProcess
from tests.support.command_line import error_at_start
from tests.support.ports import free_port
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_servers import SERVERS, RedisServer, binary_of, two_nodes
from tests.support.traffic import Traffic
from tests.support.waiting import eventually

KEYSPACE = Keyspace("tannoy")
ROOMS = [
    next(f"r{n}" for n in range(9999) if KEYSPACE.room(RoomName(f"r{n}")).partition == p) for p in range(PARTITIONS)
]
"""A room of each partition."""
TRY_AGAIN_LATER, BAD_TOKEN = 1013, 4501


class Deployment:
    """A cluster and two nodes on it, shared by tests that move nothing."""

    def __init__(self, redis: RedisCluster, nodes: list[NodeProcess]) -> None:
        self.redis = redis
        self.nodes = nodes


@pytest.fixture(scope="module", params=SERVERS)
async def deployment(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[Deployment]:
    async with RedisCluster(binary_of(request.param)) as redis:
        async with two_nodes(redis.url, AGENT_MAX_SESSIONS="2", PRESENCE_GRACE="0", ARCHIVE="room:kept*") as nodes:
            yield Deployment(redis, nodes)


# ---- without faults


async def test_rooms_on_all_masters_are_delivered_on_both_nodes(deployment: Deployment) -> None:
    speaker, listener = [await node.connect("/ws") for node in deployment.nodes]
    for room in ROOMS:
        await listener.ok("join", room=room)
        await speaker.ok("join", room=room)
    for room in ROOMS:
        assert (await speaker.ok("message", room=room, content=room))["offset"] >= 1
    received = [(frame["room"], frame["content"]) for frame in [await listener.expect("message") for _ in ROOMS]]
    assert sorted(received) == sorted((room, room) for room in ROOMS)
    owners = {(await deployment.redis.owner_of(part)).port for part in range(PARTITIONS)}
    assert len(owners) == len(deployment.redis.masters)


async def test_a_key_publishes_once_in_rooms_of_all_masters(deployment: Deployment) -> None:
    client = await deployment.nodes[0].connect("/ws")
    for room in ROOMS[::8]:
        await client.ok("join", room=room)
        positions = [await client.ok("message", room=room, content="once", key=f"k-{room}") for _ in range(2)]
        assert positions[0]["offset"] == positions[1]["offset"]
    assert [frame["content"] for frame in await client.received_since()] == ["once"] * len(ROOMS[::8])


async def test_streams_in_rooms_of_all_masters_are_heard_and_kept(deployment: Deployment) -> None:
    first, second = deployment.nodes
    listener = await first.connect("/ws")
    for room in ROOMS[::8]:
        await listener.ok("join", room=room)
        path = f"/api/v1/rooms/{room}/streams"
        assert (await second.http.post(path, json={"stream_id": "s"})).status_code == 200
        assert (await second.http.post(f"{path}/s", json={"text": room, "from": 0})).json()["to"] == len(room)
        ended = (await second.http.post(f"{path}/s/end", json={})).json()
        heard = [await listener.expect(kind) for kind in ("stream", "delta", "stream_end")]
        assert (heard[1]["text"], heard[2]["offset"], heard[2]["status"]) == (room, ended["offset"], "done")
        (kept,) = (await listener.ok("history", room=room, limit=1))["messages"]
        assert kept["content"]["text"] == room


async def test_limits_hold_for_agents_on_all_masters(deployment: Deployment) -> None:
    for number in range(12):
        first, second = [await node.connect(f"/ws/agents/a{number}") for node in deployment.nodes]
        third = await Client.open(f"{deployment.nodes[0].ws_url}/ws/agents/a{number}")
        assert (await third.bye())[1] == TRY_AGAIN_LATER
        await first.ok("message", content=number)
        assert await second.contents(1) == [number]
        await first.close()
        await eventually_admitted(deployment.nodes[1], f"/ws/agents/a{number}")
        await second.close()


async def test_messages_of_all_masters_are_written_to_the_archive(deployment: Deployment, tmp_path: Path) -> None:
    messages = [{"room": f"kept-{number}", "content": number} for number in range(2 * PARTITIONS)]
    published = await deployment.nodes[0].http.post("/api/v1/messages", json={"messages": messages})
    assert all("offset" in result for result in published.json()["results"])
    file = tmp_path / "archive.db"
    writer = ArchiveWriterProcess({"REDIS_URL": deployment.redis.url, "DATABASE_URL": f"sqlite:///{file}"})

    async def is_written() -> bool:
        with closing(sqlite3.connect(file)) as database:
            found = database.execute("SELECT DISTINCT channel FROM tannoy_messages").fetchall()
        return len(found) == len(messages)

    try:
        await writer.start()
        await eventually(is_written, what="a message of each room is written")
    finally:
        writer.close()


async def eventually_admitted(node: NodeProcess, path: str) -> None:
    async def is_admitted() -> bool:
        client = await Client.open(node.ws_url + path)
        answer = await client.find(lambda frame: frame["type"] in ("welcome", "bye"), "an answer")
        await client.close()
        return bool(answer["type"] == "welcome")

    await eventually(is_admitted, what="a released lease is granted again")


async def test_private_messages_are_counted_on_both_nodes(deployment: Deployment) -> None:
    ada = await deployment.nodes[0].connect("/ws?user_id=ada")
    tabs = [await node.connect("/ws?user_id=bob") for node in (*deployment.nodes, *deployment.nodes)]
    assert (await ada.ok("private", to="bob", content="psst"))["sessions"] == len(tabs)
    assert [(await tab.expect("private"))["content"] for tab in tabs] == ["psst"] * len(tabs)


async def test_presence_in_rooms_of_all_masters_is_known_on_both_nodes(deployment: Deployment) -> None:
    listener = await deployment.nodes[1].connect("/ws?user_id=listener")
    for room in ROOMS[::5]:
        await listener.ok("join", room=f"who-{room}")
        guest = await deployment.nodes[0].connect(f"/ws/chat/who-{room}?user_id=guest")
        assert (await listener.expect("user_joined"))["room"] == f"who-{room}"
        assert (await listener.ok("presence", room=f"who-{room}"))["users_count"] == 2
        await guest.close()
        assert (await listener.expect("user_left"))["room"] == f"who-{room}"
    shown = (await deployment.nodes[0].http.get("/api/v1/rooms?limit=1000")).json()["rooms"]
    assert {f"who-{room}" for room in ROOMS[::5]} <= {room["room"] for room in shown}


async def test_missed_messages_are_recovered_on_the_other_node(deployment: Deployment) -> None:
    for room in ROOMS[::9]:
        speaker = await deployment.nodes[0].connect(f"/ws/chat/rec-{room}")
        position = await speaker.ok("message", content=0)
        for number in range(1, 6):
            await speaker.ok("message", content=number)
        late = await deployment.nodes[1].connect(
            f"/ws/chat/rec-{room}?epoch={position['epoch']}&offset={position['offset']}"
        )
        assert late.welcome["recovered"] is True
        assert await late.contents(5) == [1, 2, 3, 4, 5]
        assert len((await late.ok("history"))["messages"]) == 6


async def test_what_one_node_revokes_is_closed_on_the_other(deployment: Deployment) -> None:
    one, other = deployment.nodes
    revoked = await other.connect("/ws?user_id=revoked")
    made = (await one.http.post("/api/v1/revocations", json={"user_id": "revoked"})).json()
    assert (await revoked.bye())[1] == BAD_TOKEN
    assert (await other.http.delete(f"/api/v1/revocations/{made['id']}")).status_code == 204


async def test_both_nodes_know_of_each_other(deployment: Deployment) -> None:
    for node in deployment.nodes:
        shown = (await node.http.get("/api/v1/nodes")).json()["nodes"]
        assert sorted(entry["node"] for entry in shown) == ["n1", "n2"]


# ---- errors at start


def test_seeds_that_do_not_answer_are_named() -> None:
    ports = [free_port() for _ in range(2)]
    sentence = error_at_start(f"redis+cluster://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}")
    assert "(TANNOY_REDIS_URL) can't be found" in sentence
    for port in ports:
        assert f"127.0.0.1:{port}: [Errno 111] Connect" in sentence


@pytest.mark.parametrize("server", SERVERS)
async def test_a_single_server_as_a_cluster_is_an_error_of_one_sentence(server: str) -> None:
    async with RedisServer(binary_of(server)) as alone:
        sentence = error_at_start(alone.url.replace("redis://", "redis+cluster://"))
    assert "is no part of one: its URL begins with redis://" in sentence


@pytest.mark.parametrize("server", SERVERS)
async def test_a_cluster_without_some_of_its_slots_is_an_error_of_one_sentence(server: str) -> None:
    async with RedisServer(binary_of(server), "cluster-enabled yes", f"cluster-port {free_port()}") as half:
        await half.run("CLUSTER", "ADDSLOTSRANGE", "0", "8191")
        assert "has slots that no server serves" in error_at_start(half.url.replace("redis://", "redis+cluster://"))


async def test_a_url_of_one_server_of_a_cluster_is_an_error_of_one_sentence(deployment: Deployment) -> None:
    sentence = error_at_start(deployment.redis.masters[0].url)
    assert "is part of a Redis Cluster: then the URL has to begin with redis+cluster://" in sentence


async def test_wrong_credentials_are_an_error_of_one_sentence(deployment: Deployment) -> None:
    sentence = error_at_start(deployment.redis.url.replace("//", "//tannoy:hunter2@"))
    assert "WRONGPASS" in sentence
    assert "hunter2" not in sentence


# ---- with the documented rights


@pytest.mark.parametrize("server", SERVERS)
async def test_a_user_with_the_documented_rights_can_do_everything(server: str) -> None:
    page = (PROJECT / "docs/redis.md").read_text()
    user = re.search(r"^user tannoy on >secret .*$", page, re.MULTILINE)
    more = re.search(r"`(\+cluster\|[^`]*)`", page)
    assert user is not None
    assert more is not None
    async with RedisCluster(binary_of(server), to_servers=[f"{user.group()} {more.group(1)}"]) as redis:
        async with two_nodes(redis.url.replace("//", "//tannoy:secret@")) as nodes:
            listener = await nodes[1].connect("/ws/chat/lobby")
            traffic = await Traffic.start(nodes, "lobby")
            await redis.move(KEYSPACE.room(RoomName("lobby")).partition, redis.masters[0])
            await traffic.wait_until_all_receive()
            await traffic.stop()
            await listener.ok("presence")
            await nodes[0].connect("/ws/agents/7")
        for master in redis.masters:
            assert await master.run("ACL", "LOG") == [], "the server has refused something"
