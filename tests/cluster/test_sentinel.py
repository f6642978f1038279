"""Two nodes behind Sentinels that watch a master and two replicas: no socket has to reconnect over a failover.

How long no message was delivered is written to standard output: `pytest -s tests/cluster/test_sentinel.py`.
"""

import asyncio
import sys
import time
from collections.abc import Callable

import pytest

from tests.support.client import Client
from tests.support.cluster import NodeProcess
from tests.support.node import PRODUCT
from tests.support.redis_servers import DOWN_AFTER, SERVERS, RedisServer, Watched, binary_of, two_nodes
from tests.support.waiting import ASK_AGAIN, eventually

FAILOVER_SECONDS = 30.0
"""Far more than any failover needs: it only bounds a failure."""

_ADMIN = {"username": "admin", "password": "admin"}
_USERS = ("user admin on >admin ~* &* +@all", "user tannoy on >secret ~tannoy:* &tannoy:* +@all")


def _kill(redis: Watched, master: RedisServer) -> None:
    master.kill()


def _freeze(redis: Watched, master: RedisServer) -> None:
    master.freeze()


def _kill_with_a_frozen_sentinel(redis: Watched, master: RedisServer) -> None:
    redis.sentinels[0].freeze()
    master.kill()


Fault = Callable[[Watched, RedisServer], None]
FAULTS = [
    ("redis-7.0", _kill),
    ("valkey", _freeze),
    ("redis-7.0", _kill_with_a_frozen_sentinel),
]


class Talk:
    """A client on each node, in one room; a message that is published at one node has to reach the other."""

    def __init__(self, nodes: list[NodeProcess], clients: list[Client]) -> None:
        self.nodes = nodes
        self.clients = clients
        self.longest_refusal = 0.0

    @classmethod
    async def begin(cls, nodes: list[NodeProcess]) -> "Talk":
        clients = [await node.connect(f"/ws/chat/lobby?user_id={node.name}") for node in nodes]
        talk = cls(nodes, clients)
        await talk.goes_on("before")
        return talk

    async def goes_on(self, what: str) -> float:
        """Seconds until each client has received a message that is published at the other node from now on."""
        took = await asyncio.gather(
            self._seconds_until_received(self.nodes[0], self.clients[1], f"n1 {what}"),
            self._seconds_until_received(self.nodes[1], self.clients[0], f"n2 {what}"),
        )
        return max(took)

    async def _seconds_until_received(self, publisher: NodeProcess, listener: Client, what: str) -> float:
        started = time.monotonic()
        publishing = asyncio.create_task(self._keep_publishing(publisher, what))
        try:
            await listener.find(lambda frame: frame.get("content") == what, what)
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
        return time.monotonic() - started

    async def _keep_publishing(self, publisher: NodeProcess, what: str) -> None:
        """A refused publish is answered with `unavailable`."""
        while True:
            started = time.monotonic()
            answer = await publisher.http.post("/api/v1/rooms/lobby/messages", json={"content": what})
            if answer.status_code != 200:
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
                self.longest_refusal = max(self.longest_refusal, time.monotonic() - started)
            await asyncio.sleep(ASK_AGAIN)

    async def keeps_its_sockets(self) -> None:
        assert [await node.count("hub", "sessions") for node in self.nodes] == [1, 1]
        for client in self.clients:
            await client.close()


@pytest.mark.parametrize(("server", "fault"), FAULTS)
async def test_a_failover_closes_no_socket(server: str, fault: Fault) -> None:
    async with (
        Watched(binary_of(server), down_after=DOWN_AFTER) as redis,
        two_nodes(redis.url, times=PRODUCT) as nodes,
    ):
        talk = await Talk.begin(nodes)
        lost = await redis.master()

        fault(redis, lost)
        silent_for = await talk.goes_on("after the failover")

        sys.stdout.write(
            f"{server}{fault.__name__.replace('_', ' ')}: received again after {silent_for:.2f} s,"
            f" refusals took {talk.longest_refusal:.2f} s at most\n"
        )

        async def is_replaced() -> bool:
            return await redis.master() is not lost

        # The Sentinel that is asked may learn it later than those that the nodes have asked.
        await eventually(is_replaced, within=FAILOVER_SECONDS, what="the Sentinels name another master")
        await _comes_back_as_replica(lost, is_frozen=fault is _freeze)
        await talk.goes_on("after the old master came back")
        assert not await redis.is_master(lost)
        await talk.keeps_its_sockets()


async def _comes_back_as_replica(lost: RedisServer, *, is_frozen: bool) -> None:
    """The Sentinels demote it as soon as they reach it. Until then it takes itself for a master."""
    if is_frozen:
        lost.thaw()
    else:
        await lost.start()

    async def is_replica() -> bool:
        return await lost.role() == "slave"

    await eventually(is_replica, within=FAILOVER_SECONDS, what="the old master is a replica")


@pytest.mark.parametrize("server", SERVERS)
async def test_nodes_leave_a_master_that_its_sentinels_replaced_though_it_answers(server: str) -> None:
    # As when it is cut off from them, but not from the nodes: by its own words it stays a master.
    async with Watched(binary_of(server), to_servers=_USERS, down_after=DOWN_AFTER) as redis:
        url = redis.url.replace("//", "//tannoy:secret@")
        async with two_nodes(url, times=PRODUCT) as nodes:
            talk = await Talk.begin(nodes)
            left = await redis.master()

            await left.run("ACL", "SETUSER", "default", "off", **_ADMIN)
            await left.run("CLIENT", "KILL", "USER", "default", **_ADMIN)

            async def has_failed_over() -> bool:
                return await redis.master() is not left

            await eventually(has_failed_over, within=FAILOVER_SECONDS, what="the Sentinels name another master")

            async def is_left() -> bool:
                return b"name=tannoy-" not in await left.run("CLIENT", "LIST", **_ADMIN)

            waited = await eventually(is_left, within=FAILOVER_SECONDS, what="no node is connected to the old one")
            sys.stdout.write(f"{server}: the old master was left {waited:.2f} s after the failover\n")
            assert (await left.run("ROLE", **_ADMIN))[0] == b"master"
            await talk.goes_on("after the failover")
            await talk.keeps_its_sockets()


@pytest.mark.parametrize("server", SERVERS)
async def test_a_node_leaves_a_master_that_was_demoted_by_hand(server: str) -> None:
    binary = binary_of(server)
    async with RedisServer(binary) as redis, RedisServer(binary) as other, two_nodes(redis.url, times=PRODUCT) as nodes:
        talk = await Talk.begin(nodes)

        await redis.run("REPLICAOF", "127.0.0.1", str(other.port))

        async def none_is_ready() -> bool:
            return not any([await node.is_ready() for node in nodes])

        await eventually(none_is_ready, within=FAILOVER_SECONDS, what="no node works with a replica")
        refusal = f"127.0.0.1:{redis.port} is a replica of 127.0.0.1:{other.port}, and a node needs the master"
        await eventually(lambda: _have_logged(nodes, refusal), within=FAILOVER_SECONDS, what="every log says why")

        await redis.run("REPLICAOF", "NO", "ONE")
        await talk.goes_on("after it was made master again")
        await talk.keeps_its_sockets()


async def _have_logged(nodes: list[NodeProcess], what: str) -> bool:
    return all(what in node.log() for node in nodes)
