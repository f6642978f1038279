"""Rooms with members on different nodes."""

import asyncio

import pytest

from tests.integration.conftest import Connect
from tests.support.cluster import NodeProcess


async def test_a_message_reaches_all_members_on_every_node_in_both_formats(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    ada = await connect(nodes[0], f"/ws/chat/{name}?user_id=ada&username=Ada", wire="json")
    bob = await connect(nodes[1], f"/ws/chat/{name}?user_id=bob", wire="msgpack")
    cyd = await connect(nodes[2], f"/ws/chat/{name}?user_id=cyd")
    content = {"text": "héllo 🎉 \u2028 \\u0000", "n": [1, 2.5, -3, None, True, {"": ""}]}

    await ada.ok("message", content=content)

    for client in (ada, bob, cyd):
        received = await client.expect("message")
        timestamp = received.pop("timestamp")
        assert received == {
            "type": "message",
            "room": name,
            "user_id": "ada",
            "username": "Ada",
            "session_id": ada.session_id,
            "content": content,
            "offset": 1,
        }
        assert timestamp.endswith("Z")
        assert len(timestamp) == len("2026-11-21T08:15:30.123Z")


async def test_messages_of_one_sender_come_in_order(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    ada = await connect(nodes[0], f"/ws/chat/{name}")
    bob = await connect(nodes[1], f"/ws/chat/{name}", wire="msgpack")

    for number in range(300):
        await ada.send("message", content=number)

    assert await bob.contents(300) == list(range(300))
    assert await ada.contents(300) == list(range(300))


async def test_messages_of_concurrent_senders_arrive_everywhere_in_one_order(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    clients = [await connect(node, f"/ws/chat/{name}") for node in nodes]

    async def publish(author: int) -> None:
        for number in range(50):
            await clients[author].send("message", content=[author, number])

    await asyncio.gather(*map(publish, range(3)))

    first, second, third = [await client.contents(150) for client in clients]
    assert first == second == third
    assert sorted(first) == [[author, number] for author in range(3) for number in range(50)]


async def test_a_socket_receives_the_rooms_that_it_has_joined_and_no_others(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    rooms = [f"{name}.a", f"{name}.b", f"{name}.c"]
    ada = await connect(nodes[0], "/ws")
    bob = await connect(nodes[1], "/ws")
    for room in rooms:
        await bob.ok("join", room=room)
    for room in rooms[:2]:
        assert (await ada.ok("join", room=room))["room"] == room
    await ada.ok("leave", room=rooms[0])

    for room in rooms:
        await bob.ok("message", room=room, content=room)
    assert await bob.contents(3) == rooms

    assert (await ada.expect("message"))["content"] == rooms[1]
    assert await ada.received_since() == []


async def test_typing_reaches_the_others_and_not_its_author(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    ada = await connect(nodes[0], f"/ws/chat/{name}?user_id=ada&username=Ada")
    near = await connect(nodes[0], f"/ws/chat/{name}")
    far = await connect(nodes[1], f"/ws/chat/{name}", wire="msgpack")

    await ada.ok("typing")
    await ada.ok("message", content="done")

    for other in (near, far):
        assert await other.expect("typing") == {"type": "typing", "room": name, "user_id": "ada", "username": "Ada"}
        assert (await other.expect("message"))["content"] == "done"
    assert [frame["type"] for frame in await ada.received_since()] == ["message"]


async def test_a_room_socket_may_leave_and_join_its_own_room_again(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    ada = await connect(nodes[0], f"/ws/chat/{name}")

    await ada.ok("leave")
    assert (await ada.call("message", content=1))["code"] == "not_joined"
    assert (await ada.ok("join"))["room"] == name

    await ada.ok("message", content=2)
    assert await ada.contents(1) == [2]


async def test_commands_sent_in_one_go_are_carried_out_in_order(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    ada = await connect(nodes[0], "/ws")
    await ada.send("join", room=name, id=1)
    await ada.send("message", room=name, content="in", id=2)
    await ada.send("leave", room=name, id=3)
    await ada.send("message", room=name, content="out", id=4)
    answers = [await ada.answer_to(id) for id in (1, 2, 3, 4)]

    assert [answer["type"] for answer in answers] == ["ok", "ok", "ok", "error"]
    assert answers[3]["code"] == "not_joined"


@pytest.mark.parametrize("wire", ["json", "msgpack"])
async def test_a_command_without_an_id_is_answered_only_by_an_error(
    nodes: list[NodeProcess], connect: Connect, name: str, wire: str
) -> None:
    ada = await connect(nodes[0], "/ws", wire=wire)

    await ada.send("join", room=name)
    await ada.send("leave", room="never-joined")

    (failure,) = await ada.received_since()
    assert (failure["type"], failure["code"], "id" in failure) == ("error", "not_joined", False)


async def test_a_private_message_reaches_every_session_of_its_user_and_counts_them(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    ada = await connect(nodes[0], f"/ws?user_id=ada.{name}&username=Ada")
    tabs = [await connect(node, f"/ws?user_id=bob.{name}") for node in (*nodes, nodes[0])]
    stranger = await connect(nodes[1], "/ws")

    assert (await ada.ok("private", to=f"bob.{name}", content={"psst": 1}))["sessions"] == 4

    for tab in tabs:
        received = await tab.expect("private")
        del received["timestamp"]
        assert received == {
            "type": "private",
            "from_user_id": f"ada.{name}",
            "from_username": "Ada",
            "content": {"psst": 1},
        }
        assert await tab.received_since() == []
    assert await stranger.received_since() == []
    assert (await ada.ok("private", to=f"unknown.{name}", content=1))["sessions"] == 0
