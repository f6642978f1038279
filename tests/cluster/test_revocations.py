"""What one node revokes all nodes refuse and close, whatever becomes of Redis, until it is deleted."""

import time
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import pytest
from tannoy.node.auth.signing import sign_token
from tannoy.shared.keyspace import Keyspace

from tests.support.client import Client
from tests.support.cluster import Cluster, NodeProcess, all_ready
from tests.support.node import STEADY
from tests.support.waiting import eventually, value_becomes

BAD_TOKEN = 4501
SECRET = "a-secret-that-only-the-back-end-and-the-nodes-know"
PATH = "/api/v1/revocations"


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2, times=STEADY, CLUSTER_SECRET="of this cluster") as running:
        yield running


@pytest.fixture
async def nodes(cluster: Cluster) -> AsyncGenerator[list[NodeProcess]]:
    """Two nodes that know of no revocation: those of a test are gone with it, everywhere."""
    yield cluster.nodes
    for known in await listed(cluster.nodes[0]):
        assert (await cluster.nodes[0].http.delete(f"{PATH}/{known['id']}")).status_code == 204
    for node in cluster.nodes:
        await value_becomes(partial(listed, node), [])


async def revoke(node: NodeProcess, **target: Any) -> dict[str, Any]:
    answer = await node.http.post(PATH, json=target)
    assert answer.status_code == 200, answer.text
    revocation: dict[str, Any] = answer.json()
    return revocation


async def listed(node: NodeProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await node.http.get(PATH)).json()["revocations"]
    return found


async def ended_with(client: Client) -> tuple[int, str, bool]:
    bye, code = await client.bye()
    assert bye["code"] == code
    return code, bye["reason"], bye["reconnect"]


async def refusal_at(node: NodeProcess, path: str, **options: Any) -> tuple[str, int]:
    """The code of the error, and the close code, with which a client is refused."""
    client = await Client.open(node.ws_url + path, **options)
    error = await client.expect("error")
    return error["code"], await client.close_code()


async def test_the_sessions_of_a_revoked_user_are_closed_on_every_node(nodes: list[NodeProcess]) -> None:
    here, there = [await node.connect("/ws?user_id=ada") for node in nodes]
    other = await nodes[1].connect("/ws?user_id=bob")
    await revoke(nodes[0], user_id="ada")
    for client in (here, there):
        assert await ended_with(client) == (BAD_TOKEN, "bad token", False)
    for node in nodes:
        assert await refusal_at(node, "/ws?user_id=ada") == ("bad_token", BAD_TOKEN)
    assert await other.ok("join", room="lobby")


async def test_a_session_that_was_revoked_is_among_the_disconnects_of_its_user_and_its_agent(
    nodes: list[NodeProcess],
) -> None:
    client = await nodes[1].connect("/ws/agents/of-abe?user_id=abe")
    await revoke(nodes[0], user_id="abe")
    await ended_with(client)

    async def shown(path: str) -> list[tuple[str, int, str]]:
        told = (await nodes[0].http.get(f"/api/v1/{path}")).json()["disconnects"]
        return [(each["session_id"], each["code"], each["rule"]) for each in told]

    for path in ("users/abe", "agents/of-abe"):
        await value_becomes(partial(shown, path), [(client.session_id, BAD_TOKEN, "revocation")])


async def test_the_sessions_of_a_revoked_agent_are_closed_on_every_node(nodes: list[NodeProcess]) -> None:
    revoked = [await node.connect("/ws/agents/42?user_id=ada") for node in nodes]
    other = await nodes[1].connect("/ws/agents/43?user_id=ada")
    await revoke(nodes[0], agent_id="42")
    for client in revoked:
        assert await ended_with(client) == (BAD_TOKEN, "bad token", False)
    for node in nodes:
        assert await refusal_at(node, "/ws/agents/42") == ("bad_token", BAD_TOKEN)
    assert await other.ok("presence")


async def test_a_revocation_whose_announcement_was_lost_is_found(cluster: Cluster, nodes: list[NodeProcess]) -> None:
    deaf = nodes[1]
    there = await deaf.connect("/ws?user_id=ada")
    async with cluster.valkey.refusing("publish"):
        made = await revoke(nodes[0], user_id="ada")
    assert (await ended_with(there))[0] == BAD_TOKEN
    assert await listed(deaf) == [made]
    await eventually(lambda: all_ready(nodes), what="both nodes publish again")


async def test_every_node_lists_the_same_and_a_node_that_starts_later_too(nodes: list[NodeProcess]) -> None:
    late = nodes[1]
    await late.stop()
    made = [await revoke(nodes[0], jti="token 7"), await revoke(nodes[0], user_id=7)]
    await late.start()
    assert sorted(each["id"] for each in await listed(late)) == sorted(each["id"] for each in made)
    assert await listed(late) == await listed(nodes[0])
    assert {"jti": "token 7"}.items() <= made[0].items()
    assert {"user_id": "7"}.items() <= made[1].items()


async def test_what_an_emptied_redis_has_lost_is_revoked_still() -> None:
    async with Cluster(nodes=2, times=STEADY) as cluster:
        nodes = cluster.nodes
        made = await revoke(nodes[0], user_id="ada")
        await value_becomes(partial(listed, nodes[1]), [made])
        await cluster.valkey.run("FLUSHALL")
        key = Keyspace("tannoy").revocations
        await value_becomes(lambda: cluster.valkey.run("HEXISTS", key, made["id"]), 1)
        for node in nodes:
            assert await listed(node) == [made]
            assert await refusal_at(node, "/ws?user_id=ada") == ("bad_token", BAD_TOKEN)


async def test_revoking_twice_is_one_revocation_with_the_later_end(nodes: list[NodeProcess]) -> None:
    made = await revoke(nodes[0], jti="token 7", until="2036-01-01T00:00:00Z")
    earlier = await revoke(nodes[1], jti="token 7")
    later = await revoke(nodes[1], jti="token 7", until=2_082_801_600.5)
    assert earlier == made
    assert later == made | {"until": "2036-01-01T12:00:01.000Z"}
    for node in nodes:
        await value_becomes(partial(listed, node), [later])


async def test_the_log_does_not_have_the_jti(nodes: list[NodeProcess]) -> None:
    made = await revoke(nodes[0], jti="secret-jti")
    await eventually(lambda: nodes[0].has_logged(made["id"]), what="the revocation is in the log")
    assert not any(["secret-jti" in node.log() for node in nodes])


async def test_a_deleted_revocation_is_gone_from_every_node(nodes: list[NodeProcess]) -> None:
    made = await revoke(nodes[0], user_id="ada")
    await value_becomes(partial(listed, nodes[1]), [made])
    assert (await nodes[1].http.delete(f"{PATH}/{made['id']}")).status_code == 204
    for node in nodes:
        await value_becomes(partial(listed, node), [])
        assert (await node.http.delete(f"{PATH}/{made['id']}")).status_code == 404
        client = await node.connect("/ws?user_id=ada")
        assert await client.ok("join", room="lobby")


# ---- tokens


@pytest.fixture(scope="module")
async def with_tokens(anyio_backend: str) -> AsyncGenerator[list[NodeProcess]]:
    async with Cluster(nodes=2, times=STEADY, AUTH="jwt", JWT_SECRET=SECRET) as running:
        yield running.nodes


def token_of(user: str, token_id: str) -> str:
    return sign_token(SECRET, subject=user, expires_at=time.time() + 600, token_id=token_id)


def with_token(token: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


async def test_a_revoked_token_ends_its_session_and_no_other_and_is_refused(with_tokens: list[NodeProcess]) -> None:
    one, other = with_tokens
    stolen, own = token_of("ada", "stolen"), token_of("ada", "own")
    thief, ada = [await other.connect("/ws", **with_token(token)) for token in (stolen, own)]
    await revoke(one, jti="stolen")
    assert await ended_with(thief) == (BAD_TOKEN, "bad token", False)
    for node in with_tokens:
        assert await refusal_at(node, "/ws", **with_token(stolen)) == ("bad_token", BAD_TOKEN)
    assert (await ada.call("refresh", token=stolen))["code"] == "bad_token"
    assert await ada.ok("join", room="lobby")


async def test_a_session_counts_with_the_token_that_it_has_now(with_tokens: list[NodeProcess]) -> None:
    one, other = with_tokens
    client = await other.connect("/ws", **with_token(token_of("bob", "first")))
    await client.ok("refresh", token=token_of("bob", "second"))
    made = await revoke(one, jti="first")
    await eventually(lambda: is_listed(other, made), what="both nodes know of the revocation")
    assert await client.ok("join", room="lobby")
    await revoke(one, jti="second")
    assert (await ended_with(client))[0] == BAD_TOKEN


async def is_listed(node: NodeProcess, revocation: dict[str, Any]) -> bool:
    return revocation in await listed(node)


async def test_every_token_of_a_revoked_user_is_refused(with_tokens: list[NodeProcess]) -> None:
    one, other = with_tokens
    client = await other.connect("/ws", **with_token(token_of("eve", "t1")))
    await revoke(one, user_id="eve")
    assert (await ended_with(client))[0] == BAD_TOKEN
    assert await refusal_at(other, "/ws", **with_token(token_of("eve", "t2"))) == ("bad_token", BAD_TOKEN)
