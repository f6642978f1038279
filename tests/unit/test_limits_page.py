"""docs/limits.md says what the code does: each bound is that of the source, and no bound is left out."""

import ast
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import cast

import pytest
from tannoy.node.node import Node
from tannoy.shared.rates import Rate
from tannoy.shared.settings import Settings, load_settings

from tests.support.clock import on_manual_time

PROJECT = Path(__file__).parent.parent.parent
LAYERS = ("fanout", "node", "sdk", "shared")
UNITS = {"KiB": 1024, "MiB": 1024 * 1024}
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in (PROJECT / "docs/limits.md").read_text().splitlines()
    if re.search(r"^\|.*`", line)
]
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


def _bounds_of_source() -> set[str]:
    return {
        f"{path.relative_to(PROJECT)}:{name.id}"
        for layer in LAYERS
        for path in (PROJECT / layer).rglob("*.py")
        for statement in ast.parse(path.read_text()).body
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
