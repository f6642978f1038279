"""Channels, whose messages go to many sessions, and owners, whose sessions are counted; and the partition of each."""

from binascii import crc32
from dataclasses import dataclass
from enum import StrEnum

PARTITIONS = 64
"""Parts into which all keys are divided; `keyspace.py` gives each a hash tag, so that a script touches one slot."""


class ChannelKind(StrEnum):
    ROOM = "room"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Channel:
    """What a room or an agent is on the bus. `address` is the name of its Redis channel, and identifies it."""

    kind: ChannelKind
    name: str
    address: bytes

    @property
    def partition(self) -> int:
        return partition(self.kind, self.name)


def partition(kind: str, name: str) -> int:
    """Rooms, agents and users lie in it; an agent's channel and its places in the same one."""
    return crc32(f"{kind}:{name}".encode()) % PARTITIONS


class OwnerKind(StrEnum):
    AGENT = "agent"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose sessions are counted against a limit."""

    kind: OwnerKind
    name: str

    @property
    def partition(self) -> int:
        return partition(self.kind, self.name)
