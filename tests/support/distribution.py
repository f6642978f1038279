"""How pytest-xdist shares the tests out: what shares a fixture stays together, and what takes long begins first.

A cluster or a browser that several tests share is built once, in the worker that runs all of them; any other test of a
real process goes wherever a worker is free. Pure tests go by file. Without workers the order is the same.
"""

from pathlib import Path
from typing import Any

import pytest

BEGIN_FIRST = (
    "tests/chaos",
    "tests/attack",
    "tests/browser",
    "tests/cluster/test_unreadable_data.py",
    "tests/cluster/test_limits.py",
    "tests/cluster/test_sentinel.py",
    "tests/cluster/test_autobahn.py",
    "tests/cluster/test_redis_cluster.py",
    "tests/cluster/test_redis_cluster_moves.py",
    "tests/integration/test_redis_access.py",
    "tests/integration/test_keepalive.py",
    "tests/cluster",
    "tests/integration",
    "tests/scripts",
)
"""Files and folders, those with the longest tests first; everything else comes after them."""
_PURE = ("tests/unit", "tests/property")


def _is_in(item: pytest.Item, place: str) -> bool:
    return item.nodeid.startswith((f"{place}::", f"{place}/"))


def _rank(item: pytest.Item) -> int:
    return next((n for n, place in enumerate(BEGIN_FIRST) if _is_in(item, place)), len(BEGIN_FIRST))


def _shared_fixture(item: Any) -> str | None:
    """The first fixture of the tests that this one shares with others, with its parameter."""
    parameters: dict[str, object] = item.callspec.params if hasattr(item, "callspec") else {}
    for name, definitions in sorted(item._fixtureinfo.name2fixturedefs.items()):
        fixture = definitions[-1]
        if fixture.scope != "function" and fixture.baseid.startswith("tests/"):
            where = item.nodeid.partition("::")[0] if fixture.scope == "module" else fixture.baseid
            return f"{where} {name} {parameters.get(name, '')}"
    return None


def _group(item: pytest.Item) -> str:
    if any(_is_in(item, place) for place in _PURE):
        return item.nodeid.partition("::")[0]
    return _shared_fixture(item) or item.nodeid


def share_out(root: Path, items: list[pytest.Item]) -> None:
    """Put the tests in the order in which they begin, and name the group of each for pytest-xdist."""
    missing = [place for place in BEGIN_FIRST if not (root / place).exists()]
    assert not missing, f"not there any more: {missing}"
    groups: dict[str, list[pytest.Item]] = {}
    for item in sorted(items, key=_rank):
        groups.setdefault(_group(item), []).append(item)
    items[:] = [item for group in groups.values() for item in group]
    for number, group in enumerate(groups.values()):
        for item in group:
            item.add_marker(pytest.mark.xdist_group(str(number)))


def check_groups(items: list[pytest.Item]) -> None:
    """pytest-xdist passes the group of a test on as the end of its id. Where it does not, groups are torn apart."""
    for item in items:
        (group,) = (mark.args[0] for mark in item.iter_markers("xdist_group"))
        assert item.nodeid.endswith(f"@{group}"), f"pytest-xdist has not grouped {item.nodeid}"
