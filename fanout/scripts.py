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


def load_script(name: str, *, head: str | None = None) -> Script:
    """`lua/NAME.lua`, below `lua/HEAD.lua`: Lua in Redis has no modules, so shared functions are text in front."""
    names = (name,) if head is None else (head, name)
    source = b"\n".join((_FOLDER / f"{part}.lua").read_bytes() for part in names)
    return Script(source, sha1(source, usedforsecurity=False).hexdigest())


PUBLISH_ONCE = load_script("publish_once")
"""KEYS: memory of the key. ARGV: channel, envelope, seconds. Returns 1 (published) or 0 (was published before)."""

HEARTBEAT = load_script("heartbeat")
"""KEYS: nodes of a partition. ARGV: incarnation, milliseconds."""

LEASE_ACQUIRE = load_script("lease_acquire", head="lease_common")
"""KEYS: of the owner. ARGV: lease, info, max, policy. Returns a list that begins with held, full, wait or fenced."""

LEASE_RELEASE = load_script("lease_release", head="lease_common")
"""KEYS: of the owner. ARGV: lease, generation. Returns the lease that has got the place, or an empty string."""
