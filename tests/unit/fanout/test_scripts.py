"""Every script is a file with a header that says what it takes, what it returns and what it costs."""

import re
from pathlib import Path

import pytest
import tannoy.fanout.scripts

LUA = sorted((Path(tannoy.fanout.scripts.__file__).parent / "lua").glob("*.lua"))


@pytest.mark.parametrize("path", [path for path in LUA if "_common" not in path.stem], ids=lambda path: path.stem)
def test_every_script_states_its_keys_arguments_result_and_complexity(path: Path) -> None:
    header = "".join(line for line in path.read_text().splitlines() if line.startswith("--"))
    assert all(word in header for word in ("KEYS", "ARGV", "Returns", "O("))


def _commands(pattern: str) -> set[str]:
    """What the scripts of these files call."""
    files = [path for path in LUA if re.fullmatch(pattern, path.stem)]
    return {command for path in files for command in re.findall(r"'([A-Z]{3,})'[,)]", path.read_text())}


def test_the_probe_calls_every_command_of_the_scripts_of_leases_and_presence() -> None:
    needed = _commands("(lease|presence)_.*") - {"WITHSCORES", "WITHVALUES", "LIMIT"}
    assert {"ZADD", "HINCRBY", "SREM"} <= needed
    assert needed - {"PUBLISH"} - _commands("coordination_probe") == set(), "PUBLISH has a probe of its own"
