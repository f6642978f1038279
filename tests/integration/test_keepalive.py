"""Pings, silence, and readers that do not read. Nodes of their own, with short times and small buffers."""

import asyncio
import socket
from collections.abc import AsyncGenerator

import pytest

from tests.support.client import Client
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.node import PATIENT
from tests.support.waiting import PATIENCE, value_becomes

OUTBOX_MAX_BYTES = 131_072


@pytest.fixture(scope="module", params=list(Transport), ids=str)
async def strict(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    settings = {"PING_INTERVAL": "1", "OUTBOX_MAX_BYTES": str(OUTBOX_MAX_BYTES)}
    async with Cluster(nodes=1, transport=request.param, times=PATIENT, **settings) as running:
        yield running.nodes[0]


@pytest.fixture(scope="module", params=list(Transport), ids=str)
async def lenient(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    settings = {"SLOW_POLICY": "skip", "OUTBOX_MAX_BYTES": str(OUTBOX_MAX_BYTES)}
    async with Cluster(nodes=1, transport=request.param, times=PATIENT, **settings) as running:
        yield running.nodes[0]


async def test_a_client_that_answers_pings_stays(strict: NodeProcess) -> None:
    client = await strict.connect("/ws", pongs=False)
    assert client.welcome["ping_interval"] == 1

    for _ in range(3):
        assert await client.expect("ping") == {"type": "ping"}
        await client.send("pong")

    assert (await client.call("ping"))["type"] == "pong"
    await client.close()


async def test_a_client_that_does_not_answer_pings_is_closed_with_4003(strict: NodeProcess) -> None:
    client = await strict.connect("/ws", pongs=False)
    await client.expect("ping")

    async with asyncio.timeout(PATIENCE):
        bye: dict[str, object] = {}
        while bye.get("type") != "bye":
            bye = await client.find(lambda frame: frame["type"] in ("bye", "ping"), "bye")

    assert (bye["code"], bye["reason"], bye["reconnect"]) == (4003, "no pong", True)
    assert await client.close_code() == 4003


async def _stalled(node: NodeProcess, path: str) -> Client:
    """A client that stops reading; its receive buffer is small, so the node notices soon."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", node.port))
    client = await Client.open(node.ws_url + path, sock=raw, max_queue=1)
    await client.welcomed()
    return client


async def _publish_until(node: NodeProcess, room: str, what: str, at_least: int, *readers: Client) -> int:
    """Post to the room until the node has counted `what` of its outboxes; the number of posts.

    `readers` read all the while, so that they answer pings.
    """
    for number in range(2000):
        answer = await node.http.post(f"/api/v1/rooms/{room}/messages", json={"content": [number, "x" * 30_000]})
        assert answer.status_code == 200
        for reader in readers:
            await reader.call("ping")
        if number % 10 == 0 and await node.count("outbox", what) >= at_least:
            return number + 1
    raise AssertionError(f"the outbox never counted {what}")


async def test_a_slow_reader_is_closed_with_4002_and_others_receive_everything(strict: NodeProcess) -> None:
    healthy = await strict.connect("/ws/chat/slow.1")
    before = await strict.count("outbox", "overflowed")
    stalled = await _stalled(strict, "/ws/chat/slow.1")

    posts = await _publish_until(strict, "slow.1", "overflowed", before + 1, healthy)

    bye, code = await stalled.bye()  # soon: the node waits 5 s for the answer to its close frame
    assert (bye["type"], bye["code"], bye["reconnect"], code) == ("bye", 4002, True, 4002)
    assert [number for number, _ in await healthy.contents(posts)] == list(range(posts))
    await healthy.close()


async def test_with_skip_a_slow_reader_stays_connected_and_gets_a_resync(lenient: NodeProcess) -> None:
    stalled = await _stalled(lenient, "/ws/chat/slow.2")
    posts = await _publish_until(lenient, "slow.2", "overflowed", 1)

    resync = await stalled.expect("resync")
    received = [frame["content"][0] for frame in stalled.inbox if frame["type"] == "message"]
    await value_becomes(lambda: lenient.count("outbox", "slow"), 0)
    stalled.inbox.clear()
    last = await stalled.ok("message", content="live again")

    assert received == list(range(len(received)))
    assert len(received) < posts
    behind = [frame["offset"] for frame in await stalled.received_since() if frame["type"] == "message"]
    assert (resync["room"], resync["epoch"]) == ("slow.2", last["epoch"])
    assert behind == list(range(resync["offset"] + 1, last["offset"] + 1))
    await stalled.close()
