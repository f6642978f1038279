"""Every Redis key and channel name is built here and nowhere else.

    {prefix}:{tag}:room:lobby       what is said in a room
    {prefix}:{tag}:agent:42         what is said to an agent
    {prefix}:{tag}:once:room:lobby:DIGEST  an idempotency key that was seen
    {prefix}:control                orders to every node
    {prefix}:node:INCARNATION       answers to one node
    {prefix}:echo:INCARNATION       on which its link hears itself

`{tag}` is a Redis Cluster hash tag: everything that belongs to one room or agent lies in one of 64 partitions, so a
script touches one slot. Tags are chosen so that the partitions lie evenly over the 16,384 slots: plain numbers do not.
"""

from binascii import crc32, crc_hqx
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from itertools import count

from .names import AgentId, RoomName

PARTITIONS = 64
_SLOTS = 16_384


def key_slot(tag: str) -> int:
    """The Redis Cluster slot of a hash tag: CRC16 (XMODEM) modulo 16,384, as the cluster specification has it."""
    return crc_hqx(tag.encode(), 0) % _SLOTS


def _balanced_tags() -> tuple[str, ...]:
    """For each 64th part of the slot range the first number whose slot lies in it."""
    width = _SLOTS // PARTITIONS
    found: dict[int, str] = {}
    for number in count():
        found.setdefault(key_slot(str(number)) // width, str(number))
        if len(found) == PARTITIONS:
            return tuple(found[part] for part in range(PARTITIONS))
    raise AssertionError("unreachable: every part of the slot range is hit sooner or later")


PARTITION_TAGS = _balanced_tags()


class ChannelKind(StrEnum):
    ROOM = "room"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Channel:
    """What a room or an agent is on the bus. `address` is the name of its Redis channel, and identifies it."""

    kind: ChannelKind
    name: str
    address: bytes


def partition(kind: ChannelKind, name: str) -> int:
    return crc32(f"{kind}:{name}".encode()) % PARTITIONS


class Channels:
    """Builds names under one prefix (`TANNOY_REDIS_PREFIX`)."""

    __slots__ = ("_prefix", "control")

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.control = f"{prefix}:control".encode()

    def room(self, room: RoomName) -> Channel:
        return self._channel(ChannelKind.ROOM, room)

    def agent(self, agent_id: AgentId) -> Channel:
        return self._channel(ChannelKind.AGENT, agent_id)

    def node(self, incarnation: str) -> bytes:
        """The channel that one process alone listens to."""
        return f"{self._prefix}:node:{incarnation}".encode()

    def echo(self, incarnation: str) -> bytes:
        """The channel on which one process's link hears itself."""
        return f"{self._prefix}:echo:{incarnation}".encode()

    def once(self, channel: Channel, author: str, key: str) -> bytes:
        """The Redis key that remembers an author's idempotency key; it shares the channel's hash tag.

        Keys are each author's own: nobody's message is swallowed because somebody else counts from 1 too.

        The key is the client's text, of any alphabet: only its digest gets into Redis.
        """
        return (
            channel.address.replace(b"}:", b"}:once:", 1)
            + b":"
            + blake2b(f"{author}\n{key}".encode(), digest_size=16).hexdigest().encode()
        )

    def _channel(self, kind: ChannelKind, name: str) -> Channel:
        tag = PARTITION_TAGS[partition(kind, name)]
        return Channel(kind, name, f"{self._prefix}:{{{tag}}}:{kind}:{name}".encode())
