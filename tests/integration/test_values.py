"""What a client sends arrives unchanged or is refused with the id of its command, in both formats and on every path."""

from typing import Any

import msgpack
import pytest
from tannoy.node.connections.inbound import BAD_FRAMES_MAX

from tests.integration.conftest import Connect
from tests.support.client import Client
from tests.support.cluster import NodeProcess

LARGEST, SMALLEST = 2**64 - 1, -(2**63)
CUT: dict[str, str | bytes] = {
    "json": b'{"type":"message","content":"cut \\ud83d","id":7}'.decode(),
    "msgpack": b"\x83\xa4type\xa7message\xa7content\xa7cut \xed\xa0\xbd\xa2id\x07",
}
"""A text that was cut in the middle of an emoji, as encoders of JavaScript write it."""


@pytest.mark.parametrize("wire", ["json", "msgpack"])
async def test_a_text_with_half_of_a_surrogate_pair_arrives_with_a_replacement_character(
    nodes: list[NodeProcess], connect: Connect, name: str, wire: str
) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}", wire=wire)
    others = [await connect(nodes[1], f"/ws/chat/{name}", wire=each) for each in ("json", "msgpack")]

    for _ in range(BAD_FRAMES_MAX + 1):
        await client.send_raw(CUT[wire])
        assert (await client.answer_to(7))["type"] == "ok"

    for other in others:
        assert await other.contents(1) == ["cut \ufffd"]


@pytest.mark.parametrize("wire", ["json", "msgpack"])
async def test_the_largest_and_the_smallest_integer_arrive_unchanged(
    nodes: list[NodeProcess], connect: Connect, name: str, wire: str
) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}?user_id=ada.{name}", wire=wire)
    others = [await connect(nodes[1], f"/ws/chat/{name}", wire=each) for each in ("json", "msgpack")]
    content = [LARGEST, SMALLEST, str(LARGEST + 1), 0.5]

    await client.ok("message", content=content)
    await client.ok("private", to=f"ada.{name}", content=content)

    for other in others:
        assert await other.contents(1) == [content]
    assert (await client.ok("history"))["messages"][0]["content"] == content
    assert (await client.expect("private"))["content"] == content
    over_http = (await nodes[2].http.get(f"/api/v1/rooms/{name}/messages")).json()
    assert over_http["messages"][0]["content"] == content


@pytest.mark.parametrize("number", [LARGEST + 1, SMALLEST - 1])
@pytest.mark.parametrize("command", ["message", "private"])
async def test_an_integer_beyond_64_bits_is_refused_with_the_id_of_its_command(
    nodes: list[NodeProcess], connect: Connect, name: str, command: str, number: int
) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}?user_id=ada.{name}", wire="json")

    answer = await client.call(command, content={"a": [number]}, **({"to": "bob"} if command == "private" else {}))

    assert (answer["type"], answer["code"]) == ("error", "bad_request")
    assert str(LARGEST) in answer["message"]


@pytest.mark.parametrize("content", [b"bytes", float("nan"), {1: 2}], ids=repr)
async def test_a_value_that_json_can_not_represent_is_refused_with_the_id_of_its_command(
    nodes: list[NodeProcess], connect: Connect, name: str, content: object
) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}", wire="msgpack")

    await client.send_raw(msgpack.packb({"type": "message", "id": 7, "content": content}))

    assert (await client.answer_to(7))["code"] == "bad_request"


async def test_values_of_a_batch_are_refused_one_by_one(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    listener = await connect(nodes[1], f"/ws/chat/{name}")
    contents = ["1", "18446744073709551616", '"cut \\ud83d"', "[" * 65 + "]" * 65, "2"]
    entries = ",".join(f'{{"room":"{name}","content":{content}}}' for content in contents)

    answer = await nodes[0].http.post("/api/v1/messages", content=f'{{"messages":[{entries}]}}')

    results: list[dict[str, Any]] = answer.json()["results"]
    assert [result.get("code") for result in results] == [None, "bad_request", None, "bad_request", None]
    assert await listener.contents(3) == [1, "cut \ufffd", 2]


@pytest.mark.parametrize("username", ["%0A09:00:00%20root", "ada%0A", "%E3%80%80ada"])
async def test_a_username_with_white_space_at_an_end_is_refused(nodes: list[NodeProcess], username: str) -> None:
    client = await Client.open(f"{nodes[0].ws_url}/ws?username={username}")

    assert (await client.expect("error"))["code"] == "bad_name"


@pytest.mark.parametrize("path", ["/api/v1/rooms", "/api/v1/rooms/values/messages"])
@pytest.mark.parametrize(
    "limit",
    ["0000000019999", "0" * 4000 + "1", "9" * 4000, "-1", "0", "", "1e3", "\u0663"],
    ids=["zeros", "4,001 digits", "huge", "negative", "none", "empty", "exponent", "other digits"],
)
async def test_a_limit_that_is_no_number_in_its_range_is_refused(
    nodes: list[NodeProcess], path: str, limit: str
) -> None:
    answer = await nodes[0].http.get(path, params={"limit": limit})

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


async def test_a_limit_of_more_digits_than_python_converts_is_refused(nodes: list[NodeProcess]) -> None:
    answer = await nodes[0].http.get("/api/v1/rooms", params={"limit": "0" * 4308 + "1"})

    assert (answer.status_code, answer.json()["code"]) == (414, "too_large")


@pytest.mark.parametrize("command", ["presence", "history"])
async def test_a_question_without_an_id_is_refused(
    nodes: list[NodeProcess], connect: Connect, name: str, command: str
) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}")

    await client.send(command)

    error = await client.expect("error")
    assert (error["code"], "'id' is missing" in error["message"], "id" in error) == ("bad_request", True, False)


@pytest.mark.parametrize("path", ["/ws", "/ws/chat/{}", "/ws/agents/{}"])
@pytest.mark.parametrize("wire", ["json", "msgpack"])
async def test_welcome_says_how_large_a_frame_may_be(
    nodes: list[NodeProcess], connect: Connect, name: str, path: str, wire: str
) -> None:
    client = await connect(nodes[0], path.format(name), wire=wire)

    assert client.welcome["message_max_bytes"] == 65_536
