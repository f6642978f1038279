"""The scripts of the archive's backlog as typed calls. Every call raises Unavailable."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from ...shared.channels import PARTITIONS, Channel
from ...shared.keyspace import Keyspace
from ..backlog import Waiting, read_waiting
from ..redis.pipeline import AnyPipeline
from ..scripts import ARCHIVE_FIND, ARCHIVE_FORGET, ARCHIVE_TAKE, ARCHIVE_WRITTEN, BACKLOG_WAITING

WRITER_SCRIPTS = (ARCHIVE_TAKE, ARCHIVE_WRITTEN, BACKLOG_WAITING, ARCHIVE_FORGET)
"""Of the pipeline of a writer."""
READER_SCRIPTS = (BACKLOG_WAITING, ARCHIVE_FIND)
"""Of the pipeline of a process that reads the archive."""
SEARCHED_MAX = 1000
"""Entries of a partition's backlog that are looked at for messages of one channel; beyond them it counts as behind."""


class TakenEntry(NamedTuple):
    """An entry of a partition's backlog, as Redis has it."""

    partition: int
    id: bytes
    fields: Sequence[bytes]


class BacklogCalls:
    def __init__(self, pipeline: AnyPipeline, keyspace: Keyspace) -> None:
        self.pipeline = pipeline
        self.keyspace = keyspace

    async def waiting(self) -> dict[int, Waiting]:
        """Of each partition in which anything waits, or has been lost."""
        return await read_waiting(self.pipeline, self.keyspace.archive, self.keyspace.archive_lost)

    async def take(
        self, partition: int, writer: str, messages: int, max_bytes: int, claim_after_ms: int
    ) -> list[TakenEntry]:
        """Messages that wait: at most so many, of `max_bytes` about. Those that another writer took come too, if that
        has not written them for `claim_after_ms`."""
        words = (writer, messages, max_bytes, claim_after_ms)
        entries = await self.pipeline.run_script(ARCHIVE_TAKE, (self.keyspace.archive(partition),), words)
        return [TakenEntry(partition, bytes(id), fields) for id, fields in entries]

    async def confirm(self, partition: int, ids: Sequence[bytes]) -> None:
        """These are written: they wait no more."""
        await self.pipeline.run_script(ARCHIVE_WRITTEN, (self.keyspace.archive(partition),), tuple(ids))

    async def forget_writers(self, idle_ms: int) -> None:
        """Forget writers without a sign for so long that have left nothing."""
        keys = ((self.keyspace.archive(part),) for part in range(PARTITIONS))
        await asyncio.gather(*(self.pipeline.run_script(ARCHIVE_FORGET, key, (idle_ms,)) for key in keys))

    async def may_wait(self, channel: Channel, lowest: int, highest: int) -> bool:
        """Whether messages of the channel, at offsets from `lowest` to `highest`, may not be written yet."""
        words = (f"{channel.kind}:{channel.name}", lowest, highest, SEARCHED_MAX)
        return bool(await self.pipeline.run_script(ARCHIVE_FIND, (self.keyspace.archive(channel.partition),), words))
