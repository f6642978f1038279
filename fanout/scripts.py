"""Loads `lua/*.lua`. A script is called by its digest; one that Redis has lost is loaded again by who calls it."""

from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path

from .wire import Word

_FOLDER = Path(__file__).parent / "lua"


@dataclass(frozen=True, slots=True)
class Script:
    source: bytes
    digest: str

    def call(self, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> tuple[Word, ...]:
        """The words of its EVALSHA."""
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)


def load_script(name: str) -> Script:
    source = (_FOLDER / f"{name}.lua").read_bytes()
    return Script(source, sha1(source, usedforsecurity=False).hexdigest())


PUBLISH_ONCE = load_script("publish_once")
"""KEYS: memory of the key. ARGV: channel, envelope, seconds. Returns 1 (published) or 0 (was published before)."""
