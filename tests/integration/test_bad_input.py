"""Bad input gets the answer of docs/protocol.md, and does not affect other sessions."""

from collections.abc import AsyncGenerator

import msgpack
import pytest

from tests.integration.conftest import Connect
from tests.support.client import Client
from tests.support.cluster import NodeProcess
from tests.support.raw_http import RawHttp
from tests.support.raw_socket import RawSocket
from tests.support.waiting import value_becomes

DEEP = "[" * 16 + "]" * 16

BAD_JSON: dict[str, str | bytes] = {
    "not JSON": "{",
    "empty": "",
    "not an object": "[1]",
    "NaN": '{"type":"message","content":NaN}',
    "infinity": '{"type":"message","content":1e999}',
    "a key that occurs twice": '{"type":"message","content":{"a":1,"a":2}}',
    "17 levels of nesting": f'{{"type":"message","content":{DEEP}}}',
    "no type": '{"content":1}',
    "type of a wrong type": '{"type":{"a":1}}',
    "unknown command": '{"type":"shout","content":1}',
    "missing field": '{"type":"message"}',
    "extra field": '{"type":"message","content":1,"colour":"red"}',
    "id of a wrong type": '{"type":"ping","id":[1]}',
    "room of a wrong type": '{"type":"message","room":7,"content":1}',
    "room with a glob": '{"type":"message","room":"a*","content":1}',
    "room with braces": '{"type":"message","room":"{a}","content":1}',
    "room too long": f'{{"type":"message","room":"{"a" * 129}","content":1}}',
    "key of a wrong type": '{"type":"message","content":1,"key":{}}',
    "integer beyond 64 bits": '{"type":"message","content":18446744073709551616}',
    "binary in a JSON socket": msgpack.packb({"type": "ping"}),
}
BAD_NAMES = {"room of a wrong type", "room with a glob", "room with braces", "room too long"}

BAD_MSGPACK: dict[str, str | bytes] = {
    "not msgpack": b"\xc1",
    "truncated": b"\x82\xa4type",
    "bytes as content": msgpack.packb({"type": "message", "content": b"\x00"}),
    "NaN": msgpack.packb({"type": "message", "content": float("nan")}),
    "a number as a key": msgpack.packb({"type": "message", "content": {1: 2}}),
    "an array as a key": b"\x82\xa4type\xa4ping\x90\x01",
    "an extension type": b"\x82\xa4type\xa7message\xa7content\xd4\x05x",
    "a key that occurs twice": b"\x82\xa4type\xa7message\xa7content\x82\xa1a\x01\xa1a\x02",
    "17 levels of nesting": b"\x82\xa4type\xa7message\xa7content" + b"\x91" * 16 + b"\x01",
    "text in a msgpack socket": '{"type":"ping"}',
}


@pytest.fixture
async def neighbour(nodes: list[NodeProcess], connect: Connect, name: str) -> AsyncGenerator[Client]:
    """Another session in the same room: nothing of all this may reach it."""
    client = await connect(nodes[0], f"/ws/chat/{name}")
    yield client
    await client.ok("message", content="still here")
    assert [frame["content"] for frame in await client.received_since()] == ["still here"]


@pytest.mark.parametrize("case", BAD_JSON)
@pytest.mark.usefixtures("neighbour")
async def test_a_bad_json_frame_is_answered_and_the_session_goes_on(
    nodes: list[NodeProcess], connect: Connect, name: str, case: str
) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}", wire="json")

    await client.send_raw(BAD_JSON[case])

    assert (await client.expect("error"))["code"] == ("bad_name" if case in BAD_NAMES else "bad_request")
    assert (await client.call("ping"))["type"] == "pong"


@pytest.mark.parametrize("case", BAD_MSGPACK)
@pytest.mark.usefixtures("neighbour")
async def test_a_bad_msgpack_frame_is_answered_and_the_session_goes_on(
    nodes: list[NodeProcess], connect: Connect, name: str, case: str
) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}", wire="msgpack")

    await client.send_raw(BAD_MSGPACK[case])

    assert (await client.expect("error"))["code"] == "bad_request"
    assert (await client.call("ping"))["type"] == "pong"


async def test_an_error_carries_the_id_of_its_command(nodes: list[NodeProcess], connect: Connect) -> None:
    client = await connect(nodes[0], "/ws")

    for id in (7, "seven"):
        await client.send("shout", id=id)
        assert (await client.expect("error"))["id"] == id


async def test_commands_before_a_join_and_a_second_join_are_refused(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    client = await connect(nodes[0], "/ws")

    for command, fields in (("message", {"content": 1}), ("typing", {}), ("leave", {})):
        assert (await client.call(command, room=name, **fields))["code"] == "not_joined"
        assert (await client.call(command, **fields))["code"] == "bad_request"
    await client.ok("join", room=name)
    assert (await client.call("join", room=name))["code"] == "already_joined"


@pytest.mark.parametrize("command", ["auth", "refresh"])
async def test_a_token_is_refused_where_none_is_asked_for(
    nodes: list[NodeProcess], connect: Connect, name: str, command: str
) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}")

    failure = await client.call(command, token="x")

    assert failure["code"] == "bad_request"


@pytest.mark.usefixtures("neighbour")
async def test_ten_bad_frames_end_the_session(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}")

    for _ in range(10):
        await client.send_raw("x")
    bye, code = await client.bye()

    assert bye == {"type": "bye", "code": 4505, "reason": "too many bad frames", "reconnect": False}
    assert code == 4505
    assert [frame["type"] for frame in client.inbox] == ["error"] * 10 + ["bye"]


@pytest.mark.usefixtures("neighbour")
async def test_a_message_over_the_limit_closes_with_1009(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}")

    await client.send("message", content="x" * 65_536)
    bye, code = await client.bye()

    assert (bye["code"], bye["reconnect"], code) == (1009, True, 1009)


async def test_a_message_at_the_limit_is_delivered(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    client = await connect(nodes[0], f"/ws/chat/{name}")
    empty = '{"type":"message","content":""}'
    content = "x" * (65_536 - len(empty))

    await client.send_raw(empty.replace('""', f'"{content}"'))

    assert await client.contents(1) == [content]


async def test_a_session_of_a_client_that_vanishes_ends(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    ada = await connect(nodes[1], "/ws")
    client = await nodes[0].connect(f"/ws/chat/{name}?user_id=gone.{name}")

    async def sessions_of_the_vanished() -> object:
        return (await ada.ok("private", to=f"gone.{name}", content=1))["sessions"]

    assert await sessions_of_the_vanished() == 1
    client.vanish()

    await value_becomes(sessions_of_the_vanished, 0)


@pytest.mark.parametrize("path", ["/ws/chat/no%20name", "/ws/chat/", "/ws/agents/a*", "/ws/chat/a%2Fb"])
async def test_a_bad_name_in_the_path_is_closed_with_a_reason_and_no_reconnect(
    nodes: list[NodeProcess], path: str
) -> None:
    client = await Client.open(nodes[0].ws_url + path)

    bye, code = await client.bye()

    assert [frame.get("code") for frame in client.inbox] == ["bad_name", 4503]
    assert (bye["reconnect"], code) == (False, 4503)


@pytest.mark.parametrize("query", ["user_id=a%20b", "username=%00", "username=%0A09:00:00%20root", "session_id=a/b"])
async def test_a_bad_name_in_the_query_is_closed_with_a_reason_and_no_reconnect(
    nodes: list[NodeProcess], query: str
) -> None:
    client = await Client.open(f"{nodes[0].ws_url}/ws/agents/a?{query}")

    await client.bye()

    assert [frame.get("code") for frame in client.inbox] == ["bad_name", 4503]


async def test_a_page_of_another_origin_is_refused(nodes: list[NodeProcess]) -> None:
    async with RawSocket.to(nodes[0].port) as socket:
        status = await socket.handshake(f"{nodes[0].prefix}/ws", Origin="http://evil.example")

    assert status == 403


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://localhost", "localhost:80", 101),
        ("https://LocalHost:443", "localhost", 101),
        ("http://evil.example", "evil.example", 403),
    ],
)
async def test_the_default_port_of_a_page_does_not_matter(
    nodes: list[NodeProcess], origin: str, host: str, status: int
) -> None:
    async with RawSocket.to(nodes[0].port) as socket:
        assert await socket.handshake(f"{nodes[0].prefix}/ws", Origin=origin, Host=host) == status


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [("/health/live", "X: 1\n" * 101, 431), ("/health/live?" + "a" * 4096, "", 414)],
    ids=["headers", "target"],
)
async def test_a_request_with_too_large_a_head_is_refused_and_its_connection_closed(
    nodes: list[NodeProcess], target: str, headers: str, status: int
) -> None:
    async with RawHttp.to(nodes[0].port) as http:
        answer = await http.request(f"GET {nodes[0].prefix}{target} HTTP/1.1\nHost: localhost\n{headers}")

        assert (answer.status, answer.json()["code"]) == (status, "too_large")
        assert await http.is_ended()
