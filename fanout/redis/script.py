"""Lua scripts of `fanout/lua`. Each is called by its SHA1 digest (EVALSHA) and loaded on every new connection.

A script that Redis has lost (SCRIPT FLUSH) is answered with NOSCRIPT; the pipeline then loads it and calls it again.
A server that refuses the flags of scripts gets all of them without.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1
from pathlib import Path

from .connection import RedisConnection, Word
from .errors import RedisError

_FOLDER = Path(__file__).parent.parent / "lua"


@dataclass(frozen=True, eq=False)  # no two are alike, and each call looks its script up
class Script:
    """A script's source text and its digest: 40 hexadecimal digits, by which EVALSHA names it."""

    source: bytes
    digest: str
    name: str
    """Of its file, for statistics."""
    order: str = ""
    """Calls of scripts with the same word here are kept in order, whatever their keys are. Empty: by their keys."""

    @cached_property
    def sharded(self) -> "Script":
        """The same script for a Redis Cluster: it publishes with SPUBLISH, which only the slot's master delivers.

        The source has to spell the call as `redis.call('PUBLISH'`, with single quotes: that text is replaced.
        """
        source = self.source.replace(b"redis.call('PUBLISH'", b"redis.call('SPUBLISH'")
        source = source.replace(b"'NUMSUB'", b"'SHARDNUMSUB'")
        return self if source == self.source else _script(source, self.name, self.order)

    @cached_property
    def plain(self) -> "Script":
        """The same script without its flags, for servers that do not know them; the script itself if it has none."""
        if not self.source.startswith(b"#!"):
            return self
        return _script(self.source.partition(b"\n")[2], self.name, self.order)

    def call(self, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> tuple[Word, ...]:
        """The words of its EVALSHA command."""
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)


def load_script(name: str, *, head: str = "", rest: str = "", allow_oom: bool = False, order: str = "") -> Script:
    """`lua/NAME.lua` between each `lua/HEAD.lua` and each `lua/REST.lua`: Lua in Redis has no modules to import.

    `head` and `rest` are names, separated by spaces. `rest` is for what only a rare case needs: a call that returns
    before it does not define its functions. `allow_oom` lets the script run while Redis is out of memory: for scripts
    that free memory, or renew what is stored already. `order`: see `Script`.
    """
    source = b"\n".join((_FOLDER / f"{part}.lua").read_bytes() for part in (*head.split(), name, *rest.split()))
    if allow_oom:
        source = b"#!lua flags=allow-oom\n" + source
    return _script(source, name, order)


def _script(source: bytes, name: str, order: str) -> Script:
    return Script(source, sha1(source, usedforsecurity=False).hexdigest(), name, order)


async def load_scripts(connection: RedisConnection, scripts: Sequence[Script]) -> None:
    """Load them, all in one go. `connection.takes_script_flags` says afterwards whether they have kept their flags.

    Raises RedisError and ConnectionLost.
    """
    loading = (connection.send("SCRIPT", "LOAD", script.source) for script in scripts)
    replies = await asyncio.gather(*loading, return_exceptions=True)
    flagged: list[Script] = []
    for script, reply in zip(scripts, replies, strict=True):
        if isinstance(reply, RedisError) and script.plain is not script:
            flagged.append(script)
        elif isinstance(reply, BaseException):
            raise reply
    if flagged:
        await asyncio.gather(*(connection.send("SCRIPT", "LOAD", script.plain.source) for script in flagged))
        connection.takes_script_flags = False
