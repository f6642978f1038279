"""Streams with the Python client: one message at the end, and the text while it grows as events."""

from collections.abc import AsyncGenerator
from typing import Literal

import pytest
from tannoy.client import connect
from tannoy.client.events import Event, StreamBegan, StreamEnded, StreamGrew

from tests.support.cluster import Cluster
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2) as running:
        yield running


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_a_stream_is_one_message_between_the_others_and_grows_in_the_events(
    cluster: Cluster, encoding: Literal["json", "msgpack"]
) -> None:
    room, http = f"room-{encoding}", cluster.nodes[1].http
    path = f"/api/v1/rooms/{room}/streams"
    told: list[Event] = []
    async with connect(cluster.nodes[0].url, user_id="ada", encoding=encoding, timeout=PATIENCE) as client:
        events = client.events()
        joined = await client.join(room)
        await joined.send("before")
        await http.post(path, json={"stream_id": "s", "user_id": "bot", "meta": 1})
        await http.post(f"{path}/s", json={"text": "wör"})
        async for event in events:
            told.append(event)
            if isinstance(event, StreamGrew):
                break
        await joined.stop_stream("s")
        assert (await http.post(f"{path}/s", json={"text": "ld"})).json()["stop"]
        await http.post(f"{path}/s/end", json={"status": "stopped"})
        await joined.send("after")
        read = [await anext(joined) for _ in range(3)]
        history = await joined.history()
        async for event in events:
            told.append(event)
            if isinstance(event, StreamEnded):
                break
    assert read == history
    assert [message.content for message in read] == [
        "before",
        {"stream_id": "s", "text": "wörld", "status": "stopped", "meta": 1},
        "after",
    ]
    assert [event for event in told if isinstance(event, StreamBegan | StreamGrew | StreamEnded)] == [
        StreamBegan(room, "s", "bot", "bot", 1, ""),
        StreamGrew(room, "s", "wör"),
        StreamGrew(room, "s", "ld"),
        StreamEnded(room, "s", "stopped", "wörld"),
    ]


async def test_who_was_away_at_the_end_reads_the_message_once(cluster: Cluster) -> None:
    http, path = cluster.nodes[1].http, "/api/v1/rooms/away/streams"
    async with connect(cluster.nodes[0].url, user_id="ada", timeout=PATIENCE) as client:
        joined = await client.join("away")
        await http.post(path, json={"stream_id": "s"})
        await http.post(f"{path}/s", json={"text": "one "})
        await cluster.nodes[0].kill()
        await http.post(f"{path}/s", json={"text": "two"})
        await http.post(f"{path}/s/end", json={})
        await cluster.nodes[0].start()
        await joined.send("after")
        contents = [(await anext(joined)).content for _ in range(2)]
    assert [each["text"] if isinstance(each, dict) else each for each in contents] == ["one two", "after"]


async def test_who_joins_in_the_middle_is_told_the_whole_text(cluster: Cluster) -> None:
    http, path = cluster.nodes[1].http, "/api/v1/agents/middle/streams"
    await http.post(path, json={"stream_id": "s"})
    await http.post(f"{path}/s", json={"text": "one "})
    async with connect(cluster.nodes[0].url, user_id="ada", timeout=PATIENCE) as client:
        agent = await client.agent("middle")
        told: list[Event] = []
        async for event in agent.events():
            told.append(event)
            if isinstance(event, StreamBegan):
                break
        await http.post(f"{path}/s/end", json={})
        message = await anext(agent)
    assert told[-1] == StreamBegan("middle", "s", None, None, None, "one ")
    assert message.content["text"] == "one "
