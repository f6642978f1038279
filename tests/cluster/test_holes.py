"""Links cut, Redis frozen, emptied or set back, nodes killed: each message is delivered once, or a resync says so."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.chaos.harness.proxy import Part, Proxy, Way
from tests.support.client import Client, Frame
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.node import PRODUCT
from tests.support.waiting import eventually, value_becomes

HISTORY = {"HISTORY_SIZE": "10000", "OUTBOX_MAX_BYTES": "100000000"}
BACK_WITHIN = 10.0
CUT_EVERY = 0.2
_rooms = itertools.count(1)


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    """For tests that leave its Redis with all that it knows."""
    async with Cluster(nodes=3, transport=Transport.FAST, times=PRODUCT, **HISTORY) as running:
        yield running


@pytest.fixture
async def fragile(anyio_backend: str) -> AsyncGenerator[Cluster]:
    """For tests whose Redis forgets."""
    async with Cluster(nodes=2, transport=Transport.FAST, times=PRODUCT, **HISTORY) as running:
        yield running


@pytest.fixture
def room() -> str:
    return f"room.{next(_rooms)}"


async def all_ready(cluster: Cluster) -> bool:
    return all([await node.is_ready() for node in cluster.nodes])


async def say(node: NodeProcess, room: str, contents: range) -> list[Frame]:
    """All of these, in order; the position of each, or the problem."""
    messages = [{"room": room, "content": content} for content in contents]
    answer = await node.http.post("/api/v1/messages", json={"messages": messages})
    results: list[Frame] = answer.json()["results"]
    return results


async def listen(client: Client, until: Callable[[Frame], bool]) -> list[Frame]:
    """Messages and resyncs, in the order in which they come, up to the one that was waited for."""
    frames: list[Frame] = []
    while not frames or not until(frames[-1]):
        frames.append(await client.find(lambda frame: frame["type"] in ("message", "resync"), "what is said"))
    return frames


def says(content: object) -> Callable[[Frame], bool]:
    return lambda frame: frame.get("content") == content


def read(frames: list[Frame]) -> list[tuple[int, Any]]:
    assert {frame["type"] for frame in frames} <= {"message"}, [f for f in frames if f["type"] != "message"]
    return [(frame["offset"], frame["content"]) for frame in frames]


async def members(cluster: Cluster, room: str) -> list[Client]:
    """Two on each node, one for each wire format."""
    return [await node.connect(f"/ws/chat/{room}", wire=wire) for node in cluster.nodes for wire in ("json", "msgpack")]


# ---- links that are cut


@asynccontextmanager
async def cutting_links(cluster: Cluster) -> AsyncGenerator[None]:
    async def cut() -> None:
        while True:
            await cluster.valkey.run("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.sleep(CUT_EVERY)

    async with asyncio.TaskGroup() as tasks:
        cutting = tasks.create_task(cut())
        yield
        cutting.cancel()


async def test_while_links_are_cut_again_and_again_each_message_is_delivered_once(cluster: Cluster, room: str) -> None:
    count, at_once = 20_000, 50
    clients = await members(cluster, room)
    lost = await cluster.total("link", "connections_lost")
    listening = [asyncio.create_task(listen(client, says(count))) for client in clients]

    async with cutting_links(cluster):
        for start in range(1, count + 1, at_once):
            node = cluster.nodes[start // at_once % 3]
            results = await say(node, room, range(start, start + at_once))
            assert [result.get("offset") for result in results] == list(range(start, start + at_once))

    for heard in await asyncio.gather(*listening):
        assert read(heard) == [(number, number) for number in range(1, count + 1)]
    assert await cluster.total("link", "connections_lost") - lost >= 9
    assert await cluster.total("tracker", "filled") > 0
    for client in clients:
        await client.close()


async def test_the_last_message_of_all_is_not_lost_with_the_link(cluster: Cluster, room: str) -> None:
    clients = await members(cluster, room)
    for number in range(1, 6):
        await cluster.valkey.run("CLIENT", "KILL", "TYPE", "pubsub")
        await say(cluster.nodes[0], room, range(number, number + 1))
        for client in clients:  # nothing else is said that could show the hole
            assert read([await client.expect("message")]) == [(number, number)]
    for client in clients:
        await client.close()


# ---- Redis away


async def test_a_frozen_redis_costs_no_message_that_was_confirmed(cluster: Cluster, room: str) -> None:
    clients = await members(cluster, room)
    speaker = await cluster.nodes[0].connect("/ws")
    await speaker.ok("join", room=room)
    listening = [asyncio.create_task(listen(client, says("last"))) for client in clients]
    answers = [await speaker.ok("message", room=room, content=number) for number in range(20)]
    loop = asyncio.get_running_loop()

    cluster.valkey.freeze()
    thaw_at = loop.time() + 4.0
    unconfirmed = 0
    while loop.time() < thaw_at:
        answer = await speaker.call("message", room=room, content=f"unconfirmed {unconfirmed}")
        assert answer["code"] == "unavailable"
        unconfirmed += 1
    cluster.valkey.thaw()
    await eventually(lambda: all_ready(cluster), within=BACK_WITHIN, what="every node is ready again")
    answers += [await speaker.ok("message", room=room, content=content) for content in (*range(20, 40), "last")]

    assert unconfirmed > 3
    confirmed = list(zip([answer["offset"] for answer in answers], [*range(40), "last"], strict=True))
    for frames in await asyncio.gather(*listening):
        heard = read(frames)
        assert [offset for offset, _ in heard] == list(range(1, answers[-1]["offset"] + 1))
        assert [each for each in heard if not str(each[1]).startswith("unconfirmed")] == confirmed
    for client in (*clients, speaker):
        await client.close()


@pytest.mark.parametrize("kept", ["nothing", "a stale dump"])
async def test_a_redis_that_lost_data_causes_resyncs_and_repeats_no_position(
    fragile: Cluster, room: str, kept: str
) -> None:
    clients = await members(fragile, room)
    places = await say(fragile.nodes[0], room, range(1, 6))
    if kept == "a stale dump":
        await fragile.valkey.run("SAVE")
    places += await say(fragile.nodes[1], room, range(6, 11))
    for client in clients:
        assert read(await listen(client, says(10))) == [(number, number) for number in range(1, 11)]

    fragile.valkey.kill()
    await value_becomes(lambda: fragile.total("link", "live"), 0, within=BACK_WITHIN)
    await fragile.valkey.start()
    await eventually(lambda: all_ready(fragile), within=BACK_WITHIN, what="every node is ready again")
    new = await say(fragile.nodes[1], room, range(11, 21))

    first = 1 if kept == "nothing" else 6
    assert [place["offset"] for place in new] == list(range(first, first + 10))
    assert {place["epoch"] for place in new}.isdisjoint(place["epoch"] for place in places)
    for client in clients:
        frames = await listen(client, says(20))
        last_told = max(number for number, frame in enumerate(frames) if frame["type"] == "resync")
        resync, behind = frames[last_told], frames[last_told + 1 :]
        assert read(frames[:last_told]) == []
        assert resync["epoch"] == new[0]["epoch"]
        assert [frame["offset"] for frame in behind] == list(range(resync["offset"] + 1, first + 10))
    back = await fragile.nodes[0].connect("/ws")
    recover = {"epoch": places[0]["epoch"], "offset": 5}
    assert (await back.ok("join", room=room, recover=recover))["recovered"] is False
    for client in (*clients, back):
        await client.close()


# ---- a reply that is cut


@asynccontextmanager
async def behind_a_proxy(cluster: Cluster) -> AsyncGenerator[tuple[NodeProcess, Proxy]]:
    """One more node, and what its connections to Redis go through."""
    async with Proxy(cluster.valkey.port) as proxy:
        settings = {"REDIS_URL": f"redis://127.0.0.1:{proxy.port}", **HISTORY}
        node = NodeProcess("n-proxied", Transport.FAST, settings, times=PRODUCT)
        try:
            await node.start()
            yield node, proxy
        finally:
            await node.close()


@pytest.mark.parametrize("speaks", ["a client", "a back end"])
async def test_a_publish_whose_reply_was_cut_stands_once_when_it_is_repeated(
    cluster: Cluster, room: str, speaks: str
) -> None:
    listener = await cluster.nodes[0].connect(f"/ws/chat/{room}")
    async with behind_a_proxy(cluster) as (node, proxy):
        ada = await node.connect(f"/ws/chat/{room}?user_id=ada")

        async def publish() -> Frame:
            if speaks == "a client":
                return await ada.call("message", content="once", key="k")
            body = {"content": "once", "user_id": "ada", "key": "k"}
            answer: Frame = (await node.http.post(f"/api/v1/rooms/{room}/messages", json=body)).json()
            return answer

        proxy.stall(Way.FROM_REDIS, Part.PUBLISHER)
        assert (await publish())["code"] == "unavailable"
        heard = await listener.expect("message")  # it was carried out all the same
        proxy.flow(Part.PUBLISHER)
        proxy.reset(Part.PUBLISHER)
        await eventually(node.is_ready, within=BACK_WITHIN, what="the node is ready again")
        again = await publish()
        await ada.ok("message", content="behind it")

        assert (heard["offset"], heard["content"], again["offset"]) == (1, "once", 1)
        assert read([await listener.expect("message")]) == [(2, "behind it")]
    await listener.close()
