"""Every Redis key and channel name is built here and nowhere else.

    {prefix}:{tag}:room:lobby       what is said in a room
    {prefix}:{tag}:agent:42         what is said to an agent
    {prefix}:{tag}:head:room:lobby  the channel's epoch and last offset, and
    {prefix}:{tag}:log:room:lobby   its last messages: `HistoryKeys`
    {prefix}:{tag}:once:room:lobby:DIGEST  an idempotency key that was seen
    {prefix}:{tag}:held:agent:42    who holds the agent's places, and what else belongs to them: `LeaseKeys`
    {prefix}:{tag}:users:room:lobby who is in a room, and what else belongs to it: `PresenceKeys`
    {prefix}:{tag}:gone:agent:42    why sessions of the agent were closed
    {prefix}:{tag}:nodes            heartbeats, in each partition
    {prefix}:{tag}:control          orders to every node
    {prefix}:{tag}:node:INCARNATION orders and answers to one node
    {prefix}:{tag}:echo:INCARNATION on which its link hears itself

`{tag}` is a Redis Cluster hash tag: everything that belongs to one room or agent lies in one of 64 partitions, so a
script touches one slot, and every name tells by itself which server of a cluster it belongs to. Tags are chosen so that
the partitions lie evenly over the 16,384 slots: plain numbers do not.
"""

from binascii import crc_hqx
from hashlib import blake2b
from itertools import count
from typing import NamedTuple

from .channels import PARTITIONS, Channel, ChannelKind, Owner, partition
from .names import AgentId, RoomName

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
PARTITION_SLOTS = tuple(map(key_slot, PARTITION_TAGS))
_PARTITIONS_OF_TAGS = {tag.encode(): part for part, tag in enumerate(PARTITION_TAGS)}


def partition_of(name: bytes) -> int:
    """Of any key or channel that is built here."""
    start = name.index(b"{") + 1  # a prefix has no braces
    return _PARTITIONS_OF_TAGS[name[start : name.index(b"}", start)]]


class LeaseKeys(NamedTuple):
    """What the lease scripts work on; `fanout/lua/lease_common.lua` says what each one holds."""

    nodes: bytes
    server: bytes
    mine: bytes
    held: bytes
    info: bytes
    state: bytes
    limit: bytes


class PresenceKeys(NamedTuple):
    """What the presence scripts work on; `fanout/lua/presence_common.lua` says what each one holds."""

    nodes: bytes
    rooms: bytes
    due: bytes
    users: bytes
    leaving: bytes
    meta: bytes
    server: bytes


class HistoryKeys(NamedTuple):
    """What the history scripts work on; `fanout/lua/history_common.lua` says what each one holds."""

    server: bytes
    head: bytes
    log: bytes


def _base_and_name(channel: Channel) -> tuple[bytes, bytes]:
    """`{prefix}:{tag}:` and `kind:name`, out of what is built already: keys are asked for with every message."""
    start = channel.address.index(b"}:") + 2  # a prefix has no braces
    return channel.address[:start], channel.address[start:]


class Keyspace:
    """Builds names under one prefix (`TANNOY_REDIS_PREFIX`)."""

    __slots__ = ("_prefix", "control")

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.control = self._in_partition(0, "control")

    def room(self, room: RoomName) -> Channel:
        return self._channel(ChannelKind.ROOM, room)

    def agent(self, agent_id: AgentId) -> Channel:
        return self._channel(ChannelKind.AGENT, agent_id)

    def node(self, incarnation: str) -> bytes:
        """The channel that one process alone listens to."""
        return self._in_partition(partition("node", incarnation), f"node:{incarnation}")

    def echo(self, incarnation: str, part: int = 0) -> bytes:
        """The channel on which one process's link hears itself; in a cluster, its link to the master of a partition."""
        return self._in_partition(part, f"echo:{incarnation}")

    def idempotency(self, channel: Channel, author: str, key: str) -> bytes:
        """The Redis key that remembers an author's idempotency key; it shares the channel's hash tag.

        Keys are each author's own: nobody's message is swallowed because somebody else counts from 1 too.

        The key is the client's text, of any alphabet: only its digest gets into Redis.
        """
        return (
            channel.address.replace(b"}:", b"}:once:", 1)
            + b":"
            + blake2b(f"{author}\n{key}".encode(), digest_size=16).hexdigest().encode()
        )

    def history(self, channel: Channel) -> HistoryKeys:
        base, name = _base_and_name(channel)
        return HistoryKeys(base + b"server", base + b"head:" + name, base + b"log:" + name)

    # ---- keys of a partition

    def heartbeats(self, part: int) -> bytes:
        """Heartbeats: incarnation → when it runs out."""
        return self._in_partition(part, "nodes")

    def server(self, part: int) -> bytes:
        """Which Redis server this is, and until when it has to be given time to hear from all nodes."""
        return self._in_partition(part, "server")

    def node_info(self) -> bytes:
        """What nodes tell about themselves; beside the heartbeats of partition 0."""
        return self._in_partition(0, "node-info")

    def owners_of_node(self, part: int, incarnation: str) -> bytes:
        """Owners with places that a process holds: `kind:name`."""
        return self._in_partition(part, f"owners:{incarnation}")

    def rooms(self, part: int) -> bytes:
        """Rooms with someone in them, and how many users."""
        return self._in_partition(part, "rooms")

    def due(self, part: int) -> bytes:
        """Rooms whose presence has to be looked at, and when."""
        return self._in_partition(part, "due")

    def rooms_of_node(self, part: int, incarnation: str) -> bytes:
        """Rooms in which a process has sessions."""
        return self._in_partition(part, f"on:{incarnation}")

    def leases(self, owner: Owner, incarnation: str) -> LeaseKeys:
        part = owner.partition
        of_owner = f"{owner.kind}:{owner.name}"
        return LeaseKeys(
            self.heartbeats(part),
            self.server(part),
            self.owners_of_node(part, incarnation),
            *(self._in_partition(part, f"{what}:{of_owner}") for what in ("held", "info", "state", "limit")),
        )

    def presence(self, room: Channel) -> PresenceKeys:
        base, name = _base_and_name(room)
        return PresenceKeys(
            base + b"nodes",
            base + b"rooms",
            base + b"due",
            base + b"users:" + name,
            base + b"leaving:" + name,
            base + b"presence:" + name,
            base + b"server",
        )

    def sessions_of_node(self, room: Channel, incarnation: str) -> bytes:
        """A process's sessions in a room: number → user."""
        return self._in_partition(partition(room.kind, room.name), f"in:{incarnation}:room:{room.name}")

    def disconnects(self, owner: Owner) -> bytes:
        """Why sessions of an owner were refused or closed: a list, newest first."""
        return self._in_partition(owner.partition, f"gone:{owner.kind}:{owner.name}")

    def _in_partition(self, part: int, what: str) -> bytes:
        return f"{self._prefix}:{{{PARTITION_TAGS[part]}}}:{what}".encode()

    def _channel(self, kind: ChannelKind, name: str) -> Channel:
        tag = PARTITION_TAGS[partition(kind, name)]
        return Channel(kind, name, f"{self._prefix}:{{{tag}}}:{kind}:{name}".encode())
