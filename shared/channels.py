"""Channels, on which messages are published, and owners, whose sessions are limited; and the partition of each."""

from binascii import crc32
from dataclasses import dataclass
from enum import StrEnum

PARTITIONS = 64
"""Number of partitions of the keyspace. `partitions.py` gives each a hash tag, so that a script touches one slot."""


class ChannelKind(StrEnum):
    ROOM = "room"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Channel:
    """The channel of a room or an agent. `address` is the name of its Redis channel, and identifies it."""

    kind: ChannelKind
    name: str
    address: bytes

    @property
    def partition(self) -> int:
        return partition(self.kind, self.name)


def partition(kind: str, name: str) -> int:
    """The partition of a room, an agent, a user or a node. An agent's channel and its leases share one."""
    return crc32(f"{kind}:{name}".encode()) % PARTITIONS


class OwnerKind(StrEnum):
    AGENT = "agent"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Owner:
    """An agent or a user, whose sessions are counted against a limit."""

    kind: OwnerKind
    name: str

    @property
    def member(self) -> str:
        """The owner as a member of a set of owners, and as it stands in the names of keys."""
        return f"{self.kind}:{self.name}"

    @property
    def partition(self) -> int:
        return partition(self.kind, self.name)
