"""Lua scripts of `fanout/lua`. Each is called by its SHA1 digest (EVALSHA) and loaded on every new connection.

A script that Redis has lost (SCRIPT FLUSH) is answered with NOSCRIPT; the pipeline then loads it and calls it again.
"""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1
from pathlib import Path

from .connection import Word

_FOLDER = Path(__file__).parent.parent / "lua"


@dataclass(frozen=True)
class Script:
    """A script's source text and its digest: 40 hexadecimal digits, by which EVALSHA names it."""

    source: bytes
    digest: str

    @cached_property
    def sharded(self) -> "Script":
        """The same script for a Redis Cluster: it publishes with SPUBLISH, which only the slot's master delivers.

        The source has to spell the call as `redis.call('PUBLISH'`, with single quotes: that text is replaced.
        """
        source = self.source.replace(b"redis.call('PUBLISH'", b"redis.call('SPUBLISH'")
        return self if source == self.source else _script(source)

    def call(self, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> tuple[Word, ...]:
        """The words of its EVALSHA command."""
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)


def load_script(name: str, *, head: str = "", allow_oom: bool = False) -> Script:
    """`lua/NAME.lua`, with each `lua/HEAD.lua` in front of it: Lua in Redis has no modules to import.

    `head` is one or more names, separated by spaces. `allow_oom` lets the script run while Redis is out of memory: for
    scripts that free memory, or renew what is stored already.
    """
    source = b"\n".join((_FOLDER / f"{part}.lua").read_bytes() for part in (*head.split(), name))
    if allow_oom:
        source = b"#!lua flags=allow-oom\n" + source
    return _script(source)


def _script(source: bytes) -> Script:
    return Script(source, sha1(source, usedforsecurity=False).hexdigest())
