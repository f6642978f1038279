"""Limits and evictions, and what operators see of them, over every transport. `tests/cluster` has them under faults."""

from typing import Any

import pytest

from tests.integration.conftest import Connect
from tests.support.client import Client
from tests.support.cluster import NodeProcess
from tests.support.waiting import value_becomes

EVICTED, REPLACED, DISCONNECTED, FULL = 4500, 4506, 4504, 1013


async def _limit(node: NodeProcess, agent: str, max_sessions: int, policy: str = "reject") -> dict[str, Any]:
    body = {"max_sessions": max_sessions, "policy": policy}
    answer = await node.http.put(f"/api/v1/agents/{agent}/limit", json=body)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def _agent(node: NodeProcess, agent: str) -> dict[str, Any]:
    shown: dict[str, Any] = (await node.http.get(f"/api/v1/agents/{agent}")).json()
    return shown


async def _disconnects(node: NodeProcess, path: str, count: int) -> list[dict[str, Any]]:
    """Newest first, once there are as many."""

    async def recorded() -> int:
        return len((await node.http.get(path)).json()["disconnects"])

    await value_becomes(recorded, count)
    found: list[dict[str, Any]] = (await node.http.get(path)).json()["disconnects"]
    return found


async def test_the_setting_limits_agents_without_a_limit_of_their_own(nodes: list[NodeProcess], name: str) -> None:
    shown = await _agent(nodes[1], name)
    assert shown == {"agent_id": name, "max_sessions": 10, "policy": "reject", "sessions": [], "disconnects": []}


async def test_with_reject_a_session_over_the_limit_gets_retry_after(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    await _limit(nodes[0], name, 1)
    await connect(nodes[1], f"/ws/agents/{name}?session_id=first&user_id=ada")

    refused = await Client.open(f"{nodes[2].ws_url}/ws/agents/{name}?session_id=second&user_id=bob")
    bye, code = await refused.bye()

    assert (bye["type"], bye["code"], bye["reconnect"], code) == ("bye", FULL, True, FULL)
    assert 1 <= bye["retry_after"] <= 2
    assert [frame["type"] for frame in refused.inbox] == ["bye"]
    (session,) = (await _agent(nodes[0], name))["sessions"]
    assert (session["session_id"], session["user_id"], session["node"]) == ("first", "ada", "n2")
    assert session["connected_at"].endswith("Z")


async def test_with_evict_oldest_the_oldest_closes_before_the_new_session_is_welcomed(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    await _limit(nodes[0], name, 2, "evict_oldest")
    oldest = await connect(nodes[0], f"/ws/agents/{name}")
    second = await connect(nodes[1], f"/ws/agents/{name}")
    newcomer = await connect(nodes[2], f"/ws/agents/{name}")

    bye, code = await oldest.bye()
    assert (bye["code"], bye["reconnect"], code) == (EVICTED, False, EVICTED)
    assert [session["session_id"] for session in (await _agent(nodes[0], name))["sessions"]] == [
        second.session_id,
        newcomer.session_id,
    ]


async def test_a_second_connection_of_a_session_replaces_the_first(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    await _limit(nodes[0], name, 1)
    before = await connect(nodes[0], f"/ws/agents/{name}?session_id=tab")
    after = await connect(nodes[1], f"/ws/agents/{name}?session_id=tab")

    bye, code = await before.bye()
    assert (bye["code"], bye["reconnect"], code) == (REPLACED, False, REPLACED)
    await after.ok("message", content="still one")
    assert [session["node"] for session in (await _agent(nodes[2], name))["sessions"]] == ["n2"]


async def test_the_same_session_name_at_another_agent_is_another_session(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    first = await connect(nodes[0], f"/ws/agents/{name}?session_id=tab")
    await connect(nodes[1], f"/ws/agents/{name}.other?session_id=tab")
    answer = await nodes[2].http.delete(f"/api/v1/agents/{name}.other/sessions/elsewhere")
    assert answer.status_code == 404
    await first.ok("message", content="not replaced")


async def test_a_lower_limit_applies_at_once(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    clients = [await connect(nodes[number], f"/ws/agents/{name}") for number in range(3)]

    shown = await _limit(nodes[1], name, 1, "evict_oldest")

    assert (shown["max_sessions"], shown["policy"], shown["closed"]) == (1, "evict_oldest", 2)
    for client in clients[:2]:
        assert (await client.bye())[1] == EVICTED
    await clients[2].ok("message", content="the newest stays")


async def test_a_lease_is_free_as_soon_as_its_session_has_ended(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    await _limit(nodes[0], name, 1)
    await (await connect(nodes[0], f"/ws/agents/{name}")).close()

    async def taken() -> int:
        return len((await _agent(nodes[1], name))["sessions"])

    await value_becomes(taken, 0)
    await connect(nodes[1], f"/ws/agents/{name}")


async def test_an_operator_closes_one_session_all_of_an_agent_or_all_of_a_user(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    one, two = [await connect(nodes[n], f"/ws/agents/{name}?session_id=s{n}&user_id=u.{name}") for n in (0, 1)]
    in_room = await connect(nodes[2], f"/ws/chat/{name}?user_id=u.{name}")

    answer = await nodes[2].http.delete(f"/api/v1/agents/{name}/sessions/s0")
    assert (answer.status_code, answer.json()) == (200, {"sessions": 1})
    assert (await one.bye())[1] == DISCONNECTED
    assert (await nodes[0].http.delete(f"/api/v1/agents/{name}/sessions/s0")).status_code == 404
    assert (await nodes[0].http.delete(f"/api/v1/agents/{name}/sessions")).json() == {"sessions": 1}
    assert (await two.bye())[1] == DISCONNECTED
    assert (await nodes[0].http.delete(f"/api/v1/users/u.{name}/sessions")).json() == {"sessions": 1}
    bye, code = await in_room.bye()
    assert (bye["code"], bye["reconnect"], code) == (DISCONNECTED, False, DISCONNECTED)
    assert (await nodes[0].http.delete(f"/api/v1/users/u.{name}/sessions")).json() == {"sessions": 0}


async def test_the_reason_of_a_close_is_listed_for_agent_and_user(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    user = f"u.{name}"
    await _limit(nodes[0], name, 1)
    await connect(nodes[0], f"/ws/agents/{name}?session_id=a&user_id={user}")
    await (await Client.open(f"{nodes[1].ws_url}/ws/agents/{name}?session_id=b&user_id={user}")).bye()
    await _limit(nodes[0], name, 1, "evict_oldest")
    await connect(nodes[2], f"/ws/agents/{name}?session_id=c&user_id={user}")
    await nodes[0].http.delete(f"/api/v1/agents/{name}/sessions")

    by_agent = await _disconnects(nodes[1], f"/api/v1/agents/{name}", 3)
    operator, evicted, refused = by_agent
    assert (refused["session_id"], refused["code"], refused["rule"]) == ("b", FULL, "agent_max_sessions")
    assert (refused["count"], refused["node"]) == (1, "n2")
    assert (evicted["session_id"], evicted["code"], evicted["rule"]) == ("a", EVICTED, "agent_max_sessions")
    assert (evicted["displaced_by"], evicted["count"], evicted["node"]) == ("c", 1, "n1")
    assert (operator["session_id"], operator["code"], operator["rule"]) == ("c", DISCONNECTED, "operator")
    assert evicted["reason"] == "evicted: a newer session took the place"
    assert await _disconnects(nodes[0], f"/api/v1/users/{user}", 3) == by_agent


async def test_a_users_sessions_are_listed_from_every_node(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    user = f"u.{name}"
    await connect(nodes[0], f"/ws/chat/{name}?user_id={user}")
    await connect(nodes[1], f"/ws/agents/{name}?session_id=tab&user_id={user}")

    shown = (await nodes[2].http.get(f"/api/v1/users/{user}")).json()

    assert (shown["user_id"], shown["max_sessions"], shown["policy"]) == (user, 0, "reject")
    assert {(session["node"], session["user_id"]) for session in shown["sessions"]} == {("n1", user), ("n2", user)}


async def test_nodes_are_listed_with_their_load_and_sessions(nodes: list[NodeProcess]) -> None:
    shown = (await nodes[0].http.get("/api/v1/nodes")).json()["nodes"]
    assert [node["node"] for node in shown] == ["n1", "n2", "n3"]
    for node in shown:
        assert node["draining"] is False
        assert node["sessions"] >= 0
        assert node["load"] >= 0
        assert node["version"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"max_sessions": 0, "policy": "reject"}, "max_sessions has to be an integer from 1 to 100000"),
        ({"max_sessions": -1, "policy": "reject"}, "max_sessions"),
        ({"max_sessions": "5", "policy": "reject"}, "max_sessions"),
        ({"max_sessions": True, "policy": "reject"}, "max_sessions"),
        ({"max_sessions": 5, "policy": "newest"}, "policy has to be one of: reject, evict_oldest"),
        ({"max_sessions": 5}, "'policy' is missing"),
        ({"max_sessions": 5, "policy": "reject", "limit": 3}, "no field 'limit' here"),
    ],
    ids=str,
)
async def test_a_bad_limit_is_refused_with_what_is_allowed(
    nodes: list[NodeProcess], name: str, body: dict[str, object], named: str
) -> None:
    answer = await nodes[0].http.put(f"/api/v1/agents/{name}/limit", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert named in answer.json()["detail"]
    assert (await _agent(nodes[0], name))["max_sessions"] == 10
