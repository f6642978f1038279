"""SECURITY.md names tests that exist, and what it says of the lock is so."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent
PAGE = (PROJECT / "SECURITY.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def test_the_page_names_tests() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda word: str(word).rpartition("/")[2])
def test_each_test_that_the_page_names_exists(file: str, name: str) -> None:
    assert re.search(rf"^(?:async )?def {name}\(", (PROJECT / file).read_text(), re.MULTILINE)


def test_each_threat_names_a_test_or_is_planned() -> None:
    _, _, section = PAGE.partition("## What is promised")
    rows = [line for line in section.partition("\nNot promised")[0].splitlines() if line.startswith("| ")]
    assert [row for row in rows[1:] if "tests/" not in row and "*Planned*" not in row] == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-run.lock"])
def test_each_dependency_of_the_lock_is_pinned_by_a_hash(lock: str) -> None:
    entries = re.split(r"\n(?=\w)", (PROJECT / lock).read_text())
    pinned = [entry for entry in entries if re.match(r"[\w.-]+(?:\[\w,]+\])?==", entry)]
    assert len(pinned) > 10
    assert [entry.split()[0] for entry in pinned if "--hash=sha256:" not in entry] == []
