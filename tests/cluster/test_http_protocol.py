"""What a node promises for HTTP itself, below its API: on the fast transport, where no other server decides."""

import pytest

from tests.support.cluster import Cluster
from tests.support.processes import peak_memory
from tests.support.raw_http import HANDSHAKE, RawHttp
from tests.support.raw_socket import RawSocket


@pytest.fixture
def port(one_node: Cluster) -> int:
    return one_node.nodes[0].port


# ---- what can't be read


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 501),
    ],
    ids=["TLS", "bad length", "CONNECT"],
)
async def test_a_request_that_is_none_gets_a_problem_document(port: int, request_bytes: bytes, status: int) -> None:
    async with RawHttp.to(port) as http:
        await http.send(request_bytes)
        answer = await http.answer()

        assert (answer.status, answer.json()["status"]) == (status, status)
        assert answer.headers["content-type"] == "application/problem+json"


# ---- the address of the server


async def test_each_request_of_a_connection_to_loopback_gets_the_chat_page(port: int) -> None:
    async with RawHttp.to(port) as http:
        statuses = [(await http.request("GET / HTTP/1.1\nHost: localhost")).status for _ in range(2)]

    assert statuses == [200, 200]


# ---- forms of the target


@pytest.mark.parametrize("target", ["http://localhost/health/live", "HTTP://localhost:8000/health/live?a=b"])
async def test_a_target_in_absolute_form_is_served(port: int, target: str) -> None:
    async with RawHttp.to(port) as http:
        assert (await http.request(f"GET {target} HTTP/1.1\nHost: localhost")).status == 200


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_a_handshake_in_absolute_form_is_admitted(port: int, scheme: str) -> None:
    async with RawSocket.to(port) as socket:
        assert await socket.handshake(f"{scheme}://127.0.0.1/ws/chat/lobby?user_id=ada") == 101
        assert (await socket.object())["user_id"] == "ada"


@pytest.mark.parametrize(("authority", "status"), [("127.0.0.1", 101), ("evil.example", 403)])
async def test_the_origin_is_compared_with_the_host_of_a_target_in_absolute_form(
    port: int, authority: str, status: int
) -> None:
    async with RawSocket.to(port) as socket:
        target = f"http://{authority}/ws"
        assert await socket.handshake(target, Host="other.example", Origin="http://127.0.0.1") == status


async def test_a_target_in_absolute_form_makes_no_client_a_local_one(port: int) -> None:
    async with RawHttp.to(port) as http:
        answer = await http.request("GET http://evil.example/diagnostics HTTP/1.1\nHost: localhost")

    assert answer.status == 403


# ---- forms of a handshake


async def test_a_handshake_may_offer_other_protocols_too_and_repeat_headers(port: int) -> None:
    handshake = HANDSHAKE.replace("Upgrade: websocket", "Upgrade: h2c, WebSocket") + "\nConnection: keep-alive"
    async with RawHttp.to(port) as http:
        assert (await http.request(f"GET /ws HTTP/1.1\nHost: localhost\n{handshake}")).status == 101


async def test_frames_that_come_with_the_handshake_are_read(port: int) -> None:
    ping = b"\x89\x82\0\0\0\0hi"
    async with RawSocket.to(port) as socket:
        head = "\r\n".join(["GET /ws HTTP/1.1", "Host: localhost", *HANDSHAKE.splitlines(), "", ""]).encode()
        await socket.send(head + ping)
        assert await socket.status() == 101

        frames = [await socket.frame(), await socket.frame()]

    assert (10, b"hi") in frames


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /health/live HTTP/1.0\nHost: localhost", 200),
        ("GET /ws HTTP/1.0\nHost: localhost", 426),
        ("POST /ws HTTP/1.1\nHost: localhost\nContent-Length: 0", 405),
        ("POST /api/v1/rooms/a/messages HTTP/1.1\nHost: localhost\nContent-Length: 2", 400),
    ],
)
async def test_a_handshake_of_another_method_or_version_is_an_ordinary_request(
    port: int, head: str, status: int
) -> None:
    async with RawHttp.to(port) as http:
        assert (await http.request(f"{head}\n{HANDSHAKE}", b"{}" if "Length: 2" in head else b"")).status == status


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("Sec-WebSocket-Version", "12", 426),
        ("Sec-WebSocket-Version", "", 426),
        ("Sec-WebSocket-Key", "short", 400),
        ("Sec-WebSocket-Key", "", 400),
        ("Host", "", 400),
    ],
)
async def test_a_handshake_that_rfc_6455_forbids_gets_a_problem_document_of_its_status(
    port: int, name: str, value: str, status: int
) -> None:
    fields = dict(line.split(": ") for line in f"Host: localhost\n{HANDSHAKE}".splitlines()) | {name: value}
    async with RawHttp.to(port) as http:
        answer = await http.request("GET /ws HTTP/1.1\n" + "\n".join(f"{name}: {fields[name]}" for name in fields))

    assert (answer.status, answer.json()["status"], answer.json()["code"]) == (status, status, "bad_request")
    if status == 426:
        assert (answer.headers["upgrade"], answer.headers["sec-websocket-version"]) == ("websocket", "13")
        assert answer.headers["connection"] == "Upgrade, close"


# ---- pipelining

ANSWERED = 9
"""The request that is being answered, and eight behind it."""


async def test_a_few_pipelined_requests_are_answered_in_order_and_the_connection_stays(port: int) -> None:
    paths = ["/health/live", "/nowhere", "/health/ready"]
    async with RawHttp.to(port) as http:
        await http.send("".join(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n" for path in paths).encode())

        assert [(await http.answer()).status for _ in paths] == [200, 404, 200]
        assert (await http.request("GET /health/live HTTP/1.1\nHost: a")).status == 200


async def test_behind_many_pipelined_requests_the_connection_is_closed(one_node: Cluster, port: int) -> None:
    before = peak_memory(one_node.nodes[0].pid)
    async with RawHttp.to(port) as http:
        await http.send(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n" * 5_000)
        answers = [await http.answer() for _ in range(ANSWERED)]

        assert [answer.status for answer in answers] == [200] * ANSWERED
        assert [answer.headers.get("connection") for answer in answers] == [None] * (ANSWERED - 1) + ["close"]
        assert await http.is_ended()
    assert peak_memory(one_node.nodes[0].pid) - before < 2_000_000


# ---- heads that two readers could take for different requests


@pytest.mark.parametrize("hosts", ["", "Host: localhost\nHost: evil.example\n"], ids=["none", "two"])
@pytest.mark.parametrize(
    "start", ["GET /api/v1/nodes HTTP/1.1\n", f"GET /ws HTTP/1.1\n{HANDSHAKE}\n"], ids=["api", "ws"]
)
async def test_a_request_without_a_host_or_with_two_is_refused(port: int, start: str, hosts: str) -> None:
    async with RawHttp.to(port) as http:
        answer = await http.request(start + hosts)

    assert (answer.status, answer.json()["code"]) == (400, "bad_request")
    assert "Host" in answer.json()["detail"]


async def test_http_1_0_needs_no_host(port: int) -> None:
    async with RawHttp.to(port) as http:
        assert (await http.request("GET /health/live HTTP/1.0")).status == 200


@pytest.mark.parametrize(
    ("field", "body"), [("Content-Length: 5", b"hello"), ("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")]
)
async def test_a_handshake_with_a_body_is_refused(port: int, field: str, body: bytes) -> None:
    async with RawHttp.to(port) as http:
        answer = await http.request(f"GET /ws HTTP/1.1\nHost: localhost\n{HANDSHAKE}\n{field}", body)

    assert (answer.status, answer.json()["detail"]) == (400, "a WebSocket handshake has no body")


# ---- handshakes behind other requests


async def test_a_handshake_behind_an_unanswered_request_is_refused_and_its_answer_comes_second(port: int) -> None:
    first = "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
    head = "\r\n".join(["GET /ws HTTP/1.1", "Host: localhost", *HANDSHAKE.splitlines(), "", ""])
    async with RawHttp.to(port) as http:
        await http.send((first + head).encode())

        assert [(await http.answer()).status for _ in range(2)] == [200, 426]
        assert (await http.request("GET /health/live HTTP/1.1\nHost: a")).status == 200


async def test_a_handshake_behind_an_answered_request_is_admitted(port: int) -> None:
    async with RawSocket.to(port) as socket:
        await socket.send(b"GET /health/nothing HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n")
        assert await socket.status() == 404
        while await socket.byte() != b"}":
            pass
        assert await socket.handshake("/ws") == 101
        assert (await socket.object())["type"] == "welcome"


async def test_half_a_frame_that_comes_with_the_handshake_is_completed_by_the_next_bytes(port: int) -> None:
    ping, mask = b"\x89\x82\0\0\0\0hi", 6
    async with RawSocket.to(port) as socket:
        head = "\r\n".join(["GET /ws HTTP/1.1", "Host: localhost", *HANDSHAKE.splitlines(), "", ""]).encode()
        await socket.send(head + ping[:mask])
        assert await socket.status() == 101
        assert (await socket.object())["type"] == "welcome"

        await socket.send(ping[mask:] + ping)
        assert [await socket.frame(), await socket.frame()] == [(10, b"hi")] * 2
