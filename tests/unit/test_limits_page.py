"""docs/limits.md says what the code does: each bound is that of the source, and no bound is left out."""

import ast
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import cast

import pytest
from tannoy.node.node import Node
from tannoy.shared.rates import Rate
from tannoy.shared.settings import Settings, load_settings

from tests.support.clock import on_manual_time
from tests.support.growing import find_growing

PROJECT = Path(__file__).parent.parent.parent
LAYERS = ("embedding", "fanout", "node", "sdk", "shared")
UNITS = {"KiB": 1024, "MiB": 1024 * 1024}
BOUNDS, _, GROWING = (PROJECT / "docs/limits.md").read_text().partition("## What grows")


def _rows(section: str) -> list[tuple[str, ...]]:
    lines = (line for line in section.splitlines() if re.search(r"^\|.*`", line))
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


ROWS, COLLECTIONS = _rows(BOUNDS), _rows(GROWING)
_is_bound = re.compile(r"_?(\w+_)?MAX(_\w+)?").fullmatch


def _value(place: str) -> object:
    """The value of `folder/module.py:NAME`, or the default of a setting; of a rate its count."""
    if ".py:" not in place:
        value = Settings.model_fields[place.lower()].default
    else:
        path, name = place.split(":")
        value = getattr(import_module(f"tannoy.{path.removesuffix('.py').replace('/', '.')}"), name)
    return value.count if isinstance(value, Rate) else value


def _number(text: str) -> float:
    """16,384 and 16 KiB; 2^64 - 1; of "0: none" the number."""
    if power := re.match(r"2\^(\d+)( - 1)?$", text):
        return (1 << int(power[1])) - bool(power[2])
    found = re.match(r"([\d,]+)(?: (\w+))?", text)
    assert found is not None, text
    return int(found[1].replace(",", "")) * UNITS.get(found[2], 1)


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for layer in LAYERS:
        for path in (PROJECT / layer).rglob("*.py"):
            yield str(path.relative_to(PROJECT)), ast.parse(path.read_text())


def _bounds_of_source() -> set[str]:
    return {
        f"{path}:{name.id}"
        for path, module in _modules()
        for statement in module.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for name in ast.walk(statement)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store) and _is_bound(name.id)
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_a_bound_is_that_of_the_source(row: tuple[str, ...]) -> None:
    _, place, bound, *_ = row

    assert _value(place.strip("`")) == _number(bound)


def test_every_bound_of_the_source_is_listed() -> None:
    assert _bounds_of_source() - {row[1].strip("`") for row in ROWS} == set()


@on_manual_time
async def test_every_counter_is_in_the_diagnostics() -> None:
    diagnostics = Node(load_settings()).statistics().as_object()

    for row in ROWS:
        for counter in re.findall(r"`([\w.]+)`", row[4]):
            part, _, name = counter.partition(".")
            found = diagnostics[part]
            if name:
                assert name in cast(Mapping[str, object], found) if isinstance(found, Mapping) else hasattr(found, name)


def test_every_row_says_what_happens() -> None:
    assert [row for row in ROWS if len(row) != 5 or not all(row)] == []


def test_every_collection_that_grows_is_listed() -> None:
    grows = {f"{path}:{name}" for path, module in _modules() for name in find_growing(module)}
    assert grows == {row[0].strip("`") for row in COLLECTIONS}


def test_what_bounds_a_collection_is_a_bound_or_said_in_words() -> None:
    known = {row[1].strip("`") for row in ROWS}
    named = {word for row in COLLECTIONS for word in re.findall(r"`([^`]+)`", row[1])}
    assert {word for word in named if ".py:" in word or word.isupper()} - known == {
        "fanout/history/comparison.py:HEADS_AT_ONCE"  # how much one turn does, which is no bound that can be full
    }
