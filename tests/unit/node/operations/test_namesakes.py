"""A node that finds another one of its name."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from tannoy.node.operations.namesakes import warn_of_namesake
from tannoy.shared.errors import Unavailable
from tannoy.shared.nodes import NodeInfo

OWN = NodeInfo("node-1", "aaaa", 0, 0, 0.0, "0.1.0", draining=False, ready=True, started_at="2026-01-01T00:00:00.000Z")
OTHER = replace(OWN, incarnation="bbbb")


@pytest.mark.parametrize(
    ("others", "warns"),
    [
        pytest.param([], False, id="alone"),
        pytest.param([OTHER], True, id="a node that stays"),
        pytest.param([replace(OTHER, draining=True)], False, id="the one that it replaces"),
        pytest.param([replace(OTHER, node="node-2")], False, id="another name"),
    ],
)
async def test_a_namesake_that_stays_is_an_error(others: list[NodeInfo], warns: bool) -> None:
    async def list_nodes() -> list[NodeInfo]:
        return [OWN, *others]

    with capture_logs() as lines:
        await warn_of_namesake(OWN, list_nodes)
    assert [line["log_level"] for line in lines] == ["error" if warns else "debug"]


async def test_without_redis_nothing_is_said() -> None:
    async def list_nodes() -> list[NodeInfo]:
        raise Unavailable("Redis is away")

    with capture_logs() as lines:
        await warn_of_namesake(OWN, list_nodes)
    assert lines == []
