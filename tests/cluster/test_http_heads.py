"""How large the head of a request may be: on the fast transport, where no other server decides."""

import pytest

from tests.support.cluster import Cluster
from tests.support.processes import peak_memory
from tests.support.raw_http import HANDSHAKE, RawHttp

HEAD_MAX_BYTES = 16_384
TARGET_MAX_BYTES = 4_096
HEADERS_MAX = 100
PIECE = b"x" * 65_536


@pytest.fixture
def port(one_node: Cluster) -> int:
    return one_node.nodes[0].port


@pytest.mark.parametrize(
    ("start", "status"),
    [
        ("GET /health/live HTTP/1.1\nHost: localhost\nX: ", 431),
        ("GET /health/live HTTP/1.1\nHost: localhost\nX", 431),
        ("GET /health/live?", 414),
        (f"GET /ws HTTP/1.1\nHost: localhost\n{HANDSHAKE}\nX: ", 431),
        ("GET /ws?", 414),
        ("GET /ws/chat/", 414),
    ],
    ids=["value", "name", "target", "handshake value", "handshake query", "handshake path"],
)
async def test_a_head_that_is_too_large_is_refused_at_once_however_large_it_is_meant_to_be(
    one_node: Cluster, port: int, start: str, status: int
) -> None:
    before = peak_memory(one_node.nodes[0].pid)
    async with RawHttp.to(port) as http:
        await http.send(start.replace("\n", "\r\n").encode())
        for _ in range(500):
            await http.send(PIECE)
        answer = await http.answer()

    assert (answer.status, answer.json()["status"], answer.json()["code"]) == (status, status, "too_large")
    assert answer.headers["connection"] == "close"
    assert peak_memory(one_node.nodes[0].pid) - before < 10_000_000


@pytest.mark.parametrize("field", ["X-Header: 1\n", "a:\n", "Connection: a, b, c, d\n"])
@pytest.mark.parametrize("path", ["/health/live", f"/ws HTTP/1.1\n{HANDSHAKE}\nX-Rest:"], ids=["request", "handshake"])
async def test_many_small_headers_are_refused(port: int, path: str, field: str) -> None:
    async with RawHttp.to(port) as http:
        answer = await http.request(f"GET {path} HTTP/1.1\nHost: localhost\n{field * 100_000}")

    assert answer.status == 431


@pytest.mark.parametrize(("headers", "status"), [(HEADERS_MAX, 200), (HEADERS_MAX + 1, 431)])
async def test_a_request_has_at_most_a_hundred_headers(port: int, headers: int, status: int) -> None:
    async with RawHttp.to(port) as http:
        answer = await http.request("GET /health/live HTTP/1.1\nHost: localhost\n" + "a:\n" * (headers - 1))

    assert answer.status == status


async def test_an_ignored_upgrade_with_many_tokens_of_its_connection_is_served(port: int) -> None:
    tokens = ", ".join(["Upgrade", "HTTP2-Settings", *(f"token-{number}" for number in range(500))])
    async with RawHttp.to(port) as http:
        answer = await http.request(f"GET /health/live HTTP/1.1\nHost: a\nUpgrade: h2c\nConnection: {tokens}")

    assert answer.status == 200


@pytest.mark.parametrize(("size", "status"), [(TARGET_MAX_BYTES, 200), (TARGET_MAX_BYTES + 1, 414)])
async def test_the_longest_target_has_4_kilobytes(port: int, size: int, status: int) -> None:
    start = "/health/live?"
    async with RawHttp.to(port) as http:
        answer = await http.request(f"GET {start}{'x' * (size - len(start))} HTTP/1.1\nHost: localhost")

    assert answer.status == status


async def test_trailers_over_16_kilobytes_are_refused(port: int) -> None:
    async with RawHttp.to(port) as http:
        await http.send(
            b"POST /api/v1/rooms/a/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
        )
        for _ in range(20):
            await http.send(PIECE)

        assert (await http.answer()).status == 431


@pytest.mark.parametrize(("size", "status"), [(HEAD_MAX_BYTES, 200), (HEAD_MAX_BYTES + 1, 431)])
async def test_the_largest_head_has_16_kilobytes(port: int, size: int, status: int) -> None:
    start, end = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: ", b"\r\n\r\n"
    async with RawHttp.to(port) as http:
        for _ in range(2 if status == 200 else 1):  # the second one on the same connection counts anew
            await http.send(start + b"x" * (size - len(start) - len(end)) + end)
            assert (await http.answer()).status == status


async def test_a_body_is_not_bounded_by_the_size_of_a_head(port: int) -> None:
    body = b'{"messages":[%s]}' % b",".join([b'{"room":"large","content":"%s"}' % (b"x" * 60_000)] * 10)
    head = f"POST /api/v1/messages HTTP/1.1\nHost: localhost\nContent-Length: {len(body)}"
    async with RawHttp.to(port) as http:
        answer = await http.request(head, body)

    assert (answer.status, len(answer.json()["results"])) == (200, 10)
