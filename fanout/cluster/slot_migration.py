"""A slot that moves to another master of a Redis Cluster takes its data along, and its epochs should go on there.

The data of a partition is tied to the replication id of its server, so that a server which may have lost data is found
out (`lua/server_common.lua`). To the data, a slot that was moved looks the same as that: it is on another server, and
all clients would get `resync`. So the new server takes the partition over with its epochs, but only if this proves that
nothing can be lost:

- the server from which the slot came is still there: it is a master, it still has the replication id that the data is
  tied to (no server ever gets an old one again), and it says itself that it does not serve the slot any more;
- the server to which the slot came has the same replication id as before the slot came: it has been neither restarted
  nor promoted since.

In every other case new epochs begin.
"""

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass

from ..redis.command_writer import CommandWriter
from ..redis.connection import RedisConnection, Reply
from ..redis.errors import ConnectionLost, RedisError
from ..redis.pipeline import CommandSender
from ..scripts import SERVER_ADOPT
from .partition_queue import QueuedCommand

KNOWN_TO_ALL_WITHIN = 2.0
"""Seconds within which all servers of a cluster know of a move, several times over: a slot map may be that old."""

_read_identity = re.compile(rb"role:master\r\n.*master_replid:([0-9a-f]{40})\r\n", re.DOTALL).search


@dataclass(frozen=True, slots=True)
class Identity:
    """The replication id of a master, and the time of the event loop since which it is known, in seconds."""

    id: bytes
    known_since: float

    def was_known_before(self, refreshed_at: float) -> bool:
        """Whether it was known before the state that a slot map read at `refreshed_at` shows, however old that was.

        Then a slot that this map does not give to the server has come to it after its identity was known.
        """
        return self.known_since + KNOWN_TO_ALL_WITHIN <= refreshed_at


@dataclass(frozen=True, slots=True)
class MovedPartition:
    """A partition that has moved. `old_owner` holds the connection to the master from which it came.

    `new_owner` is the identity that the master to which it came had before.
    """

    old_owner: CommandWriter[QueuedCommand]
    new_owner: Identity


async def identity_of(connection: RedisConnection, within: float) -> Identity | None:
    """None: the server is no master, or does not tell it within so many seconds."""
    try:
        async with asyncio.timeout(within):
            found = _read_identity(await connection.send("INFO", "replication"))
    except (RedisError, ConnectionLost, TimeoutError):
        return None
    return None if found is None else Identity(found.group(1), asyncio.get_running_loop().time())


async def keep_epoch_of_moved_slot(
    commands: CommandSender, moved: MovedPartition, server_keys: Collection[bytes], within: float
) -> None:
    """Let the epochs of moved partitions go on at their new master if the proof holds. Raises what `commands` raises.

    `commands` go to the new master; `server_keys` hold the identity of the server, one for each moved partition. The
    old master has to answer `within` so many seconds.
    """
    connection = moved.old_owner.connection
    if connection is None:
        return
    try:
        async with asyncio.timeout(within):
            # It has to be a master still once it has said that it does not serve the slots, so this is sent last.
            reads = (connection.send("HGET", key, "life") for key in server_keys)
            *answers, old_owner = await asyncio.gather(*reads, identity_of(connection, within), return_exceptions=True)
    except TimeoutError:
        return
    if isinstance(old_owner, Identity) and all(map(_says_moved, answers)):
        arguments = (old_owner.id, moved.new_owner.id)
        await asyncio.gather(*(commands.run_script(SERVER_ADOPT, (key,), arguments) for key in server_keys))


def _says_moved(answer: Reply) -> bool:
    return isinstance(answer, RedisError) and answer.code == "MOVED"
