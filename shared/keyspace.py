"""Every Redis key and channel name is built here and nowhere else.

    {prefix}:{tag}:room:lobby       Redis channel of a room
    {prefix}:{tag}:agent:42         Redis channel of an agent
    {prefix}:{tag}:head:room:lobby  the channel's epoch and last offset, and
    {prefix}:{tag}:log:room:lobby   its last messages: `HistoryKeys`
    {prefix}:{tag}:once:room:lobby:DIGEST  an idempotency key of a published message
    {prefix}:{tag}:held:agent:42    the agent's leases, and more keys for them: `LeaseKeys`
    {prefix}:{tag}:limits           the limits that were set for single agents, in each partition
    {prefix}:{tag}:users:room:lobby the users in a room, and more keys for presence: `PresenceKeys`
    {prefix}:{tag}:gone:agent:42    why sessions of the agent were closed
    {prefix}:{tag}:gone-owners      of whom there are such, in each partition
    {prefix}:{tag}:rate:agent:42    when the bucket of the agent's messages is full again
    {prefix}:{tag}:revocations      tokens, users and agents that are refused, in one partition
    {prefix}:{tag}:stream:room:lobby/ID       a stream, and more keys: `StreamKeys`
    {prefix}:{tag}:streams:room:lobby         the open streams of the channel, and `listeners:room:lobby`: who hears
    {prefix}:{tag}:streams-due                when producers of open streams are given up, in each partition
    {prefix}:{tag}:archive          messages that are not written to the archive yet, in each partition
    {prefix}:{tag}:archive-lost     how many of them had to go for want of room
    {prefix}:{tag}:hooks            events that are not delivered to the target of the HTTP hooks yet, in each partition
    {prefix}:{tag}:hooks-lost       how many of them had to go for want of room
    {prefix}:{tag}:hooks-dead       events that are not delivered any more, in one partition, and `hooks-dead-lost`
    {prefix}:{tag}:hooks-leader     the process that delivers them
    {prefix}:{tag}:hooks-open:INCARNATION  sessions of a process that the hooks were told of, and `hooks-processes`
    {prefix}:{tag}:nodes            heartbeats, in each partition
    {prefix}:{tag}:control          Redis channel: control messages to every node
    {prefix}:{tag}:node:INCARNATION Redis channel: control messages to one node
    {prefix}:{tag}:echo:INCARNATION Redis channel: the echo of one node's link
    {prefix}:{tag}:probe:PROCESS    a key, and a Redis channel that nobody is subscribed to; with `:log` another key
    {prefix}:{tag}:probe:coordination  a key of all nodes, of changing type

Redis' databases share one pub/sub: so that the nodes of two databases do not hear each other, all names of a database
other than 0 begin with {prefix}:db{number}:{tag} instead, for instance `tannoy:db1:{tag}:room:lobby`.

`{tag}` is a Redis Cluster hash tag. All keys of one room or agent are in one of 64 partitions, so a script touches one
slot, and the name of a key determines its server in a Redis Cluster (`partitions.py`).
"""

from hashlib import blake2b
from typing import NamedTuple

from .channels import Channel, ChannelKind, Owner, partition
from .names import AgentId, RoomName, StreamId
from .partitions import PARTITION_TAGS


class LeaseKeys(NamedTuple):
    """KEYS of the lease scripts; `fanout/lua/lease_common.lua` describes each one."""

    nodes: bytes
    server: bytes
    owners: bytes
    held: bytes
    info: bytes
    state: bytes
    limit: bytes
    limits: bytes


class PresenceKeys(NamedTuple):
    """KEYS of the presence scripts; `fanout/lua/presence_common.lua` describes each one."""

    nodes: bytes
    rooms: bytes
    due: bytes
    users: bytes
    leaving: bytes
    meta: bytes
    server: bytes


class HistoryKeys(NamedTuple):
    """KEYS of the history scripts; `fanout/lua/history_common.lua` describes each one."""

    server: bytes
    head: bytes
    log: bytes


class StreamKeys(NamedTuple):
    """KEYS of the stream scripts; `fanout/lua/stream_common.lua` describes each one."""

    server: bytes
    state: bytes
    text: bytes
    end: bytes
    open: bytes
    due: bytes
    listeners: bytes


def _base_and_name(channel: Channel) -> tuple[bytes, bytes]:
    """`{prefix}:{tag}:` and `kind:name`, cut from the address: cheaper than building them for every message."""
    start = channel.address.index(b"}:") + 2  # a prefix has no braces
    return channel.address[:start], channel.address[start:]


class Keyspace:
    """Builds the names of keys and Redis channels under one prefix (`TANNOY_REDIS_PREFIX`), in one database."""

    __slots__ = ("_prefix", "control", "revocations")

    def __init__(self, prefix: str, database: int = 0) -> None:
        self._prefix = f"{prefix}:db{database}" if database else prefix  # a prefix has no colon
        self.control = self._in_partition(0, "control")
        self.revocations = self._in_partition(0, "revocations")
        """Hash: ID → record of a revocation (`fanout/lua/revocation_common.lua`)."""

    def room(self, room: RoomName) -> Channel:
        return self._channel(ChannelKind.ROOM, room)

    def agent(self, agent_id: AgentId) -> Channel:
        return self._channel(ChannelKind.AGENT, agent_id)

    def node(self, incarnation: str) -> bytes:
        """The Redis channel of the control messages to one process."""
        return self._in_partition(partition("node", incarnation), f"node:{incarnation}")

    def echo(self, incarnation: str, part: int = 0) -> bytes:
        """The Redis channel on which one process's link receives its own echo. `part`: in a Redis Cluster, a partition
        of the master that the link is connected to.
        """
        return self._in_partition(part, f"echo:{incarnation}")

    def idempotency(self, channel: Channel, author: str, key: str) -> bytes:
        """The Redis key that remembers an author's idempotency key. It is in the partition of the channel.

        Each author has a namespace of its own, so that two authors who use the same key do not suppress each other's
        messages. An idempotency key is any text, so only its digest (BLAKE2b, 16 bytes) is part of the name.
        """
        return (
            channel.address.replace(b"}:", b"}:once:", 1)
            + b":"
            + blake2b(f"{author}\n{key}".encode(), digest_size=16).hexdigest().encode()
        )

    def history(self, channel: Channel) -> HistoryKeys:
        base, name = _base_and_name(channel)
        return HistoryKeys(base + b"server", base + b"head:" + name, base + b"log:" + name)

    def stream(self, channel: Channel, stream_id: StreamId) -> StreamKeys:
        """A name has no slash: the keys of two streams are never the same."""
        base, name = _base_and_name(channel)
        stream = b"%b/%b" % (name, stream_id.encode())
        return StreamKeys(
            base + b"server",
            base + b"stream:" + stream,
            base + b"stream-text:" + stream,
            base + b"stream-end:" + stream,
            base + b"streams:" + name,
            base + b"streams-due",
            base + b"listeners:" + name,
        )

    def streams(self, channel: Channel) -> bytes:
        """Set of the open streams of a channel."""
        return channel.address.replace(b"}:", b"}:streams:", 1)

    def listeners(self, channel: Channel) -> bytes:
        """Hash: incarnation → sessions of its node that listen to the streams of a channel, and until when."""
        return channel.address.replace(b"}:", b"}:listeners:", 1)

    def streams_due(self, part: int) -> bytes:
        """Sorted set: `kind:name/ID` of an open stream → when its producer is looked after."""
        return self._in_partition(part, "streams-due")

    def head(self, channel: Channel) -> bytes:
        """That of `history` alone, for very many channels."""
        return channel.address.replace(b"}:", b"}:head:", 1)

    # ---- keys of a partition

    def heartbeats(self, part: int) -> bytes:
        """Sorted set of heartbeats: incarnation → time at which it expires."""
        return self._in_partition(part, "nodes")

    def server(self, part: int) -> bytes:
        """Hash: the identity of the Redis server and its data, and the end of the recovery time after a data loss."""
        return self._in_partition(part, "server")

    def probe(self, part: int, name: str) -> bytes:
        """A key, and a Redis channel without subscribers: whether Redis takes what a node needs of it."""
        return self._in_partition(part, f"probe:{name}")

    def node_info(self) -> bytes:
        """Hash: incarnation → description of the node (JSON). In the partition 0, with its heartbeats."""
        return self._in_partition(0, "node-info")

    def owners_of_node(self, part: int, incarnation: str) -> bytes:
        """Set of the owners, as `kind:name`, of whom a process holds leases."""
        return self._in_partition(part, f"owners:{incarnation}")

    def rooms(self, part: int) -> bytes:
        """Sorted set of the rooms that are not empty: room → number of users."""
        return self._in_partition(part, "rooms")

    def due(self, part: int) -> bytes:
        """Sorted set of the rooms whose presence has to be processed: room → time at which it is due."""
        return self._in_partition(part, "due")

    def rooms_of_node(self, part: int, incarnation: str) -> bytes:
        """Set of the rooms in which a process has sessions."""
        return self._in_partition(part, f"on:{incarnation}")

    def archive(self, part: int) -> bytes:
        """Stream of the messages that are not written to the archive yet (`fanout/lua/publish_epoch_common.lua`)."""
        return self._in_partition(part, "archive")

    def archive_lost(self, part: int) -> bytes:
        """How many messages have left that stream for want of room, and were never written."""
        return self._in_partition(part, "archive-lost")

    # ---- of the HTTP hooks

    def hooks(self, part: int) -> bytes:
        """Stream of the events that wait for the target (`fanout/lua/hooks_read.lua`)."""
        return self._in_partition(part, "hooks")

    def hooks_lost(self, part: int) -> bytes:
        """How many events have left that stream for want of room, and were never delivered."""
        return self._in_partition(part, "hooks-lost")

    def hooks_dead(self) -> tuple[bytes, bytes]:
        """Stream of the events that are not delivered any more, and how many have left it for want of room."""
        return self._in_partition(0, "hooks-dead"), self._in_partition(0, "hooks-dead-lost")

    def hooks_leader(self) -> bytes:
        """Which process delivers."""
        return self._in_partition(0, "hooks-leader")

    def hooks_sessions(self, incarnation: str) -> tuple[bytes, bytes]:
        """Hash of the open sessions of a process: number → event (JSON). And the set of the processes with one."""
        return self._in_partition(0, f"hooks-open:{incarnation}"), self._in_partition(0, "hooks-processes")

    def leases(self, owner: Owner, incarnation: str) -> LeaseKeys:
        part, of_owner = owner.partition, owner.member
        return LeaseKeys(
            self.heartbeats(part),
            self.server(part),
            self.owners_of_node(part, incarnation),
            self._in_partition(part, f"held:{of_owner}"),
            self._in_partition(part, f"info:{of_owner}"),
            self._in_partition(part, f"state:{of_owner}"),
            self._in_partition(part, f"limit:{of_owner}"),
            self._in_partition(part, "limits"),
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
        """Hash of a process's sessions in a room: number of the connection → user."""
        return self.presence_of_node(room, incarnation)[0]

    def presence_of_node(self, room: Channel, incarnation: str) -> tuple[bytes, bytes]:
        """`sessions_of_node` and `rooms_of_node`, cut from the address: for each join and each leave."""
        base, name = _base_and_name(room)
        process = incarnation.encode()
        return b"%bin:%b:%b" % (base, process, name), b"%bon:%b" % (base, process)

    def disconnects(self, owner: Owner) -> bytes:
        """List of the reasons for which sessions of an owner were refused or closed, newest first."""
        return self._in_partition(owner.partition, f"gone:{owner.member}")

    def rate(self, owner: Owner) -> bytes:
        """When the bucket of an owner's messages is full again, in microseconds."""
        return self._in_partition(owner.partition, f"rate:{owner.member}")

    def owners_with_disconnects(self, part: int) -> bytes:
        """Sorted set of the owners that have such a list: `kind:name` → when its last entry came."""
        return self._in_partition(part, "gone-owners")

    def _in_partition(self, part: int, what: str) -> bytes:
        return f"{self._prefix}:{{{PARTITION_TAGS[part]}}}:{what}".encode()

    def _channel(self, kind: ChannelKind, name: str) -> Channel:
        tag = PARTITION_TAGS[partition(kind, name)]
        return Channel(kind, name, f"{self._prefix}:{{{tag}}}:{kind}:{name}".encode())
