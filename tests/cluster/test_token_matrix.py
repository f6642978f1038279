"""Who may do what where, with which token: every user, room, operation and state of a token, over real sockets."""

import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tannoy.node.auth.signing import sign_token

from tests.support.client import Client
from tests.support.cluster import Cluster, NodeProcess

SECRET = "a-secret-that-only-the-back-end-and-the-nodes-know"
ROOMS = ("lobby", "team.a", "team.b")
OPERATIONS = ("connect", "join", "observe", "recover", "message", "typing", "presence", "history")
NO_ROOM: frozenset[str] = frozenset()

CLAIMS: dict[str, dict[str, Any]] = {
    "anybody": {},
    "reader": {"rooms": ["team.*"], "can": ["presence", "history"]},
    "writer": {"rooms": ["lobby", "team.a"], "can": ["publish"]},
    "observer": {"rooms": ["*"], "can": ["observe"]},
    "nobody": {"rooms": [], "can": []},
}
ALL_BUT_OBSERVE = frozenset(OPERATIONS) - {"observe"}
READS = frozenset({"connect", "join", "recover", "presence", "history"})
WRITES = frozenset({"connect", "join", "message", "typing"})
OBSERVES = frozenset({"connect", "join", "observe"})
ALLOWED: dict[str, dict[str, frozenset[str]]] = {
    "anybody": {"lobby": ALL_BUT_OBSERVE, "team.a": ALL_BUT_OBSERVE, "team.b": ALL_BUT_OBSERVE},
    "reader": {"lobby": NO_ROOM, "team.a": READS, "team.b": READS},
    "writer": {"lobby": WRITES, "team.a": WRITES, "team.b": NO_ROOM},
    "observer": {"lobby": OBSERVES, "team.a": OBSERVES, "team.b": OBSERVES},
    "nobody": {"lobby": NO_ROOM, "team.a": NO_ROOM, "team.b": NO_ROOM},
}
"""What each user may do in each room with a token that is valid. With one that is not: nothing, anywhere."""
EXPIRED, REVOKED = ("token_expired", 4401), ("bad_token", 4501)


@pytest.fixture(scope="module")
async def node(anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    async with Cluster(nodes=1, AUTH="jwt", JWT_SECRET=SECRET) as cluster:
        yield cluster.nodes[0]


def token_of(user: str, *, seconds: float = 600, name: str | None = None, **claims: Any) -> str:
    """`name`: the user id, where a test needs one of its own."""
    claims = CLAIMS[user] | claims
    return sign_token(SECRET, subject=name or user, expires_at=time.time() + seconds, **claims)


async def open_with(node: NodeProcess, path: str, token: str) -> Client:
    return await Client.open(node.ws_url + path, additional_headers={"Authorization": f"Bearer {token}"})


async def refusal(client: Client) -> tuple[str, int]:
    error = await client.expect("error")
    code = (await client.bye())[1]
    await client.close()
    return str(error["code"]), code


async def may_connect(node: NodeProcess, room: str, token: str) -> bool:
    client = await open_with(node, f"/ws/chat/{room}", token)
    first = await client.find(lambda frame: frame["type"] in ("welcome", "error"), "welcome or error")
    await client.close()
    return bool(first["type"] == "welcome")


async def succeeds(client: Client, type: str, **fields: Any) -> bool:
    answer = await client.call(type, **fields)
    if answer["type"] == "error":
        assert answer["code"] in ("forbidden", "not_joined"), answer
    return bool(answer["type"] == "ok")


async def operations_in(node: NodeProcess, client: Client, room: str, token: str) -> frozenset[str]:
    """Those that succeed, on a session that is in no room."""
    done: dict[str, bool] = {"connect": await may_connect(node, room, token)}
    for operation, fields in (("observe", {"observe": True}), ("recover", {"recover": {"epoch": "e", "offset": 1}})):
        done[operation] = await succeeds(client, "join", room=room, **fields)
        if done[operation]:
            assert await succeeds(client, "leave", room=room)
    done["join"] = await succeeds(client, "join", room=room)
    for operation in ("message", "typing", "presence", "history"):
        content = {"content": 1} if operation == "message" else {}
        done[operation] = await succeeds(client, operation, room=room, **content)
    return frozenset(operation for operation, is_done in done.items() if is_done)


async def allowed_in_each_room(node: NodeProcess, client: Client, token: str) -> dict[str, frozenset[str]]:
    return {room: await operations_in(node, client, room, token) for room in ROOMS}


@pytest.mark.parametrize("user", CLAIMS)
async def test_a_fresh_token_allows_what_its_claims_list_and_no_more(node: NodeProcess, user: str) -> None:
    token = token_of(user)
    client = await open_with(node, "/ws", token)
    await client.welcomed()
    assert await allowed_in_each_room(node, client, token) == ALLOWED[user]
    await client.close()


@pytest.mark.parametrize("user", CLAIMS)
async def test_a_refreshed_session_may_do_what_its_new_token_allows(node: NodeProcess, user: str) -> None:
    before = "anybody" if user == "nobody" else "nobody"
    token = token_of(user)
    client = await open_with(node, "/ws", token_of(before, name=user))
    await client.welcomed()
    await client.ok("refresh", token=token)
    assert await allowed_in_each_room(node, client, token) == ALLOWED[user]
    await client.close()


@pytest.mark.parametrize("user", CLAIMS)
async def test_an_expired_token_allows_nothing(node: NodeProcess, user: str) -> None:
    expired = token_of(user, seconds=-1)
    session = await open_with(node, "/ws", token_of(user))
    await session.welcomed()
    assert (await session.call("refresh", token=expired))["code"] == EXPIRED[0]
    await session.close()
    for path in ("/ws", *(f"/ws/chat/{room}" for room in ROOMS)):
        assert await refusal(await open_with(node, path, expired)) == EXPIRED


@pytest.mark.parametrize("user", CLAIMS)
async def test_a_revoked_token_ends_its_session_and_allows_nothing(node: NodeProcess, user: str) -> None:
    revoked = token_of(user, token_id=f"of-{user}")
    session, other = await open_with(node, "/ws", revoked), await open_with(node, "/ws", token_of(user))
    for client in (session, other):
        await client.welcomed()
    answer = await node.http.post("/api/v1/revocations", json={"jti": f"of-{user}"})
    assert answer.status_code == 200, answer.text
    assert (await session.bye())[1] == REVOKED[1]
    assert (await other.call("refresh", token=revoked))["code"] == REVOKED[0]
    for client in (session, other):
        await client.close()
    for path in ("/ws", *(f"/ws/chat/{room}" for room in ROOMS)):
        assert await refusal(await open_with(node, path, revoked)) == REVOKED
