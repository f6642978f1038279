"""Every script is a file with a header that says what it takes, what it returns and what it costs."""

from pathlib import Path

import pytest
import tannoy.fanout.scripts

LUA = sorted((Path(tannoy.fanout.scripts.__file__).parent / "lua").glob("*.lua"))


@pytest.mark.parametrize("path", [path for path in LUA if "_common" not in path.stem], ids=lambda path: path.stem)
def test_every_script_states_its_keys_arguments_result_and_complexity(path: Path) -> None:
    header = "".join(line for line in path.read_text().splitlines() if line.startswith("--"))
    assert all(word in header for word in ("KEYS", "ARGV", "Returns", "O("))
