"""The HTTP API knows the API key alone: no token of a client opens any of it, and no claim limits what the key does."""

import re
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.routing import Mount, Route
from tannoy.node.auth.signing import sign_token
from tannoy.node.web.routes import api_routes

from tests.support.client import Client
from tests.support.cluster import Cluster, NodeProcess

SECRET = "a-secret-that-only-the-back-end-and-the-nodes-know"
KEY = "a-key-that-only-the-back-end-and-the-nodes-know"
WITH_KEY = {"Authorization": f"Bearer {KEY}"}
STATES = ("fresh", "expired", "revoked", "refreshed")
ALL_RIGHTS: dict[str, Any] = {
    "rooms": ["*"],
    "agents": ["*"],
    "can": ["publish", "private", "presence", "history", "observe"],
}
NO_RIGHTS: dict[str, Any] = {"rooms": [], "agents": [], "can": []}
DRAIN = "/api/v1/nodes/a/drain"
BODIES: dict[str, object] = {
    "/api/v1/messages": {"messages": [{"room": "lobby", "content": 1}]},
    "/api/v1/revocations": {"user_id": "bob"},
    "/api/v1/agents/a/limit": {"max_sessions": 1, "policy": "reject"},
    DRAIN: None,
    "/api/v1/hooks/resend": {"ids": ["1-0"]},
    **{
        f"/api/v1/{kind}/a/streams{path}": body
        for kind in ("rooms", "agents")
        for path, body in {"": {}, "/a": {"text": "a"}, "/a/end": {}, "/a/stop": {}}.items()
    },
}
"""By path; all others that take a body take a message."""


def _every_route() -> list[tuple[str, str]]:
    """Method and path of each route of the HTTP API and of the diagnostics, with a name in each place for one."""
    (mount,) = [route for route in api_routes() if isinstance(route, Mount)]
    found = [(mount.path, route) for route in mount.routes if isinstance(route, Route)]
    found += [("", route) for route in api_routes() if isinstance(route, Route) and route.path == "/diagnostics"]
    return [
        (method, prefix + re.sub(r"\{\w+\}", "a", route.path))
        for prefix, route in found
        for method in sorted((route.methods or {"GET"}) - {"HEAD"})
    ]


EVERY_ROUTE = _every_route()


@pytest.fixture(scope="module")
async def node(anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    async with Cluster(nodes=1, AUTH="jwt", JWT_SECRET=SECRET, API_KEY=KEY) as cluster:
        yield cluster.nodes[0]


def _token(user: str, claims: dict[str, Any], *, seconds: float = 600, token_id: str | None = None) -> str:
    return sign_token(SECRET, subject=user, expires_at=time.time() + seconds, token_id=token_id, **claims)


async def _token_in_state(node: NodeProcess, state: str) -> tuple[str, Client | None]:
    """A token with all rights, and the session that has been refreshed by it."""
    match state:
        case "expired":
            return _token("ada", ALL_RIGHTS, seconds=-1), None
        case "revoked":
            answer = await node.http.post("/api/v1/revocations", json={"jti": "stolen"}, headers=WITH_KEY)
            assert answer.status_code == 200, answer.text
            return _token("ada", ALL_RIGHTS, token_id="stolen"), None
        case "refreshed":
            first = {"Authorization": f"Bearer {_token('ada', NO_RIGHTS)}"}
            session = await node.connect("/ws", additional_headers=first)
            token = _token("ada", ALL_RIGHTS)
            await session.ok("refresh", token=token)
            return token, session
        case _:
            return _token("ada", ALL_RIGHTS), None


def _places(token: str) -> list[dict[str, Any]]:
    """Options of a request, with the token in each place in which a handshake may have it, and in two more."""
    return [
        {"headers": {"Authorization": f"Bearer {token}"}},
        {"headers": {"Authorization": token}},
        {"headers": {"Sec-WebSocket-Protocol": f"bearer, {token}"}},
        {"headers": {"X-API-Key": token}},
        {"params": {"token": token}},
    ]


async def _status(node: NodeProcess, method: str, path: str, **options: Any) -> int:
    body = None if method in ("GET", "DELETE") else BODIES.get(path, {"content": 1})
    return (await node.http.request(method, path, json=body, **options)).status_code


def test_the_table_has_every_route() -> None:
    assert len(EVERY_ROUTE) == 38
    assert {("GET", "/diagnostics"), ("POST", "/api/v1/rooms/a/messages"), ("DELETE", "/api/v1/revocations/a")} < {
        *EVERY_ROUTE
    }


@pytest.mark.parametrize("state", STATES)
async def test_a_token_with_all_rights_opens_no_route_in_any_state(node: NodeProcess, state: str) -> None:
    token, session = await _token_in_state(node, state)
    for method, path in EVERY_ROUTE:
        for options in _places(token):
            assert await _status(node, method, path, **options) == 401, (method, path, options)
    if session is not None:
        await session.ok("join", room="lobby")
        await session.close()


async def test_the_key_opens_every_route(node: NodeProcess) -> None:
    for method, path in EVERY_ROUTE:
        status = await _status(node, method, path, headers=WITH_KEY)
        # Nobody has the session, the revocation, the stream or the node of these names, and this node has no hooks:
        # what says so has let the request in.
        may_be_missing = method == "DELETE" or path == DRAIN or "/streams/a" in path or "/hooks/" in path
        assert status in (200, 204) or (status == 404 and may_be_missing), (method, path, status)


async def test_what_the_key_may_do_is_not_limited_by_the_claims_of_the_user_it_speaks_for(node: NodeProcess) -> None:
    nobody = await node.connect("/ws", additional_headers={"Authorization": f"Bearer {_token('nobody', NO_RIGHTS)}"})
    assert (await nobody.call("join", room="closed"))["code"] == "forbidden"

    content = {"content": "hello", "user_id": "nobody"}
    for path in ("/api/v1/rooms/closed/messages", "/api/v1/agents/closed/messages"):
        published = await node.http.post(path, json=content, headers=WITH_KEY)
        assert published.json()["offset"] == 1, published.text
        (stored,) = (await node.http.get(path, headers=WITH_KEY)).json()["messages"]
        assert (stored["user_id"], stored["content"]) == ("nobody", "hello")
    sent = await node.http.post("/api/v1/users/nobody/messages", json={"content": 1}, headers=WITH_KEY)
    assert sent.json() == {"sessions": 1}
    assert (await nobody.expect("private"))["content"] == 1
    await nobody.close()
