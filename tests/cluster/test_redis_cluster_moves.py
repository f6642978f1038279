"""Two nodes on a Redis Cluster in which slots move, and masters die, under traffic: never a silent hole.

How long no message was delivered is written to standard output: `pytest -s tests/cluster/test_redis_cluster_moves.py`.
"""

import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from tannoy.fanout.cluster.slot_migration import KNOWN_TO_ALL_WITHIN
from tannoy.fanout.cluster.topology import PERIOD
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId, RoomName

from tests.support.certificates import Certificates
from tests.support.cluster import NodeProcess, all_ready
from tests.support.node import PRODUCT, STEADY
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_servers import SERVERS, RedisServer, binary_of, two_nodes
from tests.support.traffic import Traffic
from tests.support.waiting import eventually

KEYSPACE = Keyspace("tannoy")
LOBBY = KEYSPACE.room(RoomName("lobby")).partition
LOOKS_UNTIL_KNOWN = 2 + int(KNOWN_TO_ALL_WITHIN / PERIOD) + 1
"""Looks at the cluster after which every master has been known since before the last one."""

Fault = Callable[[RedisServer], None]


@pytest.fixture(params=SERVERS)
async def redis(request: pytest.FixtureRequest) -> AsyncGenerator[RedisCluster]:
    async with RedisCluster(binary_of(request.param)) as running:
        yield running


@pytest.fixture
async def redis_7(anyio_backend: str) -> AsyncGenerator[RedisCluster]:
    """Where both kinds do the same, one will do."""
    async with RedisCluster(binary_of("redis-7.0")) as running:
        yield running


async def _another(redis: RedisCluster, partition: int) -> RedisServer:
    owner = await redis.owner_of(partition)
    return next(master for master in redis.masters if master is not owner)


async def _know_the_cluster(nodes: list[NodeProcess]) -> None:
    for node in nodes:

        async def has_looked(node: NodeProcess = node) -> bool:
            return await node.count("cluster", "rounds") >= LOOKS_UNTIL_KNOWN

        await eventually(has_looked, what="the masters have been known for a while")


def _report(what: str, traffic: Traffic) -> None:
    sys.stdout.write(f"{what}: {traffic.summary()}\n")


async def test_a_slot_that_moves_there_and_back_leaves_no_hole(redis: RedisCluster) -> None:
    async with two_nodes(redis.url, times=STEADY, HISTORY_SIZE="5000") as nodes:
        await _know_the_cluster(nodes)
        home, away = await redis.owner_of(LOBBY), await _another(redis, LOBBY)
        await redis.fill(LOBBY, 200)
        traffic = await Traffic.start(nodes, "lobby")
        for to in (away, home):
            await redis.move(LOBBY, to)
            await traffic.wait_until_all_receive()
        await traffic.stop()
    _report("a slot that moves", traffic)
    assert traffic.each_once_in_order()
    assert traffic.unannounced_holes() == []


async def test_a_moved_slot_keeps_its_history_and_its_leases(redis: RedisCluster) -> None:
    """A slot that moved has lost nothing: no history is read again, and no session waits for a lease."""
    agent = next(n for n in range(9999) if KEYSPACE.agent(AgentId(str(n))).partition == LOBBY)
    async with two_nodes(redis.url, times=STEADY) as nodes:
        await _know_the_cluster(nodes)
        client = await nodes[0].connect("/ws/chat/lobby")
        before = await client.ok("message", content="before")
        held = await nodes[0].connect(f"/ws/agents/{agent}")

        await redis.move(LOBBY, await _another(redis, LOBBY))
        after = await client.ok("message", content="after")
        await nodes[1].connect(f"/ws/agents/{agent}")

        assert (after["epoch"], after["offset"]) == (before["epoch"], before["offset"] + 1)
        assert await client.contents(2) == ["before", "after"]
        shown = (await nodes[1].http.get(f"/api/v1/agents/{agent}")).json()["sessions"]
        assert len(shown) == 2
        assert held.session_id in {session["session_id"] for session in shown}
        assert [await node.count("membership", "term") for node in nodes] == [0, 0]


async def test_a_slot_that_stays_half_moved_still_delivers(redis: RedisCluster) -> None:
    """Its keys are at the new master, its subscribers still at the old one: the log is what brings the messages."""
    async with two_nodes(redis.url, times=STEADY) as nodes:
        await _know_the_cluster(nodes)
        source, to = await redis.owner_of(LOBBY), await _another(redis, LOBBY)
        clients = [await node.connect(f"/ws/chat/lobby?user_id={node.name}") for node in nodes]
        await clients[0].ok("message", content="before")
        await redis.begin_move(LOBBY, to)
        await redis.move_keys(LOBBY, source, to)

        position = await clients[0].ok("message", content="half-way")
        for client in clients:
            assert await client.contents(2) == ["before", "half-way"]
        await redis.end_move(LOBBY, to)
        assert (await clients[1].ok("message", content="after"))["offset"] == position["offset"] + 1
        for client in clients:
            assert await client.contents(1) == ["after"]


async def test_a_node_starts_while_a_slot_is_half_way(redis_7: RedisCluster) -> None:
    async with two_nodes(redis_7.url, times=STEADY) as nodes:
        source, to = await redis_7.owner_of(LOBBY), await _another(redis_7, LOBBY)
        client = await nodes[0].connect("/ws/chat/lobby")
        await client.ok("message", content="before")
        await redis_7.begin_move(LOBBY, to)
        await redis_7.move_keys(LOBBY, source, to)

        await nodes[1].kill()
        await nodes[1].start()

        answer = await nodes[1].http.post("/api/v1/rooms/lobby/messages", json={"content": "half-way"})
        assert answer.status_code == 200, answer.text
        assert await client.contents(2) == ["before", "half-way"]


async def test_without_history_a_moved_room_delivers_again_in_order(redis_7: RedisCluster) -> None:
    async with two_nodes(redis_7.url, times=STEADY, HISTORY_SIZE="0") as nodes:
        traffic = await Traffic.start(nodes, "lobby")
        await redis_7.move(LOBBY, await _another(redis_7, LOBBY))
        await traffic.wait_until_all_receive()
        await traffic.stop()
    _report("without history, a slot that moves", traffic)
    assert traffic.each_once_in_order()


async def test_control_messages_are_delivered_after_a_move_of_their_slot(redis_7: RedisCluster) -> None:
    async with two_nodes(redis_7.url, times=STEADY) as nodes:
        ada = await nodes[0].connect("/ws?user_id=ada")
        bob = await nodes[1].connect("/ws?user_id=bob")
        await redis_7.move(0, await _another(redis_7, 0))

        async def is_delivered() -> bool:
            answer = await ada.call("private", to="bob", content="psst")
            return bool(answer["type"] == "ok" and answer["sessions"] == 1)

        await eventually(is_delivered, what="a private message is delivered")
        assert (await bob.expect("private"))["content"] == "psst"


@pytest.mark.parametrize("fault", [RedisServer.kill, RedisServer.freeze])
@pytest.mark.parametrize("server", SERVERS)
async def test_a_master_whose_replica_takes_over_leaves_no_silent_hole(server: str, fault: Fault) -> None:
    async with RedisCluster(binary_of(server), replicas=1) as redis, two_nodes(redis.url, times=PRODUCT) as nodes:
        traffic = await Traffic.start(nodes, "lobby")
        lost = await redis.owner_of(LOBBY)
        fault(lost)
        await traffic.wait_until_all_receive()
        await eventually(lambda: all_ready(nodes), what="both nodes are ready again")
        if fault is RedisServer.freeze:
            lost.thaw()
        await traffic.wait_until_all_receive()
        await traffic.stop()
        _report(f"{server}: a master that was lost ({fault.__name__})", traffic)
        assert traffic.each_once_in_order()
        assert traffic.unannounced_holes() == []
        assert traffic.resyncs() >= len(nodes)  # what the replica lacks can't be ruled out
        assert [await node.count("hub", "sessions") for node in nodes] == [1, 1]


async def test_a_new_master_takes_slots_over(redis_7: RedisCluster) -> None:
    """The cluster grows: a server that no node knows gets some slots, one after the other."""
    async with two_nodes(redis_7.url, times=STEADY) as nodes:
        new = await redis_7.grow()
        traffic = await Traffic.start(nodes, "lobby")
        for partition in (LOBBY, (LOBBY + 1) % 64, 0):
            await redis_7.move(partition, new)
            await traffic.wait_until_all_receive()
        await traffic.stop()
        _report("a cluster that grows", traffic)
        assert [await node.count("cluster", "masters") for node in nodes] == [4, 4]
    assert traffic.each_once_in_order()
    assert traffic.unannounced_holes() == []


async def test_a_cluster_over_tls(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    async with RedisCluster(binary_of("redis-7.0"), tls=certificates) as redis:
        async with two_nodes(f"rediss+cluster://{redis.hosts}?{certificates.parameters}", times=STEADY) as nodes:
            traffic = await Traffic.start(nodes, "lobby")
            await traffic.stop()
    assert traffic.each_once_in_order()
    assert traffic.unannounced_holes() == []
