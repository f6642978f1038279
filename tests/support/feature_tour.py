"""All features of the product once, over two nodes: for tests of the Redis below them."""

from typing import Any

from tests.support.cluster import NodeProcess

EVICTED = 4500


async def use_all_features(nodes: list[NodeProcess]) -> None:
    """Rooms, presence, private messages, agents and their limits, over two nodes."""
    ada = await nodes[0].connect("/ws/chat/lobby?user_id=ada")
    bob = await nodes[1].connect("/ws/chat/lobby?user_id=bob")
    assert (await ada.expect("user_joined"))["user_id"] == "bob"
    assert (await ada.ok("presence"))["users_count"] == 2
    for _ in range(2):
        await ada.ok("message", content="once", key="k")
    await bob.ok("message", content="then")
    assert await ada.contents(2) == await bob.contents(2) == ["once", "then"]
    assert (await ada.ok("private", to="bob", content="psst"))["sessions"] == 1
    assert (await bob.expect("private"))["content"] == "psst"

    limit = {"max_sessions": 1, "policy": "evict_oldest"}
    answer = await nodes[0].http.put("/api/v1/agents/42/limit", json=limit)
    assert answer.status_code == 200, answer.text
    oldest = await nodes[0].connect("/ws/agents/42?session_id=oldest")
    newest = await nodes[1].connect("/ws/agents/42?session_id=newest")
    assert (await oldest.bye())[1] == EVICTED
    await newest.ok("message", content="mine")
    (session,) = (await nodes[0].http.get("/api/v1/agents/42")).json()["sessions"]
    assert session["session_id"] == "newest"
    assert (await nodes[0].http.delete("/api/v1/agents/42/sessions")).json() == {"sessions": 1}
    shown: list[dict[str, Any]] = (await nodes[0].http.get("/api/v1/nodes")).json()["nodes"]
    assert sorted(node["node"] for node in shown) == ["n1", "n2"]

    await nodes[1].kill()
    left = await ada.expect("user_left")
    assert (left["user_id"], left["users_count"]) == ("bob", 1)
    await ada.close()
