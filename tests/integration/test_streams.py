"""Streams over real sockets: written on one node, heard on all, whole for whoever comes later, and never doubled."""

from typing import Any

import pytest

from tests.integration.conftest import Connect
from tests.support.client import Client, Frame
from tests.support.cluster import NodeProcess


class Producer:
    """Writes one stream over HTTP, each piece on another node."""

    def __init__(self, nodes: list[NodeProcess], channel: str, stream_id: str = "answer") -> None:
        self.nodes = nodes
        self.path = f"/api/v1/{channel}/streams"
        self.of_it = f"{self.path}/{stream_id}"
        self.stream_id = stream_id
        self._calls = 0

    async def post(self, path: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        self._calls += 1
        answer = await self.nodes[self._calls % len(self.nodes)].http.post(path, json=fields)
        return answer.status_code, answer.json()

    async def begin(self, **fields: Any) -> tuple[int, dict[str, Any]]:
        return await self.post(self.path, stream_id=self.stream_id, **fields)

    async def write(self, text: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        return await self.post(self.of_it, text=text, **fields)

    async def end(self, **fields: Any) -> tuple[int, dict[str, Any]]:
        return await self.post(f"{self.of_it}/end", **fields)


async def text_of(client: Client, stream_id: str = "answer") -> tuple[str, str]:
    """What the client has put together of a stream up to its end: its text, and how it has ended."""
    text = ""
    while True:
        frame = await client.find(lambda frame: _is_of(frame, stream_id), f"a frame of stream {stream_id}")
        if frame["type"] == "stream":
            text = frame.get("text", "")
        elif frame["type"] == "delta":
            assert frame["from"] == len(text.encode())
            text += frame["text"]
        else:
            assert frame["to"] == len(text.encode())
            return text, frame["status"]
        assert frame["to"] == len(text.encode())


def _is_of(frame: Frame, stream_id: str) -> bool:
    return frame["type"] in ("stream", "delta", "stream_end") and frame["stream_id"] == stream_id


async def test_a_stream_is_heard_on_all_nodes_in_both_formats(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    clients = [await connect(node, f"/ws/agents/{name}", wire=wire) for node in nodes for wire in ("json", "msgpack")]
    producer = Producer(nodes, f"agents/{name}")
    assert await producer.begin(meta={"model": "m"}, user_id="bot") == (200, {"stream_id": "answer"})
    for text in ("Hé", "llo, ", "wörld"):
        assert (await producer.write(text))[0] == 200
    status, ended = await producer.end()
    assert (status, ended["to"], ended["status"], ended["offset"]) == (200, 14, "done", 1)
    assert [await text_of(client) for client in clients] == [("Héllo, wörld", "done")] * len(clients)


async def test_who_joins_in_the_middle_and_who_comes_later_have_the_whole_text(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    early = await connect(nodes[0], f"/ws/chat/{name}?user_id=ada")
    producer = Producer(nodes, f"rooms/{name}")
    await producer.begin()
    await producer.write("one ")
    same_node = await connect(nodes[0], f"/ws/chat/{name}?user_id=bob")
    other_node = await connect(nodes[1], f"/ws/chat/{name}?user_id=eve")
    assert [(await client.expect("stream"))["text"] for client in (same_node, other_node)] == ["one "] * 2
    await producer.write("two")
    deltas = [await client.expect("delta") for client in (same_node, other_node)]
    assert [(delta["from"], delta["text"]) for delta in deltas] == [(4, "two")] * 2
    await producer.end()
    assert await text_of(early) == ("one two", "done")

    late = await connect(nodes[2], f"/ws/chat/{name}?user_id=late")
    (message,) = (await late.ok("history"))["messages"]
    assert message["content"] == {"stream_id": "answer", "text": "one two", "status": "done", "meta": None}
    assert await late.received_since() == []


async def test_the_next_message_has_the_offset_behind_the_end(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}")
    producer = Producer(nodes, f"rooms/{name}")
    await client.ok("message", content="before")
    await producer.begin()
    await producer.write("text")
    await producer.end()
    await client.ok("message", content="after")
    numbered = [frame for frame in await client.received_since() if "offset" in frame and frame["type"] != "ok"]
    assert [(frame["type"], frame["offset"]) for frame in numbered] == [
        ("message", 1),
        ("stream_end", 2),
        ("message", 3),
    ]


async def test_who_recovers_behind_many_pieces_is_sent_one_frame(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    client = await connect(nodes[0], f"/ws/agents/{name}")
    await client.close()
    producer = Producer(nodes, f"agents/{name}")
    await producer.begin()
    for number in range(100):
        await producer.write(f"{number} ")
    epoch, offset = client.welcome["epoch"], client.welcome["offset"]
    back = await connect(nodes[1], f"/ws/agents/{name}?epoch={epoch}&offset={offset}")
    assert (await back.expect("stream"))["text"] == "".join(f"{number} " for number in range(100))
    assert await back.received_since() == []
    await back.close()
    await producer.end()
    again = await connect(nodes[2], f"/ws/agents/{name}?epoch={epoch}&offset={offset}")
    assert [frame["type"] for frame in await again.received_since()] == ["message"]


async def test_stop_reaches_the_producer_with_its_next_piece(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    client = await connect(nodes[0], f"/ws/agents/{name}")
    producer = Producer(nodes[1:], f"agents/{name}")
    await producer.begin()
    assert (await producer.write("x"))[1]["stop"] is False
    await client.ok("stop", stream_id="answer")
    assert (await producer.write("y"))[1]["stop"] is True
    await producer.end(status="stopped")
    assert await text_of(client) == ("xy", "stopped")
    refused = await client.call("stop", stream_id="answer")
    assert (refused["code"], "has ended" in refused["message"]) == ("bad_request", True)


async def test_an_observer_may_not_stop(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    client = await connect(nodes[0], "/ws")
    await client.ok("join", room=name, observe=True)
    assert (await client.call("stop", room=name, stream_id="answer"))["code"] == "forbidden"


async def test_listeners_are_counted_on_all_nodes(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    for node in (*nodes, nodes[0]):
        await connect(node, f"/ws/agents/{name}")
    producer = Producer(nodes, f"agents/{name}")
    await producer.begin()
    while (await producer.write(""))[1]["listeners"] != 4:
        pass
    (listed,) = (await nodes[2].http.get(producer.path)).json()["streams"]
    assert (listed["stream_id"], listed["status"], listed["listeners"], listed["to"]) == ("answer", "open", 4, 0)


async def test_a_stream_that_nobody_hears_has_no_listeners(nodes: list[NodeProcess], name: str) -> None:
    producer = Producer(nodes, f"agents/{name}")
    await producer.begin()
    assert (await producer.write("x"))[1] == {"to": 1, "listeners": 0, "stop": False}


async def test_what_is_wrong_with_a_piece_is_told(nodes: list[NodeProcess], name: str) -> None:
    producer = Producer(nodes, f"rooms/{name}")
    assert (await producer.write("x"))[0] == 404
    await producer.begin(user_id="one")
    status, taken = await producer.begin(user_id="two")
    assert (status, taken["code"]) == (409, "bad_request")
    await producer.write("one")
    assert (await producer.write("one", **{"from": 0}))[1]["to"] == 3
    status, gap = await producer.write("x", **{"from": 7})
    assert (status, gap["status"], gap["to"], gap["code"]) == (409, 409, 3, "bad_request")
    status, other = await producer.write("two", **{"from": 0})
    assert (status, other["to"]) == (409, 3)
    await producer.end(status="failed")
    status, late = await producer.write("x")
    assert (status, late["to"], late["ended"]) == (409, 3, "failed")
    status, again = await producer.end(status="done")
    assert (status, again["status"]) == (200, "failed")
    status, _ = await producer.post(f"{producer.of_it}/stop")
    assert status == 409


async def test_half_a_character_at_the_end_of_a_piece_is_replaced(nodes: list[NodeProcess], name: str) -> None:
    producer = Producer(nodes, f"rooms/{name}")
    await producer.begin()
    answer = await nodes[0].http.post(producer.of_it, content=b'{"text": "a\\ud83d"}')
    assert answer.json()["to"] == len("a\ufffd".encode())


async def test_a_stream_begins_and_ends_without_a_body(nodes: list[NodeProcess], name: str) -> None:
    path = f"/api/v1/agents/{name}/streams"
    begun = await nodes[0].http.post(path)
    ended = await nodes[1].http.post(f"{path}/{begun.json()['stream_id']}/end")
    assert (begun.status_code, ended.status_code, ended.json()["status"]) == (200, 200, "done")


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("", {"stream_id": "a b"}, "bad_name"),
        ("", {"meta": "x" * 5000}, "bad_request"),
        ("", {"user_id": "a b"}, "bad_name"),
        ("", {"text": "x"}, "bad_request"),
        ("/a%20b", {"text": "x"}, "bad_name"),
        ("/answer", {}, "bad_request"),
        ("/answer", {"text": 1}, "bad_request"),
        ("/answer", {"text": "x", "from": -1}, "bad_request"),
        ("/answer", {"text": "x", "from": "0"}, "bad_request"),
        ("/answer", {"text": "x", "start": 0}, "bad_request"),
        ("/answer", {"text": "x" * 70_000}, "too_large"),
        ("/answer/end", {"status": "lost"}, "bad_request"),
        ("/answer/end", {"status": 1}, "bad_request"),
    ],
)
async def test_a_bad_body_is_refused_by_the_field(
    nodes: list[NodeProcess], name: str, path: str, body: object, code: str
) -> None:
    answer = await nodes[0].http.post(f"/api/v1/rooms/{name}/streams{path}", json=body)
    assert answer.json()["code"] == code


async def test_how_a_stream_stands_can_be_read_also_after_its_end(nodes: list[NodeProcess], name: str) -> None:
    producer = Producer(nodes, f"agents/{name}")
    await producer.begin(meta=1)
    await producer.write("text")
    standing = (await nodes[0].http.get(producer.of_it)).json()
    assert (standing["text"], standing["status"], standing["to"], standing["meta"]) == ("text", "open", 4, 1)
    await producer.end()
    ended = (await nodes[1].http.get(producer.of_it)).json()
    assert (ended["text"], ended["status"], ended["offset"]) == ("text", "done", 1)
    assert (await nodes[1].http.get(producer.path)).json() == {"streams": []}
    assert (await nodes[1].http.get(producer.path + "/other")).status_code == 404
