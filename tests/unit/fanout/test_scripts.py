"""Scripts are files with a header; they are called by the digest of their source."""

from hashlib import sha1
from pathlib import Path

import pytest
import tannoy.fanout.scripts
from tannoy.fanout.scripts import PUBLISH_ONCE, load_script

LUA = sorted((Path(tannoy.fanout.scripts.__file__).parent / "lua").glob("*.lua"))


def test_the_digest_is_that_of_the_file() -> None:
    source = next(path for path in LUA if path.stem == "publish_once").read_bytes()
    assert PUBLISH_ONCE.source == source
    assert PUBLISH_ONCE.digest == sha1(source).hexdigest()


def test_a_call_counts_its_keys() -> None:
    assert PUBLISH_ONCE.call((b"k1", b"k2"), (b"a", 1)) == ("EVALSHA", PUBLISH_ONCE.digest, 2, b"k1", b"k2", b"a", 1)


@pytest.mark.parametrize("path", [path for path in LUA if "_common" not in path.stem], ids=lambda path: path.stem)
def test_every_script_says_what_it_takes_and_returns(path: Path) -> None:
    header = "".join(line for line in path.read_text().splitlines() if line.startswith("--"))
    assert all(word in header for word in ("KEYS", "ARGV", "Returns", "O("))


def test_a_script_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        load_script("nowhere")
