"""What the doctor reads in the list of nodes, in clocks, and in what Redis tells."""

from typing import Any

import pytest
from tannoy.fanout.examination import ServerFacts
from tannoy.node.doctor.of_cluster import examine_clock, examine_nodes, examine_server


def _node(name: str, **others: Any) -> dict[str, Any]:
    return {"node": name, "ready": True, "draining": False, "version": "0.1.0", **others}


@pytest.mark.parametrize(
    ("nodes", "found"),
    [
        ([_node("n1"), _node("n2")], []),
        ([_node("n1"), _node("n1")], ["same_name"]),
        ([_node("n1"), _node("n1", draining=True, ready=False)], []),
        ([_node("n1"), _node("n2", version="0.2.0")], ["versions"]),
        ([_node("n1"), _node("n2", ready=False)], ["not_ready"]),
    ],
    ids=["healthy", "one name", "one that is replaced", "an upgrade", "one that is not ready"],
)
def test_the_list_of_nodes(nodes: list[dict[str, Any]], found: list[str]) -> None:
    assert [finding.type for finding in examine_nodes(nodes)] == found


@pytest.mark.parametrize(
    ("offset", "uncertainty", "count"), [(0.9, 0.0, 0), (-1.1, 0.0, 1), (1.5, 1.0, 0), (2.5, 1.0, 1)]
)
def test_a_clock_is_wrong_by_more_than_can_be_seen(offset: float, uncertainty: float, count: int) -> None:
    assert len(list(examine_clock("node n1", offset, uncertainty))) == count


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (ServerFacts("redis:6379", 0.001, 0.0, ()), []),
        (ServerFacts("redis:6379", 0.06, 0.0, ()), ["far_redis"]),
        (ServerFacts("redis:6379", 0.001, -5.0, ()), ["clock_skew"]),
        (ServerFacts("redis:6379", 0.001, 0.0, ("aaaa",)), ["ghost_sessions"]),
    ],
    ids=["healthy", "far", "another time", "somebody has died"],
)
def test_a_server(facts: ServerFacts, found: list[str]) -> None:
    assert [finding.type for finding in examine_server(facts)] == found
