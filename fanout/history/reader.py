"""What channels have said: publishing with an offset, and reading what is kept.

The scripts give each message of a channel its offset, keep it, and publish it in one step: two publishes can't get one
offset, and the order of the log is the order of the bus. `lua/history_common.lua` tells when a new epoch begins.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...shared.channels import Channel
from ...shared.keyspace import Keyspace
from ...shared.protocol.commands import OFFSET_MAX, HistoryQuery
from ...shared.publication import Position, Publication, StartPosition
from ..lease_times import DEFAULT_TIMES
from ..pubsub.envelope import unpack_numbered
from ..redis.connection import Reply
from ..redis.pipeline import AnyPipeline, read_later
from ..scripts import HISTORY_READ

HEAD_TTL = 3600
"""Seconds that a channel's head outlives its last message, at the least. Nodes that hear the channel renew it."""
READ_MAX = 1000
"""Entries in one read."""


@dataclass(frozen=True, slots=True)
class HistoryRules:
    """Messages that are kept per channel, and seconds after the last one until they go. A size of 0: nothing is."""

    size: int
    ttl: int
    recovery_ms: int = DEFAULT_TIMES.recovery_ms
    """`LeaseTimes.recovery_ms`: what a script says that is the first one to meet a new server."""

    @property
    def head_ttl(self) -> int:
        return max(HEAD_TTL, 2 * self.ttl)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Part of a channel's history, rising, and the head as of the same moment."""

    head: Position
    entries: tuple[Publication, ...]

    def continues(self, position: Position) -> bool:
        """Nothing is missing between `position` and the last entry; or, without entries, the head."""
        offset = position.offset
        return (
            self.head.epoch == position.epoch
            and offset + len(self.entries) <= self.head.offset
            and all(entry.offset == expected for expected, entry in enumerate(self.entries, offset + 1))
            and (bool(self.entries) or offset == self.head.offset)
        )

    @property
    def is_complete(self) -> bool:
        """Of what there was to read, nothing is left."""
        return not self.entries or self.entries[-1].offset >= self.head.offset


class HistoryReader:
    """Reads. Every method raises Unavailable."""

    def __init__(self, pipeline: AnyPipeline, keyspace: Keyspace, rules: HistoryRules) -> None:
        self.pipeline = pipeline
        self.rules = rules
        self._keyspace = keyspace

    @property
    def is_kept(self) -> bool:
        return self.rules.size > 0

    def head(self, channel: Channel) -> asyncio.Future[Position]:
        """Where the channel is; a channel that was nowhere yet is at offset 0 of a new epoch then."""
        return read_later(self._ask(channel, 0, "+", 0, "first"), lambda reply: read_position(reply[0]))

    def since(self, channel: Channel, offset: int) -> asyncio.Future[HistoryPage]:
        """What was said after `offset`: the first READ_MAX messages of it, as far as they are kept."""
        return read_later(self._ask(channel, offset + 1, "+", READ_MAX, "first"), _read_excerpt)

    def page(self, channel: Channel, query: HistoryQuery) -> asyncio.Future[HistoryPage]:
        lowest = 0 if query.since is None else query.since + 1
        highest = "+" if query.before is None else max(query.before - 1, 0)
        which = "last" if query.since is None else "first"
        return read_later(self._ask(channel, lowest, highest, query.limit, which), _read_excerpt)

    async def recover(self, channel: Channel, position: Position, max_bytes: int) -> StartPosition:
        """All that was said after `position`, or nothing of it.

        Nothing, if the position is of another epoch or beyond the head, if not all is kept any more, or if it is more
        than `max_bytes` (of JSON) at once.
        """
        if position.offset > OFFSET_MAX:
            return StartPosition(await self.head(channel), recovered=False)
        missed: list[Publication] = []
        while True:
            page = await self.since(channel, position.offset)
            max_bytes -= sum(len(entry.encoded.json) for entry in page.entries)
            if max_bytes < 0 or not page.continues(position):
                return StartPosition(page.head, recovered=False)
            missed += page.entries
            if page.is_complete:
                return StartPosition(page.head, recovered=True, missed=tuple(missed))
            position = Position(position.epoch, missed[-1].offset)

    async def heads(self, channels: Sequence[Channel]) -> list[tuple[bytes | None, bytes | None]]:
        """Of channels that all lie in one partition: the life of their server, and their head. None: it has none."""
        keys = [self._keyspace.history(channel) for channel in channels]
        life, heads = await asyncio.gather(
            self.pipeline.send("HGET", keys[0].server, "life"), self.pipeline.send("MGET", *(key.head for key in keys))
        )
        return [(life, head) for head in heads]

    async def renew(self, channels: Iterable[Channel]) -> None:
        """Keep the heads: somebody hears these channels."""
        ttl = self.rules.head_ttl
        await asyncio.gather(*(self.pipeline.send("EXPIRE", self._keyspace.history(c).head, ttl) for c in channels))

    def _ask(
        self, channel: Channel, lowest: int, highest: int | str, count: int, which: str
    ) -> "asyncio.Future[Reply]":
        arguments = (lowest, highest, count, which, self.rules.head_ttl, self.rules.recovery_ms)
        return self.pipeline.run_script(HISTORY_READ, self._keyspace.history(channel), arguments)


def read_position(reply: Reply) -> Position:
    """Of `EPOCH OFFSET`. Raises ValueError."""
    if not isinstance(reply, bytes):
        raise ValueError(f"a position of unknown form: {reply!r:.80}")
    epoch, offset = reply.decode().split(" ")
    return Position(epoch, int(offset))


def read_head(life: bytes | None, head: bytes | None) -> Position | None:
    """The head as it is stored, if it is one, and of a server in this `life`."""
    if life is None or head is None or not head.startswith(life):
        return None
    try:
        return read_position(head)
    except ValueError:
        return None


def _read_excerpt(reply: Reply) -> HistoryPage:
    head = read_position(reply[0])
    entries = [unpack_numbered(fields[1], head.epoch, int(bytes(id).partition(b"-")[0])) for id, fields in reply[1]]
    return HistoryPage(head, tuple(entries))
