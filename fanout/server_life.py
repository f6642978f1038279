"""Which Redis server serves each partition, and with which data: the life of a server, checked on each connection.

A promoted replica, or a server that came back with an old dump or with none, begins another life
(`lua/server_common.lua`). Leases and epochs of a life do not count in the next one.

Redis shows it by its replication id. Where a service tells none, the data does: when its life was born, and the count
of its heartbeats, never fall unless data was lost. So each node remembers the latest and states it with every question.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import NamedTuple

from ..shared.archived_channels import ArchivedChannels
from ..shared.channels import PARTITIONS
from ..shared.clock import Clock
from ..shared.keyspace import Keyspace
from ..shared.logs import get_logger
from .lease_times import DEFAULT_TIMES, LeaseTimes
from .redis.connection import Word
from .redis.pipeline import CommandSender
from .scripts import SERVER_ENSURE
from .unreadable import UnreadableData

UNKNOWN_IDENTITY = b"?"
"""Stored in place of a replication id where the server tells none."""


_log = get_logger("tannoy.bus")


class SeenData(NamedTuple):
    """The latest data of a partition that a node has seen: in order, later data is greater."""

    born: int = 0
    """When its life began, in microseconds of Redis' clock."""
    beats: int = 0
    """Heartbeats recorded in it."""


class ServerLives:
    """All that writes to Redis calls `on_connected` on each new connection, before its first command.

    `archived` is what this process says about the channels that are archived; None: it does not say. What it says when
    it starts counts for the whole cluster; later it only says it again where Redis has lost it.
    """

    def __init__(
        self,
        keyspace: Keyspace,
        *,
        clock: Clock,
        times: LeaseTimes = DEFAULT_TIMES,
        unreadable: UnreadableData | None = None,
        archived: ArchivedChannels | None = None,
    ) -> None:
        self.unreadable = unreadable or UnreadableData()
        self._keyspace = keyspace
        self._clock = clock
        self._recovery_ms = times.recovery_ms
        self._recovered_at = -math.inf
        self._seen = [SeenData()] * PARTITIONS
        self._archived = archived
        self._has_warned = False
        self._has_said: set[int] = set()  # bounded: the partitions in which `archived` was said

    async def on_connected(self, commands: CommandSender, partitions: Sequence[int]) -> None:
        """Raises what `commands` raises."""
        await self.ensure(commands, partitions)

    async def ensure(self, commands: CommandSender, partitions: Sequence[int]) -> dict[int, str]:
        """The life of the server of each partition; a new one where its data is not what it was.

        Raises what `commands` raises.
        """
        keys = ((part, (self._keyspace.server(part),)) for part in partitions)
        questions = (
            self.unreadable.run(commands, SERVER_ENSURE, key, (self._recovery_ms, *self.seen(part), *self._says(part)))
            for part, key in keys
        )
        replies = await asyncio.gather(*questions)
        wait = max((int(milliseconds) for _, milliseconds, *_ in replies), default=0) / 1000
        for part, (_, _, born, beats, *archived) in zip(partitions, replies, strict=True):
            self.note_seen(part, SeenData(int(born), int(beats)))
            self._compare(*archived)
        self._has_said.update(partitions)
        self._recovered_at = max(self._recovered_at, self._clock.monotonic() + wait)
        return {part: bytes(life).decode() for part, (life, *_) in zip(partitions, replies, strict=True)}

    def _says(self, partition: int) -> tuple[Word, ...]:
        """The arguments of SERVER_ENSURE about the archive."""
        if self._archived is None:
            return ()
        return self._archived.text, self._archived.backlog, int(partition not in self._has_said)

    def _compare(self, archived: bytes = b"") -> None:
        counts = archived.decode(errors="replace")
        if self._archived is not None and counts != self._archived.text and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "another process of this cluster has another TANNOY_ARCHIVE, and the one that started last counts",
                ours=self._archived.text,
                counts=counts,
            )

    def seen(self, partition: int) -> SeenData:
        """What the data of a partition has to contain still."""
        return self._seen[partition]

    def note_seen(self, partition: int, data: SeenData) -> None:
        """An answer has shown this data. Answers may come out of order: the latest data counts."""
        self._seen[partition] = max(self._seen[partition], data)

    @property
    def recovers_for(self) -> float:
        """Seconds until every server that was checked grants leases; 0: they do."""
        return max(0.0, self._recovered_at - self._clock.monotonic())
