"""An address that leads to another Redis while connections to the former one live on, as behind a TCP proxy."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.chaos.harness.proxy import Part, Proxy
from tests.cluster.conftest import READY_AGAIN_SECONDS
from tests.support.client import Frame
from tests.support.cluster import NodeProcess
from tests.support.node import STEADY
from tests.support.ports import free_port
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_servers import RedisServer, binary_of, two_nodes
from tests.support.room_messages import publish_batch, receive_until
from tests.support.waiting import eventually

REPLICA = ("repl-diskless-sync-delay 0",)


class Switchable:
    """Two nodes behind a proxy that leads to one server now, and to another one from `switch` on. Both are masters."""

    def __init__(self, proxy: Proxy, former: RedisServer, other: RedisServer, nodes: list[NodeProcess]) -> None:
        self.nodes = nodes
        self._proxy = proxy
        self._former = former
        self._other = other

    def switch(self, staying: Part) -> None:
        """New connections go to the other server, and all break but those of `staying`."""
        self._proxy.point_at(self._other.port)
        for part in Part:
            if part is not staying:
                self._proxy.reset(part)

    async def follow(self) -> None:
        """Let the other server become a copy of the present one, and then a master."""
        await self._other.run("REPLICAOF", "127.0.0.1", str(self._former.port))
        await eventually(self._is_copied, what="the other server has all data")
        await self._other.run("REPLICAOF", "NO", "ONE")

    async def _is_copied(self) -> bool:
        replication: dict[str, object] = await self._other.run("INFO", "replication")
        return replication["master_link_status"] == "up"

    async def all_have_left(self) -> bool:
        """No connection of a node goes to the former server any more, and the nodes are ready."""
        left = b"name=tannoy-" not in await self._former.run("CLIENT", "LIST")
        return left and all([await node.is_ready() for node in self.nodes])


@asynccontextmanager
async def one_server(server: str) -> AsyncGenerator[Switchable]:
    binary = binary_of(server)
    async with (
        RedisServer(binary, *REPLICA) as former,
        RedisServer(binary, *REPLICA) as other,
        Proxy(former.port) as proxy,
        two_nodes(f"redis://127.0.0.1:{proxy.port}", times=STEADY, PRESENCE_GRACE="0") as nodes,
    ):
        switchable = Switchable(proxy, former, other, nodes)
        await switchable.follow()
        yield switchable


@asynccontextmanager
async def two_clusters(server: str) -> AsyncGenerator[Switchable]:
    """Redis Clusters of one master, each of which announces the port of the proxy."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(free_port()))
        announced = (f"cluster-announce-port {proxy.port}",)
        both = [RedisCluster(binary_of(server), masters=1, to_servers=announced) for _ in range(2)]
        former, other = [(await stack.enter_async_context(cluster)).masters[0] for cluster in both]
        proxy.point_at(former.port)
        url = f"redis+cluster://127.0.0.1:{proxy.port}"
        nodes = await stack.enter_async_context(two_nodes(url, times=STEADY, PRESENCE_GRACE="0"))
        yield Switchable(proxy, former, other, nodes)


async def everything_works(nodes: Sequence[NodeProcess]) -> None:
    """Messages, private messages, presence and orders, each from one node to the other."""
    speaker, listener = nodes
    bob = await listener.connect("/ws/chat/after?user_id=bob")
    ada = await speaker.connect("/ws/chat/after?user_id=ada")
    assert (await bob.find(lambda frame: frame.get("user_id") == "ada", "ada joins"))["type"] == "user_joined"
    await ada.ok("message", content="again")
    assert (await bob.expect("message"))["content"] == "again"
    assert (await ada.ok("private", to="bob", content="hi"))["sessions"] == 1
    assert (await bob.expect("private"))["content"] == "hi"
    assert (await speaker.http.delete("/api/v1/users/bob/sessions")).json() == {"sessions": 1}
    assert await bob.close_code() == 4504


@pytest.mark.parametrize("staying", Part, ids=str)
async def test_a_connection_that_stays_on_the_former_server_is_replaced(staying: Part) -> None:
    async with one_server("valkey") as redis:
        redis.switch(staying)

        await eventually(redis.all_have_left, within=READY_AGAIN_SECONDS, what="all nodes are on the new server")
        await everything_works(redis.nodes)


def _covers(frame: Frame, position: Frame) -> bool:
    """Whether it is a resync up to this position or beyond."""
    is_in_epoch = frame["type"] == "resync" and frame["epoch"] == position["epoch"]
    return bool(is_in_epoch and frame["offset"] >= position["offset"])


@pytest.mark.parametrize("staying", [Part.LINK, Part.HISTORY], ids=str)
async def test_each_message_confirmed_meanwhile_is_delivered_or_a_resync_covers_it(staying: Part) -> None:
    async with one_server("valkey") as redis:
        speaker, listener = redis.nodes
        client = await listener.connect("/ws/chat/lobby")
        redis.switch(staying)

        confirmed: dict[int, int] = {}  # offset by content
        while not await redis.all_have_left():
            content = len(confirmed)
            [result] = await publish_batch(speaker, "lobby", content)
            if "offset" in result:
                confirmed[content] = result["offset"]
        last = await (await speaker.connect("/ws/chat/lobby")).ok("message", content="last")

        frames = await receive_until(client, lambda frame: frame.get("content") == "last" or _covers(frame, last))
        received = {frame["content"] for frame in frames if frame["type"] == "message"}
        covered_up_to = max((frame["offset"] for frame in frames if frame["type"] == "resync"), default=0)
        missing = {content: offset for content, offset in confirmed.items() if content not in received}
        assert confirmed
        assert [content for content, offset in missing.items() if offset > covered_up_to] == []


@pytest.mark.parametrize("staying", [Part.LINK, Part.PUBLISHER], ids=str)
async def test_a_connection_that_stays_on_the_former_master_of_a_cluster_is_replaced(staying: Part) -> None:
    async with two_clusters("redis-7.0") as redis:
        redis.switch(staying)

        await eventually(redis.all_have_left, within=READY_AGAIN_SECONDS, what="all nodes are on the new master")
        await everything_works(redis.nodes)
