"""Handshakes that are refused, and requests that should have been handshakes, over every transport."""

import pytest

from tests.support.client import Client
from tests.support.cluster import NodeProcess
from tests.support.raw_http import Answer, RawHttp
from tests.support.raw_socket import RawSocket
from tests.support.waiting import eventually

HANDSHAKE = "\n".join(
    (
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
)


async def _refusal(node: NodeProcess, path: str, *headers: str) -> Answer:
    async with RawHttp.to(node.port) as http:
        return await http.request("\n".join([f"GET {node.prefix}{path} HTTP/1.1", HANDSHAKE, *headers]))


async def test_a_trailing_slash_of_ws_does_not_matter(nodes: list[NodeProcess]) -> None:
    async with RawSocket.to(nodes[0].port) as socket:
        assert await socket.handshake(f"{nodes[0].prefix}/ws/") == 101
        assert (await socket.object())["type"] == "welcome"


@pytest.mark.parametrize("path", ["//ws/chat/lobby", "//ws", "/ws/chat", "/ws/rooms/lobby"])
async def test_a_misspelt_endpoint_is_told_over_the_socket(nodes: list[NodeProcess], path: str) -> None:
    client = await Client.open(nodes[0].ws_url + path)

    bye, code = await client.bye()

    assert (bye["code"], bye["reconnect"], code) == (4503, False, 4503)
    assert "is not an endpoint: /ws, /ws/chat/ROOM and /ws/agents/AGENT are" in client.inbox[0]["message"]


@pytest.mark.parametrize("path", ["/", "/elsewhere", "/api/v1/rooms", "/wss", "/static/chat.js"])
async def test_a_handshake_for_another_path_is_answered_with_404(nodes: list[NodeProcess], path: str) -> None:
    answer = await _refusal(nodes[0], path)

    assert (answer.status, answer.json()["status"]) == (404, 404)
    assert "is no WebSocket endpoint: /ws, /ws/chat/ROOM and /ws/agents/AGENT are" in answer.json()["detail"]


async def test_subprotocols_that_are_all_unknown_are_answered_with_those_that_are_known(
    nodes: list[NodeProcess],
) -> None:
    answer = await _refusal(nodes[0], "/ws", "Sec-WebSocket-Protocol: graphql-ws, tannoy.v2.json")

    assert (answer.status, answer.json()["code"]) == (400, "bad_request")
    assert "tannoy.v1.json and tannoy.v1.msgpack are" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/ws", "/ws/", "/ws/chat/lobby", "/ws/agents/42", "/ws/rooms/lobby"])
async def test_a_request_without_upgrade_for_a_websocket_path_is_told_to_upgrade(
    nodes: list[NodeProcess], path: str
) -> None:
    answer = await nodes[0].http.get(path)

    assert (answer.status_code, answer.json()["status"]) == (426, 426)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.headers["upgrade"], answer.headers["connection"]) == ("websocket", "Upgrade")
    assert "a proxy on its way did not pass on its headers Upgrade and Connection" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path", ["/api/v1/rooms/", "/api/v1/rooms/a/messages/", "/diagnostics/", "/static", "/static/"]
)
async def test_a_path_with_a_slash_too_much_is_not_redirected(nodes: list[NodeProcess], path: str) -> None:
    for method in ("GET", "POST"):
        answer = await nodes[0].http.request(method, path, json={"content": 1})
        assert (answer.status_code, answer.json()["status"]) == (404, 404)


async def test_a_refused_handshake_is_logged_and_counted(nodes: list[NodeProcess], name: str) -> None:
    before = (await nodes[1].diagnostics())["refused"]
    for number in range(3):
        for origin in (f"http://a.{name}.example", f"http://b.{name}.example"):
            assert (await _refusal(nodes[1], "/ws", f"Origin: {origin}")).status == 403, number

    after = (await nodes[1].diagnostics())["refused"]

    assert {reason: after[reason] - before[reason] for reason in after if after[reason] != before[reason]} == {
        "origin": 6
    }

    def lines() -> list[str]:
        return [line for line in nodes[1].log().splitlines() if "refused a client" in line and name in line]

    async def are_six() -> bool:
        return len(lines()) >= 6

    await eventually(are_six, what="six lines")
    assert [line for line in lines() if "127.0.0.1" not in line or "403" not in line] == []


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [("/ws", "X: 1\n" * 101, 431), ("/ws?" + "a" * 4096, "", 414), ("/ws/chat/" + "a" * 4096, "", 414)],
    ids=["headers", "query", "path"],
)
async def test_a_handshake_with_too_large_a_head_is_refused_and_counted(
    nodes: list[NodeProcess], target: str, headers: str, status: int
) -> None:
    before = await nodes[0].count("refused", "request")

    answer = await _refusal(nodes[0], target, headers)

    assert (answer.status, answer.json()["code"]) == (status, "too_large")
    assert await nodes[0].count("refused", "request") == before + 1


async def test_a_handshake_with_too_many_parameters_is_refused(nodes: list[NodeProcess]) -> None:
    answer = await _refusal(nodes[0], "/ws?%20=" + "&a" * 1000)

    assert (answer.status, answer.json()["code"]) == (400, "bad_request")
