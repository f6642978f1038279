"""The scripts of heartbeats and of the list of nodes as typed calls."""

from dataclasses import dataclass

import orjson

from ..shared.errors import MalformedBytes
from ..shared.keyspace import Keyspace
from ..shared.nodes import NodeInfo
from .redis.connection import Reply
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
    """Every call raises what `commands` raises."""

    def __init__(self, keyspace: Keyspace, incarnation: str, unreadable: UnreadableData) -> None:
        self._keyspace = keyspace
        self._unreadable = unreadable
        self.incarnation = incarnation

    async def beat(self, commands: CommandSender, partition: int, milliseconds: int, seen: SeenData) -> Reply:
        """A heartbeat that holds for so long; 0 ends it at once. `parse_heartbeat` reads the answer."""
        keys = (self._keyspace.heartbeats(partition), self._keyspace.server(partition))
        return await self._unreadable.run(commands, HEARTBEAT, keys, (self.incarnation, milliseconds, *seen))

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
