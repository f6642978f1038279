"""The scripts of heartbeats and of the list of nodes as typed calls."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import orjson

from ..shared.errors import MalformedBytes, TannoyError, Unavailable
from ..shared.keyspace import Keyspace
from ..shared.nodes import NodeInfo
from .redis.connection import Reply, Word
from .redis.errors import ConnectionLost, RedisError
from .redis.pipeline import CommandSender
from .scripts import HEARTBEAT, NODE_TELL, NODES_LIST
from .server_life import SeenData
from .unreadable import UnreadableData

HEARTBEAT_SCRIPTS = (HEARTBEAT, NODE_TELL, NODES_LIST)
"""The scripts that a pipeline has to load for these calls."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What Redis answers to a heartbeat in one partition."""

    was_alive: bool
    """False: the last heartbeat had expired, or Redis does not know of one. Others may have taken leases over."""
    nodes_alive: int
    """Nodes whose heartbeat holds, with this one."""
    life: str | None
    """Of the server (`server_life.py`). None: it has lost data, and has not been asked since."""
    seen: SeenData
    """The data of this partition, with this heartbeat."""
    losses: int
    """How often keys of the partition were found to be lost: where it changes, all nodes state what they hold."""


class HeartbeatCalls:
    """Every other call raises what `commands` raises."""

    def __init__(self, keyspace: Keyspace, incarnation: str, unreadable: UnreadableData) -> None:
        self._keyspace = keyspace
        self._unreadable = unreadable
        self.incarnation = incarnation

    async def beat(
        self, commands: CommandSender, partitions: Sequence[int], milliseconds: int, seen: Callable[[int], SeenData]
    ) -> list[Reply | TannoyError]:
        """Heartbeats in these partitions that hold for so long; 0 ends them at once. Raises nothing.

        `seen` tells what this process has seen of a partition. Returns of each the answer, which `parse_heartbeat`
        reads, or the error. One server is sent all in one call; in a Redis Cluster each is a call of its own.
        """
        groups: dict[int, list[int]] = {}
        for part in partitions:
            groups.setdefault(commands.batch_of(self._keyspace.heartbeats(part)), []).append(part)
        sent = (self._beat_together(commands, parts, milliseconds, seen) for parts in groups.values())
        answers = chain.from_iterable(await asyncio.gather(*sent))
        found = dict(zip(chain.from_iterable(groups.values()), answers, strict=True))
        return [found[part] for part in partitions]

    async def _beat_together(
        self, commands: CommandSender, parts: Sequence[int], milliseconds: int, seen: Callable[[int], SeenData]
    ) -> list[Reply | TannoyError]:
        """In one call. A heartbeat that it refuses among others is sent once more, alone."""
        keys = chain.from_iterable((self._keyspace.heartbeats(part), self._keyspace.server(part)) for part in parts)
        words: tuple[Word, ...] = (self.incarnation, milliseconds, *(word for part in parts for word in seen(part)))
        try:
            replies = await self._unreadable.run(commands, HEARTBEAT, tuple(keys), words)
        except (RedisError, ConnectionLost, Unavailable) as error:
            return [error] * len(parts)
        answers: list[Reply | TannoyError] = []
        for part, reply in zip(parts, replies, strict=True):
            if isinstance(reply, RedisError) and len(parts) > 1:
                answers += await self._beat_together(commands, [part], milliseconds, seen)
            else:
                answers.append(reply)
        return answers

    async def describe(self, commands: CommandSender, info: NodeInfo) -> None:
        """What `list_nodes` gives of this node from now on, while its heartbeat holds."""
        words = (self.incarnation, orjson.dumps(info.as_object()))
        await self._unreadable.run(commands, NODE_TELL, (self._keyspace.node_info(),), words)

    async def list_nodes(self, commands: CommandSender) -> list[NodeInfo]:
        """The nodes whose heartbeat holds, without those whose description this version can't read."""
        keys = (self._keyspace.heartbeats(0), self._keyspace.node_info())
        nodes: list[NodeInfo] = []
        for info in await commands.run_script(NODES_LIST, keys, ()):
            try:
                nodes.append(NodeInfo.parse(orjson.loads(info)))
            except (MalformedBytes, orjson.JSONDecodeError):
                self._unreadable.note(keys[1], info)  # its node will replace it with its next heartbeat
        return nodes


def parse_heartbeat(reply: Reply) -> Heartbeat:
    before, nodes_alive, life, born, beats, losses = reply
    life = bytes(life).decode() or None
    return Heartbeat(bytes(before) == b"alive", int(nodes_alive), life, SeenData(int(born), int(beats)), int(losses))
