"""HTTP: health checks, problem documents, the headers of the chat page, the API key."""

from collections.abc import AsyncGenerator

import pytest

from tests.integration.conftest import Connect
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.room_messages import publish_batch


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/v1/rooms/a%20b/messages", {"content": 1}, 400, "bad_name"),
        ("/api/v1/rooms/a/messages", {}, 400, "bad_request"),
        ("/api/v1/rooms/a/messages", [1], 400, "bad_request"),
        ("/api/v1/rooms/a/messages", {"content": 1, "to": "b"}, 400, "bad_request"),
        ("/api/v1/rooms/a/messages", {"content": 1, "user_id": "a b"}, 400, "bad_name"),
        ("/api/v1/rooms/a/messages", {"content": 1, "username": "\n09:00:00 root"}, 400, "bad_name"),
        ("/api/v1/rooms/a/messages", {"content": "x" * 70_000}, 413, "too_large"),
        ("/api/v1/agents/a/sessions/b*/messages", {"content": 1}, 400, "bad_name"),
        ("/api/v1/users/*/messages", {"content": 1}, 400, "bad_name"),
        ("/api/v1/messages", {"messages": 1}, 400, "bad_request"),
        ("/api/v1/revocations", {}, 400, "bad_request"),
        ("/api/v1/revocations", {"jti": "t", "user_id": "ada"}, 400, "bad_request"),
        ("/api/v1/revocations", {"jti": "t", "reason": "theft"}, 400, "bad_request"),
        ("/api/v1/revocations", {"jti": "t", "until": "tomorrow"}, 400, "bad_request"),
        ("/api/v1/revocations", {"user_id": "a b"}, 400, "bad_name"),
    ],
)
async def test_a_bad_request_gets_a_problem_document(
    nodes: list[NodeProcess], path: str, body: object, status: int, code: str
) -> None:
    answer = await nodes[0].http.post(path, json=body)

    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["detail"]


@pytest.mark.parametrize("body", ["{", '{"content": NaN}', "\xff", ""])
async def test_a_body_that_is_no_json_gets_a_problem_document(nodes: list[NodeProcess], body: str) -> None:
    answer = await nodes[0].http.post("/api/v1/rooms/a/messages", content=body.encode("latin-1"))

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


async def test_an_unknown_path_or_method_gets_a_problem_document(nodes: list[NodeProcess]) -> None:
    assert (await nodes[0].http.get("/api/v1/nowhere")).json()["status"] == 404
    assert (await nodes[0].http.put("/api/v1/rooms/a/messages")).json()["status"] == 405


async def test_a_405_names_all_methods_of_its_path(nodes: list[NodeProcess]) -> None:
    answer = await nodes[0].http.patch("/api/v1/agents/42/messages")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_a_running_node_is_alive_and_ready(nodes: list[NodeProcess]) -> None:
    assert (await nodes[0].http.get("/health/live")).json() == {"status": "live", "node": "n1"}
    ready = (await nodes[0].http.get("/health/ready")).json()
    assert (ready["status"], ready["node"]) == ("ready", "n1")


async def test_the_page_allows_only_what_this_host_serves(nodes: list[NodeProcess]) -> None:
    page = await nodes[0].http.get("/")

    assert page.status_code == 200
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert "<script>" not in page.text


@pytest.fixture(scope="module", params=list(Transport), ids=str)
async def with_key(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    async with Cluster(
        nodes=1, transport=request.param, API_KEY="secret-7", ALLOWED_ORIGINS="https://a.example", CHAT_PAGE="off"
    ) as it:
        yield it.nodes[0]


@pytest.mark.parametrize("path", ["/", "/static/main.js"])
async def test_a_page_that_is_off_is_answered_with_a_problem_document(with_key: NodeProcess, path: str) -> None:
    answer = await with_key.http.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert "TANNOY_CHAT_PAGE" in answer.json()["detail"]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic secret-7", "Bearer secret-70"])
@pytest.mark.parametrize("path", ["/api/v1/rooms/a/messages", "/diagnostics"])
async def test_a_request_without_the_api_key_is_refused(with_key: NodeProcess, path: str, header: str) -> None:
    method = "GET" if path == "/diagnostics" else "POST"
    answer = await with_key.http.request(method, path, headers={"Authorization": header}, json={"content": 1})

    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")


async def test_a_request_with_the_api_key_is_answered(with_key: NodeProcess) -> None:
    headers = {"Authorization": "Bearer secret-7"}
    answer = await with_key.http.post("/api/v1/rooms/a/messages", json={"content": 1}, headers=headers)

    assert answer.status_code == 200


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example:8000"}], ids=str)
async def test_a_request_of_another_web_page_is_refused_where_no_key_is_set(
    nodes: list[NodeProcess], headers: dict[str, str]
) -> None:
    """A page of another site, or one whose host name was made to resolve to this node."""
    answer = await nodes[0].http.post("/api/v1/rooms/a/messages", json={"content": 1}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


FORWARDED = [
    {"X-Forwarded-For": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
    {"X-Real-IP": "10.0.0.1"},
    {"Via": "1.1 a"},
]


@pytest.mark.parametrize("headers", FORWARDED, ids=str)
@pytest.mark.parametrize("path", ["/api/v1/nodes", "/diagnostics"])
async def test_a_request_that_a_proxy_has_forwarded_is_refused_where_no_key_is_set(
    nodes: list[NodeProcess], path: str, headers: dict[str, str]
) -> None:
    answer = await nodes[0].http.get(path, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_request_that_a_proxy_has_forwarded_is_answered_with_the_key(with_key: NodeProcess) -> None:
    headers = {"Authorization": "Bearer secret-7", "X-Forwarded-For": "10.0.0.1", "Host": "chat.example"}

    assert (await with_key.http.get("/api/v1/nodes", headers=headers)).status_code == 200


async def test_a_batch_larger_than_the_share_of_a_client_is_published_in_order(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    client = await connect(nodes[1], f"/ws/chat/{name}")
    contents = [[number, "x" * 60_000] for number in range(12)]

    results = await publish_batch(nodes[0], name, *contents)

    assert [result["offset"] for result in results] == list(range(1, 13))
    assert [content[0] for content in await client.contents(12)] == list(range(12))


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", None])
async def test_a_body_is_read_as_json_whatever_type_it_says(nodes: list[NodeProcess], content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await nodes[0].http.post("/api/v1/rooms/a/messages", content=b'{"content": 1}', headers=headers)

    assert answer.status_code == 200


async def test_head_is_answered_as_get_without_the_body(nodes: list[NodeProcess]) -> None:
    answer = await nodes[0].http.head("/api/v1/nodes")

    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("path", ["/api/v1/openapi.json", "/api/v1/docs"])
async def test_the_description_of_the_api_needs_no_key(with_key: NodeProcess, path: str) -> None:
    answer = await with_key.http.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_no_path_of_fastapi_s_own_is_served(nodes: list[NodeProcess]) -> None:
    for path in ("/docs", "/redoc", "/openapi.json", "/api/v1/redoc", "/api/v1/docs/oauth2-redirect"):
        assert (await nodes[0].http.get(path)).status_code == 404
