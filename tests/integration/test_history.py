"""Each message has one position for all clients, and can be read again: over the socket and over HTTP."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId, RoomName

from tests.integration.conftest import Connect
from tests.support.client import Frame
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.room_messages import offsets_and_contents, publish_batch, receive_messages

# ---- positions


async def test_a_message_has_one_position_for_its_author_and_all_receivers_on_every_node(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    clients = [await connect(node, f"/ws/chat/{name}", wire=wire) for node in nodes for wire in ("json", "msgpack")]

    answers = [await client.ok("message", content=number) for number, client in enumerate(clients)]

    assert [answer["offset"] for answer in answers] == list(range(1, len(clients) + 1))
    assert len({answer["epoch"] for answer in answers}) == 1
    for client in clients:
        assert offsets_and_contents(await receive_messages(client, len(clients))) == [
            (number + 1, number) for number in range(len(clients))
        ]


async def test_welcome_and_join_give_the_position_at_which_a_session_begins(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    before = (await connect(nodes[0], f"/ws/chat/{name}")).welcome
    last = (await publish_batch(nodes[1], name, 1, 2, 3))[-1]
    at_home = (await connect(nodes[1], f"/ws/chat/{name}")).welcome
    joined = await (await connect(nodes[2], "/ws")).ok("join", room=name)

    assert (before["epoch"], before["offset"], last["offset"]) == (last["epoch"], 0, 3)
    for start in (at_home, joined):
        assert (start["epoch"], start["offset"], "recovered" in start) == (last["epoch"], 3, False)


async def test_typing_and_private_messages_have_no_position(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    ada = await connect(nodes[0], f"/ws/chat/{name}?user_id=ada")
    bob = await connect(nodes[1], f"/ws/chat/{name}?user_id=bob.{name}")

    typed = await ada.ok("typing")
    await ada.ok("private", to=f"bob.{name}", content=1)
    typing, private = await bob.expect("typing"), await bob.expect("private")

    assert {"epoch", "offset"}.isdisjoint((*typed, *typing, *private))
    assert (await ada.ok("history"))["messages"] == []


@pytest.mark.parametrize("first", ["the socket", "the back end"])
async def test_a_repeated_key_returns_the_same_position_over_socket_and_http(
    nodes: list[NodeProcess], connect: Connect, name: str, first: str
) -> None:
    ada = await connect(nodes[0], f"/ws/chat/{name}?user_id=ada")
    bob = await connect(nodes[1], f"/ws/chat/{name}")
    by_socket: list[Frame] = []
    by_http: list[Frame] = []

    for speaker in ("the socket", "the back end", "the socket", "the back end") if first == "the socket" else (
        "the back end", "the socket", "the back end", "the socket"
    ):  # fmt: skip
        if speaker == "the socket":
            by_socket.append(await ada.ok("message", content="once", key="k"))
        else:
            body = {"content": "once", "user_id": "ada", "key": "k"}
            by_http.append((await nodes[2].http.post(f"/api/v1/rooms/{name}/messages", json=body)).json())
    await ada.ok("message", content="behind it")

    assert {(answer["epoch"], answer["offset"]) for answer in (*by_socket, *by_http)} == {(by_http[0]["epoch"], 1)}
    assert offsets_and_contents(await receive_messages(bob, 2)) == [(1, "once"), (2, "behind it")]


async def test_each_message_of_one_post_has_a_position(nodes: list[NodeProcess], name: str) -> None:
    results = await publish_batch(nodes[0], name, *range(50))
    again = await publish_batch(nodes[1], name, "once", "once", key="k", user_id="ada")

    assert [result["offset"] for result in results] == list(range(1, 51))
    assert [result["offset"] for result in again] == [51, 51]


# ---- pages


@pytest.mark.parametrize("wire", ["json", "msgpack"])
async def test_a_page_of_history_holds_the_frames_that_were_delivered(
    nodes: list[NodeProcess], connect: Connect, name: str, wire: str
) -> None:
    ada = await connect(nodes[0], f"/ws/chat/{name}?user_id=ada", wire=wire)
    contents = [{"text": "héllo 🎉 \u2028 \\u0000"}, [1, 2.5, None, True, {"": ""}], "", 0, None]
    positions = [await ada.ok("message", content=content) for content in contents]
    received = await receive_messages(ada, len(contents))

    read = await (await connect(nodes[1], f"/ws/chat/{name}", wire=wire)).ok("history")
    over_http = (await nodes[2].http.get(f"/api/v1/rooms/{name}/messages")).json()

    assert [message["content"] for message in received] == contents
    assert read["messages"] == over_http["messages"] == received
    for page in (read, over_http):
        assert (page["epoch"], page["offset"]) == (positions[-1]["epoch"], 5)


PAGES: list[tuple[dict[str, int], list[int]]] = [
    ({}, [*range(21, 121)]),
    ({"limit": 300}, [*range(21, 121)]),
    ({"limit": 3}, [118, 119, 120]),
    ({"limit": 3, "before": 118}, [115, 116, 117]),
    ({"limit": 3, "before": 22}, [21]),
    ({"limit": 3, "before": 21}, []),
    ({"limit": 3, "since": 25}, [26, 27, 28]),
    ({"limit": 3, "since": 0}, [21, 22, 23]),
    ({"limit": 3, "since": 120}, []),
    ({"limit": 3, "before": 30, "since": 28}, [29]),
    ({"limit": 1, "before": 2**53}, [120]),
]


async def test_pages_go_forwards_and_backwards_as_far_as_messages_are_kept(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    await publish_batch(nodes[0], name, *range(1, 121))
    client = await connect(nodes[1], f"/ws/chat/{name}")

    for fields, offsets in PAGES:
        page = await client.ok("history", **fields)
        query = await nodes[2].http.get(f"/api/v1/rooms/{name}/messages", params=fields)
        assert [message["offset"] for message in page["messages"]] == offsets, fields
        assert [message["content"] for message in page["messages"]] == offsets, fields
        assert query.json() == {key: page[key] for key in ("messages", "epoch", "offset")}, fields


async def test_an_agent_and_a_room_of_one_name_have_separate_histories(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    session = await connect(nodes[0], f"/ws/agents/{name}")
    await connect(nodes[0], f"/ws/chat/{name}")
    await publish_batch(nodes[1], name, "to the room")
    position = (await nodes[1].http.post(f"/api/v1/agents/{name}/messages", json={"content": "to the agent"})).json()

    page = await session.ok("history")
    over_http = (await nodes[2].http.get(f"/api/v1/agents/{name}/messages")).json()

    assert [(message["agent_id"], message["content"]) for message in page["messages"]] == [(name, "to the agent")]
    assert over_http == {"messages": page["messages"], **position}


async def test_each_room_of_a_socket_for_many_rooms_has_its_own_history(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    client = await connect(nodes[0], "/ws")
    for room in (f"{name}.a", f"{name}.b"):
        await client.ok("join", room=room)
        await client.ok("message", room=room, content=room)

    for room in (f"{name}.a", f"{name}.b"):
        page = await client.ok("history", room=room)
        assert [message["content"] for message in page["messages"]] == [room]
    assert (await client.call("history", room=f"{name}.c"))["code"] == "not_joined"
    assert (await client.call("history"))["code"] == "bad_request"


async def test_the_history_of_a_room_without_messages_is_empty(nodes: list[NodeProcess], name: str) -> None:
    page = (await nodes[0].http.get(f"/api/v1/rooms/{name}/messages")).json()
    position = (await publish_batch(nodes[1], name, 1))[0]

    assert (page["messages"], page["offset"], page["epoch"]) == ([], 0, position["epoch"])


BAD: list[dict[str, Any]] = [
    {"limit": 0},
    {"limit": 301},
    {"limit": "x"},
    {"before": -1},
    {"since": "x"},
    {"since": 2**53 + 1},
    {"until": 3},
]


@pytest.mark.parametrize("fields", BAD, ids=str)
async def test_a_bad_bound_of_a_page_is_refused_by_name(
    nodes: list[NodeProcess], connect: Connect, name: str, fields: dict[str, Any]
) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}")

    failure = await client.call("history", **fields)
    problem = await nodes[0].http.get(f"/api/v1/rooms/{name}/messages", params=fields)

    assert (failure["code"], problem.status_code, problem.json()["code"]) == ("bad_request", 400, "bad_request")
    for sentence in (failure["message"], problem.json()["detail"]):
        assert next(iter(fields)) in sentence


# ---- an epoch that ends


@pytest.mark.parametrize("kind", ["room", "agent"])
async def test_the_end_of_an_epoch_sends_a_resync_to_every_member(
    cluster: Cluster, nodes: list[NodeProcess], connect: Connect, name: str, kind: str
) -> None:
    path = f"/ws/chat/{name}" if kind == "room" else f"/ws/agents/{name}"
    clients = [await connect(node, path, wire=wire) for node in nodes for wire in ("json", "msgpack")]
    old = await clients[0].ok("message", content="of the old epoch")
    keyspace = Keyspace(cluster.prefix)
    channel = keyspace.room(RoomName(name)) if kind == "room" else keyspace.agent(AgentId(name))

    await cluster.valkey.run("DEL", keyspace.history(channel).head)

    resyncs = [await client.expect("resync") for client in clients]
    assert {(resync["epoch"], resync["offset"]) for resync in resyncs} == {(resyncs[0]["epoch"], 0)}
    assert resyncs[0]["epoch"] != old["epoch"]
    assert {resync["room" if kind == "room" else "agent_id"] for resync in resyncs} == {name}
    new = await clients[-1].ok("message", content="of the new epoch")
    assert (new["epoch"], new["offset"]) == (resyncs[0]["epoch"], 1)
    for client in clients:
        first, second = await receive_messages(client, 2)
        assert [(each["offset"], each["content"]) for each in (first, second)] == [
            (1, "of the old epoch"),
            (1, "of the new epoch"),
        ]


# ---- HISTORY_SIZE=0


@pytest.fixture(scope="module", params=list(Transport), ids=str)
async def without_history(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    async with Cluster(nodes=1, transport=request.param, HISTORY_SIZE="0") as running:
        yield running.nodes[0]


async def test_messages_without_history_have_no_position(
    without_history: NodeProcess, connect: Connect, name: str
) -> None:
    client = await connect(without_history, f"/ws/chat/{name}")

    answer = await client.ok("message", content=1)
    again = [await client.ok("message", content=2, key="k") for _ in range(2)]
    posted = await publish_batch(without_history, name, 3)
    received = await receive_messages(client, 3)

    for frame in (client.welcome, answer, *again, *posted, *received):
        assert {"epoch", "offset"}.isdisjoint(frame)
    assert [message["content"] for message in received] == [1, 2, 3]


async def test_a_page_without_history_is_empty(without_history: NodeProcess, connect: Connect, name: str) -> None:
    client = await connect(without_history, f"/ws/chat/{name}")
    await client.ok("message", content=1)

    page = await client.ok("history")
    over_http = (await without_history.http.get(f"/api/v1/rooms/{name}/messages")).json()

    assert over_http == {"messages": [], "epoch": None, "offset": None}
    assert (page["messages"], page["epoch"], page["offset"]) == ([], None, None)


async def test_a_join_with_recovery_without_history_answers_not_recovered(
    without_history: NodeProcess, connect: Connect, name: str
) -> None:
    ada = await connect(without_history, "/ws")

    joined = await ada.ok("join", room=name, recover={"epoch": "e", "offset": 7})
    agent = await connect(without_history, f"/ws/agents/{name}?epoch=e&offset=7")

    for start in (joined, agent.welcome):
        assert start["recovered"] is False
        assert {"epoch", "offset"}.isdisjoint(start)
