"""Which server or service this is, from its host name and from what it tells about itself.

It serves sentences for the operator alone: what a node does rests on what the server answers to each command.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OLDEST_VERSION = (7, 0)
"""Of Redis. Valkey has begun at 7.2."""
NO_EVICTION = "noeviction"

_HOSTS = (
    (re.compile(r"\.(redis-cloud\.com|redislabs\.com)$"), "Redis Cloud"),
    (re.compile(r"\.redis\.azure\.net$"), "Azure Managed Redis"),
    (re.compile(r"\.redisenterprise\.cache\.azure\.net$"), "Azure Cache for Redis Enterprise"),
    (re.compile(r"\.redis\.cache\.windows\.net$"), "Azure Cache for Redis"),
    (re.compile(r"\.upstash\.io$"), "Upstash"),
    (re.compile(r"\.memorydb\.[a-z0-9-]+\.amazonaws\.com$"), "Amazon MemoryDB"),
    (re.compile(r"\.serverless\..*\.cache\.amazonaws\.com$"), "Amazon ElastiCache Serverless"),
    (re.compile(r"\.cache\.amazonaws\.com$"), "Amazon ElastiCache"),
)
_INFO_FIELDS = {
    "rlec_version": "Redis Software",
    "upstash_version": "Upstash",
    "dragonfly_version": "Dragonfly",
    "garnet_version": "Garnet",
}


@dataclass(frozen=True, slots=True)
class ServerDescription:
    service: str | None = None
    """The managed service or other implementation, where it is recognised."""
    version: str = ""
    """As the server tells it in its reply to HELLO; empty if it does not."""
    eviction_policy: str | None = None
    """`maxmemory_policy`; None if the server does not tell it."""

    @property
    def is_too_old(self) -> bool:
        """It is Redis itself, of a version that a node can't work with. A service's version says nothing."""
        found = re.match(r"(\d+)\.(\d+)", self.version)
        return self.service is None and found is not None and (int(found[1]), int(found[2])) < OLDEST_VERSION


def describe_server(host: str, greeting: Mapping[bytes, Any], info: Sequence[Any] = ()) -> ServerDescription:
    """`greeting` is the reply to HELLO, `info` are replies to INFO; what is no text in them is ignored."""
    fields: dict[str, str] = {}
    for reply in info:
        if isinstance(reply, bytes):
            fields |= _read_fields(reply.decode(errors="replace"))
    service = next((name for pattern, name in _HOSTS if pattern.search(host.lower())), None)
    if service is None:
        service = next((name for field, name in _INFO_FIELDS.items() if field in fields), None)
    version = greeting.get(b"version")
    return ServerDescription(
        service,
        version.decode(errors="replace") if isinstance(version, bytes) else "",
        fields.get("maxmemory_policy"),
    )


def _read_fields(info: str) -> dict[str, str]:
    lines = (line.partition(":") for line in info.splitlines())
    return {name: value.strip() for name, colon, value in lines if colon}
