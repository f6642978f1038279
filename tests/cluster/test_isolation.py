"""Misbehaving clients and failing nodes do not affect others."""

import asyncio
import struct
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, Transport
from tests.support.node import PRODUCT
from tests.support.raw_socket import RawSocket
from tests.support.waiting import eventually, value_becomes


@pytest.fixture
async def cluster() -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2, PING_INTERVAL="2") as running:
        yield running


@pytest.fixture
async def impatient() -> AsyncGenerator[Cluster]:
    """For tests whose Redis fails."""
    async with Cluster(nodes=2, times=PRODUCT, PING_INTERVAL="2") as running:
        yield running


def _open_sockets(port: int) -> int:
    """Connections to a port that the kernel holds open for its server."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


async def test_a_peer_that_sends_a_close_frame_and_does_not_read_is_cut_off(cluster: Cluster) -> None:
    node = cluster.nodes[0]
    async with RawSocket.to(node.port, receive_buffer=4096) as socket:
        await socket.handshake("/ws/chat/full")
        for _ in range(15):  # more than the kernel takes, less than ends a slow reader
            await node.http.post("/api/v1/rooms/full/messages", json={"content": "x" * 60_000})
        await socket.send(b"\x88\x82\0\0\0\0" + struct.pack(">H", 1000))

        await value_becomes(lambda: node.count("hub", "sessions"), 0)
        await eventually(lambda: _only_ours(node.port), what="the connection is gone")


async def _only_ours(port: int) -> bool:
    """Nothing but the keep-alive connection of the test's own HTTP client."""
    return _open_sockets(port) <= 1


async def test_no_frame_comes_before_welcome(cluster: Cluster) -> None:
    node = cluster.nodes[0]

    async def publish() -> None:
        while True:
            await cluster.nodes[1].http.post("/api/v1/users/ada/messages", json={"content": 1})

    publishing = asyncio.create_task(publish())
    for number in range(60):
        async with RawSocket.to(node.port) as socket:
            await socket.handshake(f"/ws/chat/room.{number}?user_id=ada")
            assert (await socket.object())["type"] == "welcome"
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)


async def test_a_client_that_answers_pings_is_not_closed_because_redis_is_away(impatient: Cluster) -> None:
    client = await impatient.nodes[0].connect("/ws")
    impatient.valkey.freeze()
    for number in range(20):
        await client.send("join", room=f"room.{number}", id=number)

    codes = [(await client.answer_to(number))["code"] for number in range(20)]
    impatient.valkey.thaw()

    assert codes == ["unavailable"] * 20
    await client.close()


async def test_a_private_message_without_a_link_is_never_confirmed_with_zero_sessions(impatient: Cluster) -> None:
    """Right after its link is cut a node knows nothing of anyone's sessions; zero would be a lie."""
    ada = await impatient.nodes[0].connect("/ws")
    bob = await impatient.nodes[0].connect("/ws?user_id=bob")
    for _ in range(10):
        await impatient.valkey.run("CLIENT", "KILL", "TYPE", "pubsub")
        answer = await ada.call("private", to="bob", content=1)
        assert answer.get("sessions") == 1 or answer["code"] == "unavailable"
    await ada.close()
    await bob.close()


async def test_a_forbidden_channel_makes_only_its_room_unavailable() -> None:
    """An ACL that allows some rooms: the others are refused, and the link stays."""
    async with Cluster(nodes=1, times=PRODUCT, PING_INTERVAL="3600") as cluster:
        node = cluster.nodes[0]
        await cluster.valkey.run(
            "ACL", "SETUSER", "default", "resetchannels", "&tannoy:*:control", "&tannoy:*:room:ok.*"
        )
        await cluster.valkey.run("ACL", "SETUSER", "default", "&tannoy:*:node:*", "&tannoy:*:echo:*")
        lost = await node.count("link", "connections")
        await cluster.valkey.run("CLIENT", "KILL", "TYPE", "pubsub")

        async def is_back() -> bool:
            return await node.count("link", "connections") > lost and await node.is_ready()

        await eventually(is_back, what="the node has another link, and is ready again")
        client = await node.connect("/ws")
        incarnation = await node.count("link", "connections")

        assert (await client.call("join", room="secret"))["code"] == "unavailable"
        await client.ok("join", room="ok.1")
        await client.ok("message", room="ok.1", content="delivered")

        assert await client.contents(1) == ["delivered"]
        assert await node.count("link", "connections") == incarnation
        await client.close()


async def test_a_bad_handshake_on_a_foreign_path_does_not_delay_the_exit() -> None:
    async with Cluster(nodes=1, transport=Transport.FAST) as cluster:
        async with RawSocket.to(cluster.nodes[0].port) as socket:
            await socket.handshake("/elsewhere", Sec_WebSocket_Version="12")
        await cluster.nodes[0].stop()
        assert "exceeded" not in cluster.nodes[0].log()


async def test_idempotency_keys_are_separate_for_each_author(cluster: Cluster) -> None:
    ada, bob = [await cluster.nodes[0].connect(f"/ws/chat/keys?user_id={who}") for who in ("ada", "bob")]

    await ada.ok("message", content="A", key="1")
    await bob.ok("message", content="B", key="1")
    await ada.ok("message", content="A again", key="1")

    assert await ada.contents(2) == ["A", "B"]
    assert await ada.received_since() == []
    await ada.close()
    await bob.close()
