"""Presence of rooms and agents, per user, over every transport."""

from collections.abc import AsyncGenerator

import pytest

from tests.integration.conftest import Connect
from tests.support.client import PRESENCE_EVENTS, Client, Frame
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.node import PATIENT

GRACE = 0.5


@pytest.fixture(scope="module", params=list(Transport), ids=str)
async def hasty(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[list[NodeProcess]]:
    """Three nodes whose leaves are shown soon."""
    settings = {"PRESENCE_GRACE": str(GRACE), "PRESENCE_INLINE_MAX": "2", "PRESENCE_EVENTS_MAX": "3"}
    async with Cluster(nodes=3, transport=request.param, times=PATIENT, **settings) as running:
        yield running.nodes


async def _events(client: Client) -> list[Frame]:
    return [frame for frame in await client.received_since(with_presence=True) if frame["type"] in PRESENCE_EVENTS]


def _names(users: list[Frame]) -> dict[str, int]:
    return {user["user_id"]: user["sessions"] for user in users}


async def test_welcome_and_join_carry_the_presence_of_the_room(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    ada = await connect(nodes[0], f"/ws/chat/{name}?user_id=ada&username=Ada%20L")
    bob = await connect(nodes[1], "/ws?user_id=bob")
    joined = await bob.ok("join", room=name)

    assert (ada.welcome["users_count"], _names(ada.welcome["users"])) == (1, {"ada": 1})
    assert ada.welcome["users"][0]["username"] == "Ada L"
    assert ada.welcome["users"][0]["connected_at"].endswith("Z")
    assert (joined["users_count"], _names(joined["users"])) == (2, {"ada": 1, "bob": 1})
    event = await ada.expect("user_joined")
    assert (event["room"], event["user_id"], event["username"], event["users_count"]) == (name, "bob", "bob", 2)
    assert event["version"] == joined["version"] == ada.welcome["version"] + 1
    assert await _events(bob) == [], "a client is not notified of its own arrival"


async def test_a_user_with_two_tabs_is_one_user_and_leaves_once(
    hasty: list[NodeProcess], connect: Connect, name: str
) -> None:
    watcher = await connect(hasty[2], f"/ws/chat/{name}?user_id=watcher")
    first = await connect(hasty[0], f"/ws/chat/{name}?user_id=ada")
    second = await connect(hasty[1], f"/ws/chat/{name}?user_id=ada")
    assert second.welcome["users_count"] == 2
    assert (await watcher.expect("user_joined"))["user_id"] == "ada"

    await first.close()
    assert _names((await watcher.ok("presence"))["users"])["ada"] in (1, 2)
    await second.close()

    left = await watcher.expect("user_left")
    assert (left["user_id"], left["users_count"]) == ("ada", 1)
    assert await _events(watcher) == []


async def test_a_reload_is_no_leave(hasty: list[NodeProcess], connect: Connect, name: str) -> None:
    watcher = await connect(hasty[2], f"/ws/chat/{name}?user_id=watcher")
    before = await connect(hasty[0], f"/ws/chat/{name}?user_id=ada")
    await watcher.expect("user_joined")

    await before.close()
    after = await connect(hasty[1], f"/ws/chat/{name}?user_id=ada")
    # A user who leaves now is shown after the grace of the reload is over: then nothing was shown of the reload.
    await (await connect(hasty[0], f"/ws/chat/{name}?user_id=other")).close()
    assert (await watcher.expect("user_left"))["user_id"] == "other"

    assert [event["user_id"] for event in await _events(watcher)] == ["other"]
    assert after.welcome["users_count"] == 2


async def test_leaving_a_room_is_a_leave(hasty: list[NodeProcess], connect: Connect, name: str) -> None:
    watcher = await connect(hasty[0], f"/ws/chat/{name}?user_id=watcher")
    ada = await connect(hasty[1], "/ws?user_id=ada")
    await ada.ok("join", room=name)
    await ada.ok("leave", room=name)
    assert (await watcher.expect("user_left"))["user_id"] == "ada"


async def test_the_presence_command_and_the_api_say_the_same(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    ada = await connect(nodes[0], f"/ws/chat/{name}?user_id=ada")
    await connect(nodes[1], f"/ws/chat/{name}?user_id=ada")
    await connect(nodes[2], f"/ws/chat/{name}?user_id=bob")

    answer = await ada.ok("presence")
    shown = (await nodes[2].http.get(f"/api/v1/rooms/{name}/presence")).json()

    assert _names(answer["users"]) == {"ada": 2, "bob": 1}
    assert (shown["room"], shown["users"], shown["users_count"]) == (name, answer["users"], answer["users_count"])
    counts = (await nodes[1].http.get(f"/api/v1/rooms/{name}")).json()
    assert (counts["room"], counts["users_count"], counts["sessions_count"]) == (name, 2, 3)
    rooms = (await nodes[1].http.get("/api/v1/rooms")).json()
    assert {"room": name, "users_count": 2} in rooms["rooms"]
    assert rooms["total"] >= 1


async def test_an_agents_presence_lists_its_sessions(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    ada = await connect(nodes[0], f"/ws/agents/{name}?user_id=ada&session_id=one")
    await connect(nodes[1], f"/ws/agents/{name}?user_id=ada&session_id=two")
    answer = await ada.ok("presence")
    assert (_names(answer["users"]), answer["users_count"]) == ({"ada": 2}, 1)
    assert [(session["session_id"], session["node"]) for session in answer["sessions"]] == [
        ("one", "n1"),
        ("two", "n2"),
    ]


async def test_private_answers_with_the_true_number_of_sessions(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    ada = await connect(nodes[0], f"/ws?user_id=ada.{name}")
    for number in range(3):
        await connect(nodes[number], f"/ws/chat/{name}?user_id=bob.{name}")
    assert (await ada.ok("private", to=f"bob.{name}", content="hi"))["sessions"] == 3
    assert (await ada.ok("private", to=f"unknown.{name}", content="hi"))["sessions"] == 0


async def test_users_are_listed_and_announced_only_up_to_their_limits(
    hasty: list[NodeProcess], connect: Connect, name: str
) -> None:
    watcher = await connect(hasty[0], f"/ws/chat/{name}?user_id=watcher")
    await connect(hasty[1], f"/ws/chat/{name}?user_id=u2")
    third = await connect(hasty[1], f"/ws/chat/{name}?user_id=u3")
    assert "users" in await watcher.expect("user_joined")
    assert "users" not in await watcher.expect("user_joined")
    assert (third.welcome["users_count"], "users" in third.welcome) == (3, False)

    await connect(hasty[2], f"/ws/chat/{name}?user_id=u4")

    count = await watcher.expect("presence")
    assert (count["room"], count["users_count"]) == (name, 4)
    assert count["version"] > third.welcome["version"]
    assert await _events(watcher) == []


@pytest.mark.parametrize("path", ["/api/v1/rooms?limit=0", "/api/v1/rooms?limit=x", "/api/v1/rooms?limit=1001"])
async def test_a_bad_limit_of_rooms_is_refused(nodes: list[NodeProcess], path: str) -> None:
    answer = await nodes[0].http.get(path)
    assert (answer.status_code, answer.json()["detail"]) == (400, "limit has to be an integer from 1 to 1000")
