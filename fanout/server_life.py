"""Which Redis server serves each partition, and with which data: the life of a server, checked on each connection.

A promoted replica, or a server that came back with an old dump or with none, begins another life
(`lua/server_common.lua`). Leases and epochs of a life do not count in the next one.

Redis shows it by its replication id. Where a service tells none, the heartbeats do: their count in the data of a life
never falls unless data was lost, so each node remembers the highest one and states it with every question.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import NamedTuple

from ..shared.channels import PARTITIONS
from ..shared.clock import Clock
from ..shared.keyspace import Keyspace
from .lease_times import DEFAULT_TIMES, LeaseTimes
from .redis.pipeline import CommandSender
from .scripts import SERVER_ENSURE

UNKNOWN_IDENTITY = b"?"
"""Stored in place of a replication id where the server tells none."""


class SeenBeats(NamedTuple):
    """How many heartbeats a partition had recorded when a node last looked, and in which life."""

    life: str = ""
    beats: int = 0


class ServerLives:
    """All that writes to Redis calls `on_connected` on each new connection, before its first command."""

    def __init__(self, keyspace: Keyspace, *, clock: Clock, times: LeaseTimes = DEFAULT_TIMES) -> None:
        self._keyspace = keyspace
        self._clock = clock
        self._recovery_ms = times.recovery_ms
        self._recovered_at = -math.inf
        self._seen = [SeenBeats()] * PARTITIONS

    async def on_connected(self, commands: CommandSender, partitions: Sequence[int]) -> None:
        """Raises what `commands` raises."""
        await self.ensure(commands, partitions)

    async def ensure(self, commands: CommandSender, partitions: Sequence[int]) -> dict[int, str]:
        """The life of the server of each partition; a new one where its data is not what it was.

        Raises what `commands` raises.
        """
        questions = (
            commands.run_script(SERVER_ENSURE, (self._keyspace.server(part),), (self._recovery_ms, *self.seen(part)))
            for part in partitions
        )
        replies = await asyncio.gather(*questions)
        wait = max((int(milliseconds) for _, milliseconds in replies), default=0) / 1000
        self._recovered_at = max(self._recovered_at, self._clock.monotonic() + wait)
        return {part: bytes(life).decode() for part, (life, _) in zip(partitions, replies, strict=True)}

    def seen(self, partition: int) -> SeenBeats:
        """What the data of a partition has to contain still."""
        return self._seen[partition]

    def note_beats(self, partition: int, life: str, beats: int) -> None:
        """A heartbeat has found so many in the data. Answers may come out of order: the highest of a life counts."""
        before = self._seen[partition]
        self._seen[partition] = SeenBeats(life, max(beats, before.beats) if life == before.life else beats)

    @property
    def recovers_for(self) -> float:
        """Seconds until every server that was checked grants leases; 0: they do."""
        return max(0.0, self._recovered_at - self._clock.monotonic())
