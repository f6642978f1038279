"""Agents: every session of an agent receives all messages to it, on any node."""

import asyncio

from tests.integration.conftest import Connect
from tests.support.cluster import NodeProcess


async def test_a_post_to_an_agent_reaches_each_of_its_sessions_once(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    sessions = [
        await connect(node, f"/ws/agents/{name}?session_id=s{number}", wire=wire)
        for number, (node, wire) in enumerate((node, wire) for node in nodes for wire in ("json", "msgpack"))
    ]
    other = await connect(nodes[0], f"/ws/agents/{name}.other")

    answer = await nodes[0].http.post(
        f"/api/v1/agents/{name}/messages", json={"content": {"step": 1}, "user_id": "backend", "username": "Back end"}
    )

    assert (answer.status_code, answer.json()["offset"]) == (200, 1)
    for session in sessions:
        received = await session.expect("message")
        del received["timestamp"]
        assert received == {
            "type": "message",
            "agent_id": name,
            "user_id": "backend",
            "username": "Back end",
            "session_id": None,
            "content": {"step": 1},
            "offset": 1,
        }
        assert await session.received_since() == []
    assert await other.received_since() == []


async def test_a_post_to_one_session_reaches_only_that_one(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    sessions = [await connect(node, f"/ws/agents/{name}?session_id=s{n}") for n, node in enumerate(nodes)]
    namesake = await connect(nodes[2], f"/ws/agents/{name}.other?session_id=s2")

    answer = await nodes[0].http.post(f"/api/v1/agents/{name}/sessions/s2/messages", json={"content": "for you"})

    assert answer.json() == {"sessions": 1}
    assert (await sessions[2].expect("message"))["content"] == "for you"
    for unmeant in (*sessions, namesake):
        assert await unmeant.received_since() == []


async def test_a_post_to_an_unknown_session_counts_zero_sessions(nodes: list[NodeProcess], name: str) -> None:
    answer = await nodes[0].http.post(f"/api/v1/agents/{name}/sessions/gone/messages", json={"content": 1})

    assert (answer.status_code, answer.json()) == (200, {"sessions": 0})


async def test_a_message_of_a_session_reaches_all_sessions_of_its_agent(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    first = await connect(nodes[0], f"/ws/agents/{name}?session_id=mine&user_id=ada")
    second = await connect(nodes[1], f"/ws/agents/{name}", wire="msgpack")
    assert (first.welcome["agent_id"], first.session_id) == (name, "mine")

    await first.ok("message", content="hello")

    for session in (first, second):
        received = await session.expect("message")
        assert (received["agent_id"], received["session_id"], received["content"]) == (name, "mine", "hello")


async def test_a_session_of_an_agent_has_no_rooms(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    session = await connect(nodes[0], f"/ws/agents/{name}")

    for command in ("join", "leave", "typing"):
        assert (await session.call(command, room="lobby"))["code"] == "bad_request"
    assert (await session.call("message", room="lobby", content=1))["code"] == "bad_request"


async def test_a_post_to_a_user_reaches_all_sessions_of_that_user(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    in_room = await connect(nodes[0], f"/ws/chat/{name}?user_id=ada.{name}")
    of_agent = await connect(nodes[1], f"/ws/agents/{name}?user_id=ada.{name}", wire="msgpack")

    answer = await nodes[2].http.post(f"/api/v1/users/ada.{name}/messages", json={"content": "both"})

    assert answer.json() == {"sessions": 2}
    for session in (in_room, of_agent):
        received = await session.expect("private")
        assert (received["content"], received["from_user_id"], received["from_username"]) == ("both", None, None)


async def test_a_post_to_a_room_may_leave_one_session_out(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    author, other = [await connect(node, f"/ws/chat/{name}") for node in nodes[:2]]
    path = f"/api/v1/rooms/{name}/messages"

    await nodes[2].http.post(path, json={"content": 1, "exclude_session": author.session_id})
    await nodes[2].http.post(path, json={"content": 2})

    assert await other.contents(2) == [1, 2]
    assert await author.contents(1) == [2]


async def test_a_key_used_twice_publishes_once(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    ada = await connect(nodes[0], f"/ws/chat/{name}")
    path = f"/api/v1/rooms/{name}/messages"

    await ada.ok("message", content="first", key="k/1 ü")
    await ada.ok("message", content="again", key="k/1 ü")
    posts = [nodes[1].http.post(path, json={"content": "post", "key": "k2"}) for _ in range(5)]
    assert [answer.status_code for answer in await asyncio.gather(*posts)] == [200] * 5
    await ada.ok("message", content="last")

    assert await ada.contents(3) == ["first", "post", "last"]
    assert await ada.received_since() == []


async def test_many_messages_in_one_post_have_a_result_each(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    in_room = await connect(nodes[0], f"/ws/chat/{name}")
    of_agent = await connect(nodes[1], f"/ws/agents/{name}")

    answer = await nodes[2].http.post(
        "/api/v1/messages",
        json={
            "messages": [
                {"room": name, "content": 1},
                {"agent_id": name, "content": 2},
                {"room": "no such name", "content": 3},
                {"room": name},
                {"content": 5},
                6,
            ]
        },
    )

    results = answer.json()["results"]
    assert [result.get("code") for result in results] == [None, None, "bad_name", *["bad_request"] * 3]
    assert await in_room.contents(1) == [1]
    assert await of_agent.contents(1) == [2]
