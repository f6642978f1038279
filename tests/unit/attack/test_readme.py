"""The table of faults in tests/attack/README.md names what exists: files of the source, tests, and cases."""

import re
from collections import Counter
from pathlib import Path

from tests.attack.cases import CASES

PROJECT = Path(__file__).parent.parent.parent.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (PROJECT / "tests/attack/README.md").read_text().splitlines()
    if re.match(r"\| F\d+ ", line)
]


def test_each_fault_has_a_row() -> None:
    assert [row[0] for row in ROWS] == [f"F{number}" for number in range(1, 31)]


def test_each_fault_with_cases_has_three_of_its_kind() -> None:
    counted = Counter(case.fault for case in CASES)
    assert {row[0] for row in ROWS if row[3].startswith("cases")} == counted.keys()
    assert {fault for fault, count in counted.items() if count < 3} == set()


def test_what_the_table_names_exists() -> None:
    named = {path for row in ROWS for cell in row[2:] for path in re.findall(r"`([\w/]+/[\w.]*)`", cell)}
    assert len(named) > 40
    assert {path for path in named if not (PROJECT / path).exists()} == set()
