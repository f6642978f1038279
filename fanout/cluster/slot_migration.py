"""A slot that moves to another master of a Redis Cluster takes its data along: its life has to go on there.

What a partition holds is tied to the replication id of its server, so that a server which may have lost data is found
out (`lua/server_common.lua`). Seen from the data, a slot that was moved looks the same: another server, and everybody
would be told that messages may be missing. So the new server adopts it, but only on proof that nothing can be lost:

- the server from which the slot came is still there: it is a master, it still has the replication id that the data is
  tied to (none ever comes back), and it says itself that the slot is not its own any more;
- the one to which it came has the same replication id as before it came: it has been neither restarted nor promoted
  since.

In every other case nothing is adopted, and a new life begins.
"""

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass

from ..redis.connection import Reply
from ..redis.errors import CommandFailed
from ..redis.pipeline import CommandSender, Pipeline
from ..scripts import SERVER_ADOPT

HEARD_OF_WITHIN = 2.0
"""Seconds in which all servers of a cluster have heard of a move: by a multiple. A look at the map may be that old."""

_read_identity = re.compile(rb"role:master\r\n.*master_replid:([0-9a-f]{40})\r\n", re.DOTALL).search


@dataclass(frozen=True, slots=True)
class Identity:
    """The replication id of a master, and since when (of the event loop's time) we know it."""

    id: bytes
    known_since: float

    def is_older_than(self, look: float) -> bool:
        """What is not there by the map of that time has come later than this was known."""
        return self.known_since + HEARD_OF_WITHIN <= look


@dataclass(frozen=True, slots=True)
class MovedPartition:
    """A partition has come from a master, over whose pipeline it may be asked, to one that was `taker` before."""

    former: Pipeline
    taker: Identity


async def identity_of(pipeline: Pipeline) -> Identity | None:
    """None: it is no master. Raises Unavailable."""
    found = _read_identity(await pipeline.submit(("INFO", "replication"), None))
    return None if found is None else Identity(found.group(1), asyncio.get_running_loop().time())


async def keep_epoch_of_moved_slot(bus: CommandSender, moved: MovedPartition, server_keys: Collection[bytes]) -> None:
    """`bus` talks to the taker; `server_keys` are those of the partitions that came. Raises Unavailable."""
    asked = (moved.former.submit(("HGET", key, "life"), None) for key in server_keys)
    former, *answers = await asyncio.gather(identity_of(moved.former), *asked, return_exceptions=True)
    if isinstance(former, Identity) and all(map(_has_moved, answers)):
        arguments = (former.id, moved.taker.id)
        await asyncio.gather(*(bus.run_script(SERVER_ADOPT, (key,), arguments) for key in server_keys))


def _has_moved(answer: Reply) -> bool:
    refusal = answer.refusal if isinstance(answer, CommandFailed) else None
    return refusal is not None and refusal.code == "MOVED"
