"""Links cut, Redis frozen, emptied or set back, nodes killed: each message is delivered once, or a resync says so."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tests.chaos.harness.proxy import Part, Proxy, Way
from tests.cluster.conftest import LONG_HISTORY, READY_AGAIN_SECONDS
from tests.support.client import Client, Frame
from tests.support.cluster import Cluster, NodeProcess, Transport, all_ready
from tests.support.node import STEADY
from tests.support.room_messages import has_content, offsets_and_contents, publish_batch, receive_until
from tests.support.waiting import eventually, value_becomes

CUT_SECONDS = 0.2
"""Between two cuts of all links."""
_rooms = itertools.count(1)


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    """For tests whose Redis keeps its data."""
    async with Cluster(nodes=3, transport=Transport.FAST, times=STEADY, **LONG_HISTORY) as running:
        yield running


@pytest.fixture
async def fragile(anyio_backend: str) -> AsyncGenerator[Cluster]:
    """For tests whose Redis loses data."""
    async with Cluster(nodes=2, transport=Transport.FAST, times=STEADY, **LONG_HISTORY) as running:
        yield running


@pytest.fixture
def room() -> str:
    return f"room.{next(_rooms)}"


async def members(cluster: Cluster, room: str) -> list[Client]:
    """Two on each node, one for each wire format."""
    return [await node.connect(f"/ws/chat/{room}", wire=wire) for node in cluster.nodes for wire in ("json", "msgpack")]


# ---- links that are cut


@asynccontextmanager
async def cutting_links(cluster: Cluster) -> AsyncGenerator[None]:
    is_over = False

    async def cut() -> None:
        # Not ended by a cancellation: redis-py may lose one that comes as its answer does.
        while not is_over:
            await cluster.valkey.run("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.sleep(CUT_SECONDS)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(cut())
        try:
            yield
        finally:
            is_over = True


async def test_each_message_is_delivered_once_while_links_are_cut(cluster: Cluster, room: str) -> None:
    count, at_once = 20_000, 50
    clients = await members(cluster, room)
    lost = await cluster.total("link", "connections_lost")
    listening = [asyncio.create_task(receive_until(client, has_content(count))) for client in clients]

    async with cutting_links(cluster):
        for start in range(1, count + 1, at_once):
            node = cluster.nodes[start // at_once % 3]
            results = await publish_batch(node, room, *range(start, start + at_once))
            assert [result.get("offset") for result in results] == list(range(start, start + at_once))

    for received in await asyncio.gather(*listening):
        assert offsets_and_contents(received) == [(number, number) for number in range(1, count + 1)]
    assert await cluster.total("link", "connections_lost") - lost >= 9
    assert await cluster.total("tracker", "filled") > 0
    for client in clients:
        await client.close()


async def test_the_last_message_is_delivered_although_its_link_was_cut(cluster: Cluster, room: str) -> None:
    clients = await members(cluster, room)
    for number in range(1, 6):
        await cluster.valkey.run("CLIENT", "KILL", "TYPE", "pubsub")
        await publish_batch(cluster.nodes[0], room, *range(number, number + 1))
        for client in clients:  # nothing else is published that could show the hole
            assert offsets_and_contents([await client.expect("message")]) == [(number, number)]
    for client in clients:
        await client.close()


# ---- Redis frozen, or without its data


async def test_a_confirmed_message_is_delivered_after_a_freeze_of_redis(cluster: Cluster, room: str) -> None:
    clients = await members(cluster, room)
    author = await cluster.nodes[0].connect("/ws")
    await author.ok("join", room=room)
    listening = [asyncio.create_task(receive_until(client, has_content("last"))) for client in clients]
    answers = [await author.ok("message", room=room, content=number) for number in range(20)]
    loop = asyncio.get_running_loop()

    cluster.valkey.freeze()
    thaw_at = loop.time() + 4.0
    unconfirmed = 0
    while loop.time() < thaw_at:
        answer = await author.call("message", room=room, content=f"unconfirmed {unconfirmed}")
        assert answer["code"] == "unavailable"
        unconfirmed += 1
    cluster.valkey.thaw()
    await eventually(lambda: all_ready(cluster.nodes), within=READY_AGAIN_SECONDS, what="every node is ready again")
    answers += [await author.ok("message", room=room, content=content) for content in (*range(20, 40), "last")]

    assert unconfirmed
    confirmed = list(zip([answer["offset"] for answer in answers], [*range(40), "last"], strict=True))
    for frames in await asyncio.gather(*listening):
        received = offsets_and_contents(frames)
        assert [offset for offset, _ in received] == list(range(1, answers[-1]["offset"] + 1))
        assert [each for each in received if not str(each[1]).startswith("unconfirmed")] == confirmed
    for client in (*clients, author):
        await client.close()


@pytest.mark.parametrize("kept", ["nothing", "a stale dump"])
async def test_a_redis_that_lost_data_causes_resyncs_and_repeats_no_position(
    fragile: Cluster, room: str, kept: str
) -> None:
    clients = await members(fragile, room)
    positions = await publish_batch(fragile.nodes[0], room, *range(1, 6))
    if kept == "a stale dump":
        await fragile.valkey.run("SAVE")
    positions += await publish_batch(fragile.nodes[1], room, *range(6, 11))
    for client in clients:
        assert offsets_and_contents(await receive_until(client, has_content(10))) == [
            (number, number) for number in range(1, 11)
        ]

    fragile.valkey.kill()
    await value_becomes(lambda: fragile.total("link", "live"), 0, within=READY_AGAIN_SECONDS)
    await fragile.valkey.start()
    await eventually(lambda: all_ready(fragile.nodes), within=READY_AGAIN_SECONDS, what="every node is ready again")
    new = await publish_batch(fragile.nodes[1], room, *range(11, 21))

    first = 1 if kept == "nothing" else 6
    assert [position["offset"] for position in new] == list(range(first, first + 10))
    assert {position["epoch"] for position in new}.isdisjoint(position["epoch"] for position in positions)
    for client in clients:
        frames = await receive_until(client, has_content(20))
        last_resync = max(number for number, frame in enumerate(frames) if frame["type"] == "resync")
        resync, behind = frames[last_resync], frames[last_resync + 1 :]
        assert offsets_and_contents(frames[:last_resync]) == []
        assert resync["epoch"] == new[0]["epoch"]
        assert [frame["offset"] for frame in behind] == list(range(resync["offset"] + 1, first + 10))
    back = await fragile.nodes[0].connect("/ws")
    recover = {"epoch": positions[0]["epoch"], "offset": 5}
    assert (await back.ok("join", room=room, recover=recover))["recovered"] is False
    for client in (*clients, back):
        await client.close()


# ---- a reply that is cut


@asynccontextmanager
async def behind_a_proxy(cluster: Cluster) -> AsyncGenerator[tuple[NodeProcess, Proxy]]:
    """One more node, and what its connections to Redis go through."""
    async with Proxy(cluster.valkey.port) as proxy:
        settings = {"REDIS_URL": f"redis://127.0.0.1:{proxy.port}", **LONG_HISTORY}
        node = NodeProcess("n-proxied", Transport.FAST, settings, times=STEADY)
        try:
            await node.start()
            yield node, proxy
        finally:
            await node.close()


@pytest.mark.parametrize("publisher", ["a client", "a back end"])
async def test_a_publish_repeated_after_a_lost_reply_is_published_once(
    cluster: Cluster, room: str, publisher: str
) -> None:
    listener = await cluster.nodes[0].connect(f"/ws/chat/{room}")
    async with behind_a_proxy(cluster) as (node, proxy):
        ada = await node.connect(f"/ws/chat/{room}?user_id=ada")

        async def publish() -> Frame:
            if publisher == "a client":
                return await ada.call("message", content="once", key="k")
            body = {"content": "once", "user_id": "ada", "key": "k"}
            answer: Frame = (await node.http.post(f"/api/v1/rooms/{room}/messages", json=body)).json()
            return answer

        proxy.stall(Way.FROM_REDIS, Part.PUBLISHER)
        assert (await publish())["code"] == "unavailable"
        received = await listener.expect("message")  # it was carried out all the same
        proxy.flow(Part.PUBLISHER)
        proxy.reset(Part.PUBLISHER)
        await eventually(node.is_ready, within=READY_AGAIN_SECONDS, what="the node is ready again")
        again = await publish()
        await ada.ok("message", content="behind it")

        assert (received["offset"], received["content"], again["offset"]) == (1, "once", 1)
        assert offsets_and_contents([await listener.expect("message")]) == [(2, "behind it")]
    await listener.close()
