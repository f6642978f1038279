"""Recovery: all missed messages, each once and in order, or none and `recovered: false`."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.integration.conftest import Connect
from tests.support.client import Client, Frame
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.room_messages import offsets_and_contents, publish_batch, receive_messages

HISTORY_SIZE = 100
"""The default: what the clusters of these tests keep of a room."""


def position(frame: Frame, offset: int | None = None) -> dict[str, Any]:
    return {"epoch": frame["epoch"], "offset": frame["offset"] if offset is None else offset}


async def rejoin(client: Client, name: str, recover: dict[str, Any]) -> tuple[Frame, list[Frame]]:
    """The `ok` of the join, and the messages behind it; none may come before it."""
    ok = await client.ok("join", room=name, recover=recover)
    assert not client.inbox
    return ok, [frame for frame in await client.received_since() if frame["type"] != "private"]


# ---- complete


@pytest.mark.parametrize("wire", ["json", "msgpack"])
async def test_missed_messages_are_recovered_through_any_node(
    nodes: list[NodeProcess], connect: Connect, name: str, wire: str
) -> None:
    other = await connect(nodes[0], f"/ws/chat/{name}")
    published = await publish_batch(nodes[0], name, *range(1, 41))

    assert offsets_and_contents(await receive_messages(other, 40)) == [(offset, offset) for offset in range(1, 41)]
    for node in nodes:  # the first one is subscribed to the room already, the others are not
        ok, missed = await rejoin(await connect(node, "/ws", wire=wire), name, position(published[9]))
        assert (ok["recovered"], ok["epoch"], ok["offset"]) == (True, published[0]["epoch"], 40)
        assert offsets_and_contents(missed) == [(offset, offset) for offset in range(11, 41)]


async def test_recovered_messages_equal_those_that_others_received(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    other = await connect(nodes[0], f"/ws/chat/{name}?user_id=ada")
    for content in ({"text": "é 🎉 \u2028"}, [None, 2.5], ""):
        await other.ok("message", content=content)
    received = await receive_messages(other, 3)

    back = await connect(nodes[1], "/ws")
    _, missed = await rejoin(back, name, position(other.welcome))

    assert missed == received


async def test_recovering_twice_in_a_row_gives_the_same_messages_twice(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    published = await publish_batch(nodes[0], name, *range(1, 11))
    client = await connect(nodes[1], "/ws")

    for _ in range(2):
        ok, missed = await rejoin(client, name, position(published[4]))
        assert (ok["recovered"], offsets_and_contents(missed)) == (True, [(offset, offset) for offset in range(6, 11)])
        await client.ok("leave", room=name)


async def test_recovery_with_nothing_missed_succeeds_and_delivery_goes_on(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    last = (await publish_batch(nodes[0], name, 1, 2))[-1]
    client = await connect(nodes[1], "/ws")

    ok, missed = await rejoin(client, name, position(last))
    await publish_batch(nodes[2], name, 3)

    assert (ok["recovered"], ok["offset"], missed) == (True, 2, [])
    assert offsets_and_contents([await client.expect("message")]) == [(3, 3)]


async def test_a_client_that_reconnects_at_once_has_missed_nothing(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}")
    start = position(client.welcome)
    received: list[tuple[int, Any]] = []
    for number in range(1, 11):
        await publish_batch(nodes[1], name, number)
        client.vanish()
        client = await connect(nodes[0], "/ws")
        ok, missed = await rejoin(client, name, start)
        assert ok["recovered"] is True
        received += offsets_and_contents(missed)
        start = position(ok)
    assert received == [(offset, offset) for offset in range(1, 11)]


async def test_a_session_of_an_agent_recovers_as_it_connects(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    first = await connect(nodes[0], f"/ws/agents/{name}?session_id=tab")
    for number in range(1, 6):
        await first.ok("message", content=number)
    first.vanish()

    for node, wire in zip(nodes, ("json", "msgpack", "json"), strict=True):
        path = f"/ws/agents/{name}?session_id=tab&epoch={first.welcome['epoch']}&offset=2"
        back = await connect(node, path, wire=wire)
        assert (back.welcome["recovered"], back.welcome["offset"]) == (True, 5)
        assert offsets_and_contents(await receive_messages(back, 3)) == [(3, 3), (4, 4), (5, 5)]


# ---- refused


async def refused(node: NodeProcess, connect: Connect, name: str, recover: dict[str, Any], head: int) -> None:
    """The answer is not recovered, with the head; then comes what is published from then on."""
    client = await connect(node, "/ws")
    ok, missed = await rejoin(client, name, recover)
    assert (ok["recovered"], ok["offset"], missed) == (False, head, [])
    await publish_batch(node, name, "next")
    assert offsets_and_contents([await client.expect("message")]) == [(head + 1, "next")]


@pytest.mark.parametrize("offset", [3, 7, 2**53, 2**53 + 1, 10**18])
async def test_a_position_beyond_the_head_is_refused(
    nodes: list[NodeProcess], connect: Connect, name: str, offset: int
) -> None:
    published = await publish_batch(nodes[0], name, 1, 2)
    await refused(nodes[1], connect, name, position(published[0], offset), 2)


@pytest.mark.parametrize("epoch", ["", "another", "e" * 1000])
async def test_a_position_of_another_epoch_is_refused(
    nodes: list[NodeProcess], connect: Connect, name: str, epoch: str
) -> None:
    await publish_batch(nodes[0], name, 1, 2)
    await refused(nodes[1], connect, name, {"epoch": epoch, "offset": 1}, 2)


async def test_a_position_before_the_kept_messages_is_refused_and_the_oldest_kept_one_is_not(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    count = HISTORY_SIZE + 20
    published = await publish_batch(nodes[0], name, *range(1, count + 1))

    _, missed = await rejoin(await connect(nodes[1], "/ws"), name, position(published[19]))
    assert offsets_and_contents(missed) == [(offset, offset) for offset in range(21, count + 1)]
    await refused(nodes[1], connect, name, position(published[18]), count)


async def test_a_log_that_was_deleted_by_hand_is_refused(
    cluster: Cluster, nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    published = await publish_batch(nodes[0], name, 1, 2, 3)
    keyspace = Keyspace(cluster.prefix)
    await cluster.valkey.run("DEL", keyspace.history(keyspace.room(RoomName(name))).log)
    await refused(nodes[1], connect, name, position(published[0]), 3)


async def test_a_recovery_larger_than_an_outbox_is_refused(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    published: list[Frame] = []
    for _ in range(2):
        published += await publish_batch(nodes[0], name, *("x" * 60_000 for _ in range(10)))

    client = await connect(nodes[1], "/ws")
    ok, missed = await rejoin(client, name, position(published[3]))
    assert (ok["recovered"], len(missed)) == (True, 16)
    await refused(nodes[1], connect, name, position(published[0]), 20)


@pytest.mark.parametrize("query", ["epoch=e&offset=1", "epoch=e", "offset=1", "epoch=e&offset=x", "epoch=e&offset=-1"])
async def test_a_malformed_position_of_a_session_of_an_agent_is_refused(
    nodes: list[NodeProcess], connect: Connect, name: str, query: str
) -> None:
    await (await connect(nodes[0], f"/ws/agents/{name}")).ok("message", content=1)

    back = await connect(nodes[1], f"/ws/agents/{name}?{query}")

    assert (back.welcome["recovered"], back.welcome["offset"]) == (False, 1)
    assert await back.received_since() == []


# ---- under load


@pytest.fixture(scope="module", params=list(Transport), ids=str)
async def large_history(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[list[NodeProcess]]:
    """Nodes that keep more than is published while a client is away."""
    async with Cluster(nodes=2, transport=request.param, HISTORY_SIZE="10000", OUTBOX_MAX_BYTES="10000000") as running:
        yield running.nodes


@asynccontextmanager
async def publishing(node: NodeProcess, connect: Connect, name: str) -> AsyncGenerator[list[int]]:
    """Messages 1, 2, 3 … are published all the while; the offsets of those that were confirmed."""
    author = await connect(node, f"/ws/chat/{name}?user_id=author")
    offsets: list[int] = []

    async def publish() -> None:
        for number in itertools.count(1):
            offsets.append((await author.ok("message", content=number))["offset"])
            author.inbox.clear()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(publish())
        try:
            yield offsets
        finally:
            task.cancel()


@pytest.mark.parametrize("wire", ["json", "msgpack"])
async def test_a_client_that_reconnects_under_load_receives_each_message_once(
    large_history: list[NodeProcess], connect: Connect, name: str, wire: str
) -> None:
    received: list[Frame] = []
    client = await connect(large_history[1], f"/ws/chat/{name}", wire=wire)
    epoch, first = client.welcome["epoch"], client.welcome["offset"]
    async with publishing(large_history[0], connect, name) as confirmed:
        for turn in range(12):
            received += await receive_messages(client, 10)
            client.vanish()
            client = await connect(large_history[turn % 2], "/ws", wire=wire)
            recover = {"epoch": epoch, "offset": received[-1]["offset"]}
            assert (await client.ok("join", room=name, recover=recover))["recovered"] is True

    await publish_batch(large_history[1], name, "the last one")
    while received[-1]["content"] != "the last one":
        received.append(await client.expect("message"))
    assert [frame["offset"] for frame in received] == list(range(first + 1, received[-1]["offset"] + 1))
    assert [frame["content"] for frame in received[:-1]] == list(range(1, len(received)))
    assert confirmed == list(range(1, len(confirmed) + 1))


async def test_a_client_that_joins_under_load_receives_all_from_its_position_on(
    large_history: list[NodeProcess], connect: Connect, name: str
) -> None:
    clients: list[tuple[Client, list[Frame]]] = []
    async with publishing(large_history[0], connect, name):
        for turn in range(20):
            client = await connect(large_history[turn % 2], f"/ws/chat/{name}", wire=("json", "msgpack")[turn // 2 % 2])
            clients.append((client, await receive_messages(client, 1)))

    last = (await publish_batch(large_history[1], name, "the last one"))[0]["offset"]
    for client, received in clients:
        first = client.welcome["offset"]
        received += await receive_messages(client, last - first - 1)
        assert [frame["offset"] for frame in received] == list(range(first + 1, last + 1))
