"""Streams written with the SDK, through Redis and over HTTP: heard on two nodes, and ended by their block."""

import asyncio
import itertools
from collections.abc import AsyncGenerator

import pytest
from tannoy import AsyncPublisher, InvalidName, MessageTooLarge, Publisher, PublishError, PublishRefused, StreamBroken

from tests.support.client import Client
from tests.support.cluster import Cluster
from tests.support.node import STEADY
from tests.support.waiting import PATIENCE

API_KEY = "k-e-y"
STREAM_MAX_BYTES = 100_000


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2, times=STEADY, API_KEY=API_KEY, STREAM_MAX_BYTES=str(STREAM_MAX_BYTES)) as running:
        yield running


@pytest.fixture(params=["redis", "http"])
async def publisher(request: pytest.FixtureRequest, cluster: Cluster) -> AsyncGenerator[AsyncPublisher]:
    if request.param == "redis":
        publisher = AsyncPublisher(cluster.valkey.url, timeout=PATIENCE, stream_max_bytes=STREAM_MAX_BYTES)
    else:
        publisher = AsyncPublisher(cluster.nodes[0].url, api_key=API_KEY, timeout=PATIENCE)
    async with publisher:
        yield publisher


_names = itertools.count(1)


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"name-{next(_names)}"


async def heard(client: Client) -> tuple[str, str]:
    """The text of the next stream that the client hears, and how it has ended."""
    text = (await client.expect("stream")).get("text", "")
    while True:
        frame = await client.find(lambda frame: frame["type"] in ("delta", "stream_end"), "the stream to go on")
        if frame["type"] == "stream_end":
            return text, frame["status"]
        assert frame["from"] == len(text.encode())
        text += frame["text"]


async def test_a_stream_is_heard_on_both_nodes_and_ended_by_its_block(
    cluster: Cluster, publisher: AsyncPublisher, name: str
) -> None:
    clients = [await node.connect(f"/ws/agents/{name}") for node in cluster.nodes]
    words = [f"wörd {number} " for number in range(200)]
    async with publisher.stream(agent=name, meta={"model": "m"}, user_id="bot") as stream:
        for word in words:
            await stream.write(word)
    assert [await heard(client) for client in clients] == [("".join(words), "done")] * 2
    assert stream.position is not None
    last = (await clients[0].ok("history", limit=1))["messages"][0]
    assert (last["offset"], last["user_id"]) == (stream.position.offset, "bot")
    assert last["content"]["meta"] == {"model": "m"}


async def test_writes_that_follow_each_other_are_gathered(
    cluster: Cluster, publisher: AsyncPublisher, name: str
) -> None:
    client = await cluster.nodes[0].connect(f"/ws/agents/{name}")
    async with publisher.stream(agent=name) as stream:
        for _ in range(1000):
            await stream.write("x")
    text, _ = await heard(client)
    assert text == "x" * 1000
    assert len([frame for frame in client.inbox if frame["type"] == "delta"]) == 0


async def test_a_long_text_is_written_in_parts(cluster: Cluster, publisher: AsyncPublisher, name: str) -> None:
    client = await cluster.nodes[0].connect(f"/ws/chat/{name}?user_id=ada")
    text = "漢\u0000" * 20_000
    async with publisher.stream(room=name) as stream:
        await stream.write(text)
    assert await heard(client) == (text, "done")


async def test_a_producer_learns_who_listens_and_that_it_is_to_stop(
    cluster: Cluster, publisher: AsyncPublisher, name: str
) -> None:
    client = await cluster.nodes[1].connect(f"/ws/agents/{name}")
    async with publisher.stream(agent=name) as stream:
        await stream.write("on and on")
        assert (stream.listeners, stream.stopped) == (1, False)
        await client.ok("stop", stream_id=stream.stream_id)
        await stream.refresh()
        assert stream.stopped
        await stream.end("stopped")
    assert await heard(client) == ("on and on", "stopped")


async def test_an_exception_of_the_program_ends_the_stream_as_failed(
    cluster: Cluster, publisher: AsyncPublisher, name: str
) -> None:
    client = await cluster.nodes[0].connect(f"/ws/agents/{name}")

    async def fail() -> None:
        async with publisher.stream(agent=name) as stream:
            await stream.write("almost")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await heard(client) == ("almost", "failed")


async def test_a_text_that_grows_too_long_ends_as_failed(
    cluster: Cluster, publisher: AsyncPublisher, name: str
) -> None:
    client = await cluster.nodes[0].connect(f"/ws/agents/{name}")
    text = "x" * (STREAM_MAX_BYTES + 1)
    with pytest.raises(MessageTooLarge):
        async with publisher.stream(agent=name) as stream:
            await stream.write(text)
    written, status = await heard(client)
    assert (text.startswith(written), status) == (True, "failed")


async def test_a_second_producer_is_refused(publisher: AsyncPublisher, name: str) -> None:
    async with publisher.stream(agent=name, stream_id=f"s-{id(publisher)}", user_id="one"):
        with pytest.raises(StreamBroken):
            async with publisher.stream(agent=name, stream_id=f"s-{id(publisher)}", user_id="two"):
                pass


async def test_a_stream_that_somebody_else_has_ended_takes_no_more(
    cluster: Cluster, publisher: AsyncPublisher, name: str
) -> None:
    stream = publisher.stream(agent=name)
    await stream.__aenter__()
    await stream.write("x")
    url = f"/api/v1/agents/{name}/streams/{stream.stream_id}/end"
    await cluster.nodes[1].http.post(url, json={"status": "failed"}, headers={"Authorization": f"Bearer {API_KEY}"})
    with pytest.raises(StreamBroken) as broken:
        await stream.refresh()
    assert broken.value.ended == "failed"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, PublishRefused),
        ({"agent": "a", "room": "b"}, PublishRefused),
        ({"agent": "a b"}, InvalidName),
        ({"agent": "a", "stream_id": "a b"}, InvalidName),
        ({"agent": "a", "meta": "x" * 5000}, PublishRefused),
        ({"agent": "a", "meta": {1: 2}}, PublishRefused),
        ({"agent": "a", "meta": object()}, PublishRefused),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_sent(
    publisher: AsyncPublisher, arguments: dict[str, object], error: type[PublishError]
) -> None:
    with pytest.raises(error):
        publisher.stream(**arguments)  # type: ignore[arg-type]


async def test_what_is_no_text_is_refused(publisher: AsyncPublisher) -> None:
    async with publisher.stream(agent="no-text") as stream:
        with pytest.raises(PublishRefused, match="str or bytes"):
            await stream.write(1)  # type: ignore[arg-type]


async def test_nothing_is_written_behind_the_end(publisher: AsyncPublisher, name: str) -> None:
    async with publisher.stream(agent=name) as stream:
        await stream.end()
    with pytest.raises(StreamBroken, match="has ended"):
        await stream.write("x")


async def test_a_program_without_an_event_loop_writes_streams_too(cluster: Cluster, name: str) -> None:
    client = await cluster.nodes[0].connect(f"/ws/agents/{name}")

    def write() -> None:
        with Publisher(cluster.valkey.url) as publisher, publisher.stream(agent=name) as stream:
            for word in ("one ", "two"):
                stream.write(word)
            stream.refresh()
            assert stream.listeners == 1

    await asyncio.to_thread(write)
    assert await heard(client) == ("one two", "done")
