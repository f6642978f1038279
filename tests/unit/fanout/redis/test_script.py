"""A script is called by the digest of its source; its twin for a Redis Cluster publishes to the shard."""

from hashlib import sha1
from pathlib import Path

import pytest
import tannoy.fanout.redis.script
from tannoy.fanout.redis.script import load_script

LUA = Path(tannoy.fanout.redis.script.__file__).parent.parent / "lua"


def test_the_digest_is_the_sha1_of_the_file() -> None:
    script = load_script("publish_once")
    assert script.source == (LUA / "publish_once.lua").read_bytes()
    assert script.digest == sha1(script.source).hexdigest()


def test_a_head_is_put_in_front_of_the_script_and_counts_in_the_digest() -> None:
    script = load_script("publish", head="server_common history_common")
    parts = [(LUA / f"{name}.lua").read_bytes() for name in ("server_common", "history_common", "publish")]
    assert script.source == b"\n".join(parts)
    assert script.digest == sha1(script.source).hexdigest()


def test_a_script_that_runs_out_of_memory_too_declares_it_in_its_first_line() -> None:
    assert load_script("heartbeat", allow_oom=True).source.startswith(b"#!lua flags=allow-oom\n")


def test_the_plain_twin_is_the_script_without_its_flags() -> None:
    script = load_script("heartbeat", allow_oom=True)
    assert script.plain.source == load_script("heartbeat").source
    assert script.plain.plain is script.plain


def test_a_call_counts_its_keys() -> None:
    script = load_script("publish_once")
    assert script.call((b"k1", b"k2"), (b"a", 1)) == ("EVALSHA", script.digest, 2, b"k1", b"k2", b"a", 1)


def test_the_sharded_twin_publishes_with_spublish() -> None:
    sharded = load_script("publish_once").sharded
    assert b"redis.call('SPUBLISH'" in sharded.source
    assert b"redis.call('PUBLISH'" not in sharded.source


def test_a_script_that_does_not_publish_is_its_own_sharded_twin() -> None:
    script = load_script("heartbeat", allow_oom=True)
    assert script.sharded is script


@pytest.mark.parametrize("path", sorted(LUA.glob("*.lua")), ids=lambda path: path.stem)
def test_every_publish_of_a_script_is_spelled_so_that_its_twin_can_replace_it(path: Path) -> None:
    source = path.read_text()
    assert source.count("'PUBLISH'") == source.count("redis.call('PUBLISH'")
    assert '"PUBLISH"' not in source


def test_a_script_without_a_file_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        load_script("nowhere")
