"""To which partition a command belongs: the queue of the cluster's pipeline into which it goes."""

import asyncio
from collections.abc import Callable

from ...shared.partitions import partition_of
from ..redis.connection import RedisConnection, Reply, Word
from ..redis.script import Script

Submit = Callable[[tuple[Word, ...], Script | None, int], asyncio.Future[Reply]]
"""(words, the script that they call, partition)"""


class PartitionRouter:
    """A CommandSender that submits each command with its partition: of a script's first key, or of the second word."""

    def __init__(self, submit: Submit, connection_for: Callable[[int], RedisConnection | None]) -> None:
        self.connection_for = connection_for
        self._submit = submit

    def run_script(self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> asyncio.Future[Reply]:
        """Send EVALSHA of the sharded twin of the script. The future raises CommandFailed."""
        sharded = script.sharded
        return self._submit(sharded.call(keys, arguments), sharded, partition_of(keys[0]))

    def batch_of(self, name: bytes) -> int:
        """The keys of a call lie in one slot, as those of a partition do."""
        return partition_of(name)

    def send(self, *words: Word) -> asyncio.Future[Reply]:
        """Send a command whose second word is a key or channel. The future raises CommandFailed.

        Raises TypeError if the second word is not one: such a command belongs to no partition.
        """
        name = words[1]
        if not isinstance(name, bytes):
            raise TypeError(f"not a name made by Keyspace: {name!r:.80}")
        return self._submit(words, None, partition_of(name))
