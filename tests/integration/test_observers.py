"""A session that observes a room receives all that is published there, is listed nowhere, and publishes nothing."""

import pytest

from tests.integration.conftest import Connect
from tests.support.client import Client
from tests.support.cluster import NodeProcess
from tests.support.room_messages import publish_batch

both_wires = pytest.mark.parametrize("wire", ["json", "msgpack"])


async def fence(client: Client, room: str) -> None:
    """Return when everybody in the room has been delivered what was published before."""
    await client.ok("message", room=room, content="fence")


@both_wires
async def test_an_observer_receives_messages_and_events_in_order(
    nodes: list[NodeProcess], connect: Connect, name: str, wire: str
) -> None:
    observer = await connect(nodes[0], "/ws", wire=wire)
    await observer.ok("join", room=name, observe=True)
    ada = await connect(nodes[1], f"/ws/chat/{name}?user_id=ada.{name}")
    await ada.ok("message", content=1)
    await ada.ok("typing")
    await ada.ok("message", content=2)

    assert (await observer.expect("user_joined"))["user_id"] == f"ada.{name}"
    assert await observer.contents(2) == [1, 2]
    assert (await observer.expect("typing"))["user_id"] == f"ada.{name}"


@both_wires
async def test_the_join_of_an_observer_shows_who_is_there_and_nobody_sees_it(
    nodes: list[NodeProcess], connect: Connect, name: str, wire: str
) -> None:
    ada = await connect(nodes[1], f"/ws/chat/{name}?user_id=ada.{name}")
    observer = await connect(nodes[0], f"/ws?user_id=eve.{name}", wire=wire)
    before = await ada.ok("presence")

    joined = await observer.ok("join", room=name, observe=True)
    await observer.ok("leave", room=name)
    await observer.ok("join", room=name, observe=True)
    await fence(ada, name)

    users = [user["user_id"] for user in joined["users"]]
    assert (users, joined["users_count"], joined["version"]) == ([f"ada.{name}"], 1, before["version"])
    assert await observer.contents(1) == ["fence"]
    after = await ada.ok("presence")
    counts = (await nodes[2].http.get(f"/api/v1/rooms/{name}")).json()
    assert (after["users"], after["version"], counts["sessions_count"]) == (before["users"], before["version"], 1)
    assert [frame["type"] for frame in await ada.received_since(with_presence=True)] == ["message"]


async def test_an_observer_publishes_nothing_and_may_ask(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    ada = await connect(nodes[1], f"/ws/chat/{name}")
    observer = await connect(nodes[0], "/ws")
    await observer.ok("join", room=name, observe=True)

    refused = [await observer.call("message", room=name, content=1), await observer.call("typing", room=name)]
    await fence(ada, name)

    assert [(answer["type"], answer["code"]) for answer in refused] == [("error", "forbidden")] * 2
    assert (await observer.ok("presence", room=name))["users_count"] == 1
    assert [message["content"] for message in (await observer.ok("history", room=name))["messages"]] == ["fence"]
    assert [frame["content"] for frame in await ada.received_since()] == ["fence"]


@both_wires
async def test_an_observer_recovers_what_it_has_missed(
    nodes: list[NodeProcess], connect: Connect, name: str, wire: str
) -> None:
    position = (await publish_batch(nodes[1], name, 1, 2, 3))[0]
    observer = await connect(nodes[0], "/ws", wire=wire)

    joined = await observer.ok("join", room=name, observe=True, recover=position)

    assert (joined["recovered"], joined["offset"], joined["users_count"]) == (True, 3, 0)
    assert await observer.contents(2) == [2, 3]


async def test_an_observer_that_leaves_may_join_as_a_user(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}")
    await client.ok("leave")
    await client.ok("join", observe=True)
    assert (await client.call("join"))["code"] == "already_joined"
    await client.ok("leave")

    assert (await client.ok("join"))["users_count"] == 1
    await client.ok("message", content="I am here")


async def test_a_room_with_observers_alone_is_empty(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    observer = await connect(nodes[0], "/ws")
    await observer.ok("join", room=name, observe=True)

    counts = (await nodes[1].http.get(f"/api/v1/rooms/{name}")).json()
    rooms = (await nodes[1].http.get("/api/v1/rooms")).json()["rooms"]
    await publish_batch(nodes[2], name, "heard")

    assert (counts["users_count"], counts["sessions_count"]) == (0, 0)
    assert name not in [room["room"] for room in rooms]
    assert await observer.contents(1) == ["heard"]
