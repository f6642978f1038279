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


def load_script(name: str, *, head: str | None = None, allow_oom: bool = False) -> Script:
    """`lua/NAME.lua`, below `lua/HEAD.lua`: Lua in Redis has no modules, so shared functions are text in front.

    `allow_oom`: it has to run when Redis is out of memory too, since it frees some, or keeps alive what is there.
    """
    names = (name,) if head is None else (head, name)
    source = b"\n".join((_FOLDER / f"{part}.lua").read_bytes() for part in names)
    if allow_oom:
        source = b"#!lua flags=allow-oom\n" + source
    return Script(source, sha1(source, usedforsecurity=False).hexdigest())


PUBLISH_ONCE = load_script("publish_once")
"""KEYS: memory of the key. ARGV: channel, envelope, seconds. Returns 1 (published) or 0 (was published before)."""

HEARTBEAT = load_script("heartbeat", allow_oom=True)
"""KEYS: nodes, server. ARGV: incarnation, milliseconds. Returns [before, alive, id]."""

SERVER_ENSURE = load_script("server_ensure", allow_oom=True)
"""KEYS: server. ARGV: milliseconds. Returns the server's id."""

NODES_LIST = load_script("nodes_list", allow_oom=True)
"""KEYS: nodes, node-info. Returns the JSON of each living node."""

REMEMBER_GONE = load_script("remember_gone")
"""KEYS: gone. ARGV: entry, how many are kept, seconds."""

LEASE_ACQUIRE = load_script("lease_acquire", head="lease_common")
"""KEYS: of the owner. ARGV: lease, info, max, policy, owner. Returns a list: held, full, wait, recovering or fenced."""

LEASE_RELEASE = load_script("lease_release", head="lease_common", allow_oom=True)
"""KEYS: of the owner. ARGV: lease, generation. Returns the lease that has got the place, or an empty string."""

LEASE_REPAIR = load_script("lease_repair", head="lease_common", allow_oom=True)
"""KEYS: of the owner. ARGV: incarnation, owner, max, policy, adding, then lease, generation, info of each.

Returns [missing, granted, surplus].
"""

LEASE_LIMIT = load_script("lease_limit", head="lease_common")
"""KEYS: of the owner. ARGV: max, policy. Returns the leases that have to be closed."""

LEASE_LIST = load_script("lease_list", head="lease_common")
"""KEYS: of the owner. ARGV: max, policy. Returns [max, policy, infos]."""
