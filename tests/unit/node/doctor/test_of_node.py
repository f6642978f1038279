"""What the doctor reads in the diagnostics of a node."""

from dataclasses import replace
from typing import Any, cast

import orjson
import pytest
from tannoy.node.doctor.of_node import examine_node, find_bunch
from tannoy.node.node import Node
from tannoy.shared.settings import load_settings

from tests.support.clock import on_manual_time


def _healthy() -> dict[str, Any]:
    """The diagnostics of a node that is ready, with Redis that answers."""
    statistics = Node(load_settings(node_max_sessions=10)).statistics()
    resources = replace(statistics.resources, memory_mb=50, memory_max_mb=1000, cpu_percent=5.0, files_percent=2.0)
    statistics = replace(statistics, ready=True, not_ready=None, sessions_possible=10, resources=resources)
    found = cast(dict[str, Any], orjson.loads(orjson.dumps(statistics.as_object())))
    found["link"]["live"] = True
    for service in found["services"].values():
        service["is_usable"] = True
    return found


@on_manual_time
async def test_nothing_is_wrong_with_a_healthy_node() -> None:
    assert examine_node(_healthy()) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"ready": False, "not_ready": "Redis takes no publishes"}, "not_ready"),
        ({"link": {"live": False}}, "deaf_link"),
        ({"membership": {"beats": 90, "missed": 10}}, "heartbeats_missed"),
        ({"services": {"redis": {"is_usable": False}}}, "service_down"),
        ({"resources": {"loop_lag_worst_ms": 251.0}}, "blocked_loop"),
        ({"resources": {"cpu_percent": 86.0}}, "busy"),
        ({"resources": {"memory_mb": 901.0}}, "memory"),
        ({"sessions_possible": 9}, "open_files"),
        ({"resources": {"files_percent": 90.0}}, "open_files"),
        ({"refused": {"token_expired": 2, "token_malformed": 1}}, "tokens_refused"),
        ({"refused": {"files": 1}}, "newcomers_refused"),
        ({"refused": {"origin": 3}}, "foreign_origin"),
        ({"loss_ages": [60.0, 60.1, 60.2, 60.1, 60.0, 3.0]}, "idle_timeout"),
        ({"tracker": {"resyncs": 1}}, "messages_missed"),
        ({"outbox": {"overflowed": 1}}, "slow_readers"),
        ({"unreadable": {"log": 2}}, "foreign_data"),
        ({"archive": {"waiting": 5, "lag": 61.0, "lost": 0}}, "archive_late"),
        ({"hooks": {"on_message": {"failed": 0, "late": 1, "lost": 0}}}, "hook_fails"),
        ({"log": {"lost_lines": 1}}, "log_lost"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@on_manual_time
async def test_each_fault_is_found_and_nothing_else(change: dict[str, Any], found: str) -> None:
    node = _healthy()
    for name, value in change.items():
        is_part = isinstance(value, dict) and isinstance(node[name], dict)
        if name == "services":
            node[name]["redis"] |= value["redis"]
        else:
            node[name] = {**node[name], **value} if is_part else value
    (finding,) = examine_node(node)
    assert finding.type == found
    assert finding.seen
    assert finding.do


@on_manual_time
async def test_a_node_that_leaves_is_no_finding() -> None:
    assert examine_node(_healthy() | {"ready": False, "draining": True, "not_ready": "the node is draining"}) == []


@pytest.mark.parametrize(
    ("ages", "bunch"),
    [
        ([], None),
        ([60.0] * 4, None),
        ([60.0] * 5, (60.0, 5)),
        ([100.0, 101.5, 102.0, 103.0, 104.9, 7.0, 30.0], (100.0, 5)),
        ([1.0, 20.0, 45.0, 90.0, 200.0, 300.0], None),
    ],
    ids=["none", "too few", "the same", "about the same", "spread"],
)
def test_connections_that_were_lost_at_one_age_are_a_bunch(ages: list[float], bunch: tuple[float, int] | None) -> None:
    assert find_bunch(ages) == bunch
